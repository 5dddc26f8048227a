"""What is too large is refused before it is made, with what it would need and what the bound is."""

import time

import pyarrow.parquet
import pytest

from ratelab import models
from ratelab.batch_sizes import MOST_EPOCHS, MOST_UPDATES, constant, growing, plan_batches, plan_steps
from ratelab.config import Device, read
from ratelab.config.hydra_internals import MOST_RUNS, split_overrides
from ratelab.runs import steps_file
from ratelab.runs.planned import plan_run
from ratelab.runs.steps_file import StepsFile
from ratelab.schedules import cosine_restarts, tabulate
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.tuned import Tuning
from ratelab.validation import UserError, shorten, unknown_key
from support.composing import composed, composer
from support.configs import VALUES
from support.fakes import chunk


def test_a_run_of_too_many_updates_says_what_it_would_need():
    with pytest.raises(UserError) as refusal:
        plan_batches(constant(100), 55_000, 10**8)
    said = str(refusal.value)
    assert "at most 1,000,000 epochs and 100,000,000 updates" in said
    assert "100,000,000 epochs of 550 updates" in said
    assert "2,868 GiB" in said
    assert "63.7 days" in said


@pytest.mark.parametrize(
    ("size", "examples", "epochs"),
    [
        (constant(1), 1000, 10**6),
        (constant(1000), 1000, MOST_EPOCHS + 1),
        (growing(1, 1000, decay_rate=0.5, decay_steps=10), 1000, 2**62),
        (growing(1, 1000, decay_rate=1.0, decay_steps=10**9), 1000, 10**6),
    ],
)
def test_no_plan_is_too_large_and_none_takes_long_to_refuse(size, examples, epochs):
    begun = time.process_time()
    with pytest.raises(UserError, match="at most"):
        plan_batches(size, examples, epochs)
    assert time.process_time() - begun < 5


def test_a_growth_that_changes_at_every_update_is_refused_when_there_are_too_many_of_them(monkeypatch):
    monkeypatch.setattr("ratelab.batch_sizes.MOST_EPOCHS", 100)
    with pytest.raises(UserError, match=r"the size may change 100 times .* Raise batch\.decay_steps"):
        plan_batches(growing(1, 1000, decay_rate=1.0, decay_steps=0.5), 1000, 1)


def test_the_largest_run_is_planned():
    plan = plan_batches(constant(1), 2_000, 1_000)
    assert plan.steps == 2_000_000
    with pytest.raises(UserError, match="steps: a run has at most 100,000,000 updates"):
        plan_steps(constant(1), 10, MOST_UPDATES + 1)


def test_a_growth_below_what_floats_count_is_refused():
    with pytest.raises(UserError, match="growing: decay_steps must be at least 1e-06, got 5e-324"):
        growing(1, 10, decay_rate=0.5, decay_steps=5e-324)


@pytest.mark.parametrize(
    "words",
    [
        ["seed=range(0,100000000)"],
        ["seed=range(0,1e8)"],
        ["seed=range(0,9,1e-9)"],
        ["seed=shuffle(range(0,20000))"],
        ["seed=range(0,200)", "epochs=range(1,200)"],
    ],
)
def test_a_sweep_of_too_many_runs_is_refused_before_any_is_made(words):
    begun = time.process_time()
    with pytest.raises(UserError, match=r"a sweep has at most 10,000 runs, .* 10 s a run .* days\. Give"):
        split_overrides(composer()._loader, words)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ([f"seed=range(0,{MOST_RUNS})"], MOST_RUNS),
        (["seed=range(5,0,-2)"], 3),
        (["seed=range(3)", "epochs=1,2"], 6),
        (["epochs=1"], 1),
    ],
)
def test_what_is_counted_is_what_is_made(words, number):
    assert len(split_overrides(composer()._loader, words)) == number


def test_a_range_without_end_is_refused():
    with pytest.raises(UserError, match=r"seed=range\(0,1e400\): the bounds of a range must be finite"):
        split_overrides(composer()._loader, ["seed=range(0,1e400)"])


@pytest.mark.parametrize(
    "options", [{"points": 10**9}, {"widenings": 10**9}, {"lowest": 1e-320, "highest": 1e400}], ids=str
)
def test_tuning_is_bounded(options):
    whole = {"lowest": 0.1, "highest": 1.0, "points": 3, "seeds": [0], "widenings": 1, **options}
    with pytest.raises(ValueError, match=r"points|widenings|highest"):
        Tuning.model_validate(whole)


