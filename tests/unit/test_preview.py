"""`ratelab preview`: the curves are those that training would use, and they can be read."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from ratelab import data
from ratelab.commands.preview.image import save
from ratelab.commands.preview.rates import Curve, curves
from ratelab.commands.preview.text_plot import chart, draw_dots, show
from ratelab.config.composing import read_composed as read
from ratelab.runs.job_of import job_of, make_schedule
from ratelab.schedules import tabulate
from ratelab.validation import UserError
from support import ROOT, composing
from support.in_process import ratelab

OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml"))
PURE = [name for name in OPTIONS if name != "plateau"]  # which waits for the validation loss


def composed(*overrides):
    return read(composing.composed(*overrides))


# The curves


@pytest.mark.parametrize(
    "overrides",
    [
        ["schedule=exponential", "schedule.decay_steps=10"],
        ["schedule.decay_steps=10"],
        ["experiment=toy", "schedule=staircase"],
        ["schedule=cosine", "warmup=linear", "warmup.steps=7", "learning_rate=0.5"],
    ],
    ids=" ".join,
)
def test_a_curve_is_what_hydra_and_training_make_of_the_same_overrides(overrides):
    [curve], left_out = curves(overrides, 100)
    assert left_out == []
    np.testing.assert_array_equal(curve.rates, tabulate(make_schedule(composed(*overrides), 100), 100))


def test_the_curves_of_all_schedules_are_what_hydra_and_training_make_of_them():
    drawn, left_out = curves([f"schedule={','.join(PURE)}", "seed=3"], 100)
    assert ([curve.name for curve in drawn], left_out) == (PURE, [])
    for curve in drawn:
        schedule = make_schedule(composed(f"schedule={curve.name}", "seed=3"), 100)
        np.testing.assert_array_equal(curve.rates, tabulate(schedule, 100), err_msg=curve.name)


def test_a_schedule_that_reacts_is_left_out_and_that_is_said():
    drawn, left_out = curves(["schedule=fixed,plateau"], 100)
    assert [curve.name for curve in drawn] == ["fixed"]
    assert len(left_out) == 1
    assert "plateau" in left_out[0]


@pytest.mark.parametrize("overrides", [["data=digits", "epochs=3"], ["experiment=quick"], ["experiment=toy"]])
def test_the_run_is_as_long_as_in_training(overrides):
    [curve], _ = curves(overrides)
    np.testing.assert_array_equal(curve.rates, job_of(composed(*overrides)).rates.table)


def test_the_tutorials_run_has_27500_steps():
    [curve], _ = curves([])
    assert len(curve.rates) == 27_500


def test_the_number_of_training_examples_is_that_of_the_data():
    loaded = data.digits(validation_size=300)
    assert data.training_examples("ratelab.data.digits") == len(loaded.train) + 300
    made = data.mnist1d(validation_size=1)
    assert data.training_examples("ratelab.data.mnist1d") == len(made.train) + 1
    assert data.training_examples("mine.data") is None


def test_lists_ranges_and_globs_give_a_curve_for_each_job():
    made, _ = curves(["schedule=fixed,cosine", "learning_rate=0.1,0.5", "seed=3"], 10)
    assert [curve.name for curve in made] == [
        "fixed learning_rate=0.1",
        "fixed learning_rate=0.5",
        "cosine learning_rate=0.1",
        "cosine learning_rate=0.5",
    ]
    assert [float(curve.rates[0]) for curve in made] == pytest.approx([0.1, 0.5, 0.1, 0.5])
    assert [curve.name for curve in curves(["schedule=glob(*)"], 20)[0]] == PURE
    assert len(curves(["seed=range(0,3)", "schedule=glob(*cosine)"], 20)[0]) == 9
    assert len(curves(["schedule=glob([*],exclude=[f*])"], 20)[0]) == len(PURE) - 1


def test_overrides_of_hydra_itself_change_nothing():
    [curve], _ = curves(["hydra/launcher=basic", "schedule=cosine"], 10)
    assert curve.name == "cosine"


def test_a_schedule_that_is_no_function_of_the_step_is_left_out(monkeypatch, tmp_path):
    (tmp_path / "reacting.py").write_text(
        "class Reactive: pass\ndef waits(learning_rate: float):\n    return Reactive()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = ["schedule=fixed", "schedule._target_=reacting.waits", "allow_targets=[reacting]"]
    assert curves(own, 10) == ([], ["fixed"])


def test_a_growing_batch_is_that_of_training():
    words = ["data=digits", "epochs=6", "batch_size=20", "batch=growing", "batch.decay_steps=30"]
    words += ["batch.largest=40", "schedule=linear_to_zero"]
    [curve], _ = curves(words)
    job = job_of(composed(*words))
    np.testing.assert_array_equal(curve.rates, job.rates.table)
    np.testing.assert_array_equal(curve.batch_sizes, job.batches.sizes)
    assert curve.batch_sizes[-1] == 40


@pytest.mark.parametrize("steps", [1, 59, 60, 61, 500, 5000])
def test_a_growing_batch_of_any_length_begins_like_a_longer_one(steps):
    words = ["data=digits", "batch_size=20", "batch=growing", "batch.decay_steps=60", "batch.largest=40"]
    [curve], _ = curves(words, steps)
    whole = job_of(composed(*words, "epochs=1000")).batches.sizes[:steps]
    assert len(curve.rates) == steps
    np.testing.assert_array_equal(
        np.full(steps, 20) if curve.batch_sizes is None else curve.batch_sizes, whole
    )


def test_batches_that_grow_are_drawn(tmp_path):
    grown = Curve("b", np.full(90, 0.1, np.float32), np.repeat(np.int32([10, 20, 400]), 30))
    plain = Curve("a", np.linspace(1, 0, 100, dtype=np.float32))
    console = Console(width=80, record=True, file=io.StringIO())
    show([plain, grown], console)
    text = console.export_text()
    assert "batch size of b" in text
    assert "batch size of a" not in text
    assert " 400 " in text
    save([plain, grown], tmp_path / "with.svg")
    save([plain], tmp_path / "without.svg")
    assert "batch size" in comments(tmp_path / "with.svg")
    assert "batch size" not in comments(tmp_path / "without.svg")


def comments(path):
    """The texts of an SVG of matplotlib's, which draws letters as shapes and notes them."""
    return re.findall(r"<!-- (.*?) -->", path.read_text())


# The terminal


def test_braille_dots_follow_the_line():
    assert draw_dots(np.array([0.0, 0.0]), 1, 1).tolist() == [[0xC0]]
    assert draw_dots(np.array([1.0, 0.0]), 1, 1).tolist() == [[0x01 | 0x08 | 0x10 | 0x20 | 0x80]]
    falling = draw_dots(np.linspace(1, 0, 1000), 20, 5)
    rows = [int(np.flatnonzero(falling[:, column])[0]) for column in range(20)]
    assert rows == sorted(rows)
    assert (rows[0], rows[-1]) == (0, 4)
    assert (falling > 0).any(axis=0).all()


@pytest.mark.parametrize("steps", [1, 2, 50, 100_000])
def test_a_chart_has_its_size_whatever_the_number_of_steps(steps):
    lines = chart([Curve("a", np.linspace(1, 0, steps, dtype=np.float32))], 40, 8)
    assert len(lines) == 9
    assert {len(line.plain) for line in lines[:-1]} == {49 - 1}


def test_rates_that_are_all_zero_are_a_line_at_the_bottom():
    lines = chart([Curve("a", np.zeros(10, np.float32))], 10, 3)
    assert lines[2].plain.endswith("⣀" * 10)


@pytest.mark.parametrize("number", [1, 2, 6, 7, 20])
def test_nothing_is_wider_than_80_columns(number):
    console = Console(width=80, record=True, file=io.StringIO())
    made = [
        Curve(f"curve-{i} learning_rate=0.{i}", np.linspace(1, 0, 99, dtype=np.float32))
        for i in range(number)
    ]
    show(made, console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"curve-{i}" in text for i in range(number))