def test_threads_and_memory_are_bounded():
    device = {"kind": "cpu", "index": 0, "precision": "float32", "xla": None, "deterministic": False}
    assert Device(threads=1024, **device).threads == 1024
    with pytest.raises(ValueError, match="less than or equal to 1024"):
        Device(threads=10**6, **device)
    with pytest.raises(UserError, match=r"hydra\.launcher\.memory must be less than or equal to 1000000"):
        Resources.read({"memory": 1e300})
    assert Resources.read({"workers": 10**6, "largest_stack": 10**9}).workers == 10**6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": [10**9]}, r"hidden\.0 must be less than or equal to 1000000, got 1000000000"),
        (
            {"hidden": [10**6, 10**6]},
            r"makes 1,000,796,000,010 weights, .* 14,913 GiB .* at most",
        ),
        ({"hidden": [1] * 101}, "at most 100 items"),
    ],
)
def test_a_model_that_no_machine_holds_is_refused_before_tensorflow(arguments, message):
    with pytest.raises(UserError, match=message):
        models.mlp((28, 28), 10, **arguments)
    with pytest.raises(UserError, match="less than or equal to 4096"):
        models.cnn((28, 28), 10, filters=[10**9])


def test_no_more_rates_are_printed_than_somebody_reads():
    config = composed("data=digits", "tracking=none", "batch_size=24", "epochs=2001", "print_schedule=true")
    with pytest.raises(UserError, match="at most 100,000 rates are printed, this run has 100,050"):
        plan_run(config, config.hydra)


def test_a_factor_beyond_float64_makes_one_period():
    assert tabulate(cosine_restarts(0.1, 100, t_mul=1e308), 100).max() == pytest.approx(0.1)


# ---------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "漢" * 67, "a\nb", "a\0b", "\ud800"], ids=ascii)
def test_an_experiment_has_a_name_that_is_also_one_of_a_folder(name):
    with pytest.raises(UserError, match=r"experiment must be 1 to 200 bytes of printable text, got"):
        read({**VALUES, "tracking": {**VALUES["tracking"], "experiment": name}})


@pytest.mark.parametrize("name", ["x" * 200, "漢" * 66, "two words, é"])
def test_other_names_of_experiments_are_taken(name):
    config = read({**VALUES, "tracking": {**VALUES["tracking"], "experiment": name}})
    assert config.tracking.experiment == name


MNIST = {"_target_": "ratelab.data.mnist"}


@pytest.mark.parametrize(
    ("group", "key", "rest"), [("data", "dir", MNIST), ("tracking", "uri", VALUES["tracking"])]
)
def test_a_path_is_a_text_that_a_system_takes(group, key, rest):
    for path in ("", "a\0b"):
        with pytest.raises(UserError, match=rf"{group}\.{key} must be a text without zero bytes"):
            read({**VALUES, group: {**rest, key: path}})


def test_messages_stay_short_whatever_the_value_is():
    assert len(shorten("x" * 10**6)) == len(shorten(list(range(10**5)))) == 80
    assert shorten(10**5000) == "a number of thousands of digits"
    assert len(str(unknown_key("data", "x" * 10_000, ["digits"]))) < 200
    with pytest.raises(UserError) as refusal:
        models.mlp((28, 28), 10, hidden=["x" * 1000] * 50)
    assert len(str(refusal.value)) < 500
    assert "and 47 more" in str(refusal.value)


# ---------------------------------------------------------------------------------------------------- steps


def kept(chunks):
    """The rows of the file that these chunks make, and how many parts it was written in."""
    file = StepsFile()
    for one in chunks:
        file.add(one)
    table = pyarrow.parquet.ParquetFile(file.finish())
    rows, parts = table.read().to_pydict(), table.num_row_groups
    file.close()
    return rows, parts


def test_steps_are_written_as_they_come_and_read_back_the_same(monkeypatch):
    chunks = [chunk()] * 7
    whole, one = kept(chunks)
    monkeypatch.setattr(steps_file, "ROWS_IN_MEMORY", 2 * len(chunk().train_loss))
    in_parts, several = kept(chunks)
    assert (one, several) == (1, 4)
    assert in_parts == whole
    assert len(whole["step"]) == 7 * len(chunk().train_loss)


def test_a_disk_that_is_full_on_the_way_is_told_at_the_end_and_not_before(monkeypatch, tmp_path):
    monkeypatch.setattr(steps_file, "ROWS_IN_MEMORY", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    file = StepsFile()
    file.add(chunk())
    file.add(chunk())
    with pytest.raises(OSError, match="absent"):
        file.finish()
    file.close()


def test_no_chunk_makes_no_file():
    file = StepsFile()
    assert file.finish() is None
    file.close()