@pytest.mark.parametrize("number", [1, 7])
@pytest.mark.parametrize("width", [9, 23])
def test_a_terminal_too_narrow_for_a_chart_gets_what_fits(number, width):
    console = Console(width=width, record=True, file=io.StringIO())
    rates = np.linspace(1, 0, 99, dtype=np.float32)
    show([Curve("a", rates, np.ones(99, np.int32))] * number, console)
    assert console.export_text().strip()


def test_letters_tell_curves_apart_without_colours():
    made = [Curve(name, np.full(100, rate, np.float32)) for name, rate in (("low", 0.2), ("high", 1.0))]
    lines = chart(made, 60, 9)
    places = {name: [n for n, line in enumerate(lines) if name in line.plain] for name in "ab"}
    assert places == {"a": [7], "b": [0]}


# The command


def test_it_draws_in_the_terminal(tmp_path):
    done = ratelab(tmp_path, "preview", "schedule=cosine,wsd", "warmup=linear", "--steps", "100")
    assert (done.status, done.err) == (0, "")
    assert re.search(r"^a  cosine +0 +0.1 ", done.out, re.MULTILINE)
    assert re.search(r"^b  wsd +0 +0.1 ", done.out, re.MULTILINE)
    assert " 99\n" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "start"), [("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml")])
def test_it_draws_into_a_file(tmp_path, name, start):
    done = ratelab(tmp_path, "preview", "schedule=glob(*)", "--output", name)
    assert (done.status, done.err) == (0, "")
    assert re.match(rf"{re.escape(name)}: \d+ curves\n", done.out)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert ratelab(tmp_path, "preview", "--steps", "60", "--output=~/curves.svg").status == 0
    assert (tmp_path / "home" / "curves.svg").exists()
    done = ratelab(tmp_path, "preview", "--steps", "60", "--output=~nobody9/curves.svg")
    assert (done.status, done.err) == (
        1,
        "--output: there is no home folder for '~nobody9/curves.svg'; give the whole path.\n",
    )


def test_the_training_examples_are_those_that_validation_leaves():
    [curve], _ = curves(["data=digits", "batch_size=100", "epochs=1", "validation_size=1000"])
    assert len(curve.rates) == 5
    [curve], _ = curves(["data=digits", "batch_size=100", "epochs=1", "validation_size=0.2"])
    assert len(curve.rates) == 12
    with pytest.raises(UserError, match="validation_size must leave training examples, got 1500"):
        curves(["data=digits", "validation_size=1500"])


def test_the_same_curves_give_the_same_file(tmp_path):
    made = [Curve("a", np.linspace(1, 0, 50, dtype=np.float32))]
    for name in ("one.svg", "two.svg"):
        save(made, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["schedule=daily"], "schedule/daily"),
        (["schedule=exponental"], "Did you mean schedule=exponential?"),
        (["learning_rate=-1"], "learning_rate must be greater than or equal to 0, got -1"),
        (["schedule.decay_steps=0"], "exponential: decay_steps must be greater than 0, got 0"),
        (["warmup.steps=500", "--steps", "100"], "warmup_steps must be less than the 100 steps .* got 500"),
        (
            ["schedule=piecewise", "schedule.boundaries=[0.5,0.2]"],
            r"piecewise: boundaries must rise, got \[0.5, 0.2\]",
        ),
        (["schedule=[", "seed=1"], r"schedule=\["),
        (["batch_size=60000"], "batch_size must be at most 55000, the training examples, got 60000"),
        (["--output", "curves.gif"], "--output must end in .png or .svg, got 'curves.gif'"),
        (["--output", "nowhere/curves.png"], "--output must be in a folder that exists"),
    ],
)
def test_a_mistake_is_one_message_and_status_1(tmp_path, arguments, message):
    done = ratelab(tmp_path, "preview", *arguments)
    assert (done.status, done.out) == (1, "")
    assert re.search(message, done.err)
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []
