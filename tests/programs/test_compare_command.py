"""`ratelab compare` on real stores: the numbers of the sweep, whatever became of its runs."""

import csv
import json
import math
import shutil
import sys
from dataclasses import replace

import pytest

from ratelab.commands.recorded_study import load, read_study
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import find_runs, read_histories
from ratelab.validation import UserError
from support import SRC, in_process
from support.damaged import good_run, write_runs
from support.programs import ONE_WORKER, begin, finish, ratelab, train


def compare(folder, *words):
    return in_process.ratelab(folder, "compare", *words)


@pytest.fixture(scope="module")
def mishaps(tmp_path_factory):
    """A sweep with a rate at which runs diverge; afterwards one run counts as killed and one as running."""
    from mlflow import MlflowClient

    rates = ["schedule=fixed", "learning_rate=0.1,1e38", "seed=range(0,8)"]
    done = train(tmp_path_factory.mktemp("mishaps"), "-m", "experiment=quick", ONE_WORKER, *rates)
    assert (done.status, done.err) == (0, "")
    client = MlflowClient(done.store)
    slow = [run for run in find_runs(done.store).runs if run.params["learning_rate"] == "0.1"]
    client.set_terminated(slow[6].run_id, "KILLED")
    client.update_run(slow[7].run_id, "RUNNING")
    client.set_tag(slow[7].run_id, "program", this_program().write())  # one that lives
    return done


def test_another_process_prints_the_same_numbers(quick):
    done = ratelab(quick.folder, "compare")
    assert (done.status, done.err) == (0, "")
    assert "exponential" in done.out
    assert done.out in quick.out


def test_batches_that_grow_are_compared_by_examples_seen(tmp_path):
    growing = ["batch=growing", "batch.decay_steps=30,1000", "batch_size=20", "epochs=4", "seed=range(0,3)"]
    done = train(tmp_path, "-m", "experiment=quick", ONE_WORKER, "schedule=fixed", *growing)
    assert (done.status, done.err) == (0, "")
    again = compare(tmp_path)
    assert again.out
    assert again.out in done.out
    runs = find_runs(done.store).runs
    sizes = read_histories(done.store, [run.run_id for run in runs], "examples_seen")
    for run, result in zip(runs, load(done.store, runs)[0], strict=True):
        seen = {look.step: look.examples for look in result.validation}
        assert len(seen) == 4
        if run.params["batch.decay_steps"] == "1000":  # the run is shorter, so its batch stays
            assert run.run_id not in sizes
            assert seen == {step: (step + 1) * 20 for step in seen}
        else:
            counted = dict(zip(sizes[run.run_id].steps, sizes[run.run_id].values, strict=True))
            assert seen == {step: counted[step] for step in seen}


def test_the_sweep_ends_with_its_verdict(mishaps):
    worse = "* fixed learning_rate=1e+38 is worse than fixed learning_rate=0.1: accuracy -"
    assert worse in " ".join(mishaps.out.split())


def test_json_holds_what_the_store_holds(quick):
    read = json.loads(compare(quick.folder, "--format", "json").out)
    [comparison] = read["comparisons"]
    runs = find_runs(quick.store).runs
    assert {group["group"] for group in comparison["groups"]} == {"fixed", "exponential", "staircase"}
    for group in comparison["groups"]:
        accuracies = [run.metrics["test_accuracy"] for run in runs if run.tags["schedule"] == group["group"]]
        assert group["mean"] == pytest.approx(sum(accuracies) / 2, rel=1e-15)
        assert group["worst"] == min(accuracies)
    assert {pair["n"] for pair in comparison["pairs"]} == {2}


@pytest.mark.parametrize(("words", "start"), [
    (("--format", "csv"), "comparison,metric,group,n,mean,"),
    (("--format", "csv", "--table", "pairs"), "comparison,metric,first,second,n,difference,"),
    (("--format", "markdown"), "\n**Test accuracy, once, after the last step**\n"),
    (("--by", "schedule", "--baseline", "exponential", "--target", "0.5"), " "),
    (("--metric", "val_loss", "--target", "2", "--format", "markdown"), "\n**Validation loss, after the"),
    (("--experiment", "ratelab"), " "),
])  # fmt: skip
def test_every_form_and_choice_works(quick, words, start):
    done = compare(quick.folder, *words)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(start)


def test_another_metric_judges_in_its_own_direction(quick):
    done = compare(quick.folder, "--metric", "test_loss", "--format", "json")
    assert (done.status, done.err) == (0, "")
    [comparison] = json.loads(done.out)["comparisons"]
    assert (comparison["metric"], comparison["higher_is_better"]) == ("test_loss", False)
    runs = find_runs(quick.store).runs
    means = {}
    for group in comparison["groups"]:
        losses = [run.metrics["test_loss"] for run in runs if run.tags["schedule"] == group["group"]]
        means[group["group"]] = sum(losses) / 2
        assert group["mean"] == pytest.approx(means[group["group"]], rel=1e-15)
        assert group["worst"] == max(losses)
    assert [group["group"] for group in comparison["groups"]] == sorted(means, key=means.get)


@pytest.mark.parametrize("time", ["steps_to_target", "examples_to_target", "seconds_to_target"])
def test_the_time_to_a_target_judges(quick, time):
    """Worked out from the points in the store, one epoch after the other."""
    done = compare(quick.folder, "--metric", time, "--target", "0.75", "--format", "json")
    assert (done.status, done.err) == (0, "")
    [comparison] = json.loads(done.out)["comparisons"]
    assert (comparison["metric"], comparison["higher_is_better"], comparison["target"]) == (time, False, 0.75)
    runs = find_runs(quick.store).runs
    ids = [run.run_id for run in runs]
    accuracy, seconds = (read_histories(quick.store, ids, key) for key in ("val_accuracy", "train_seconds"))
    firsts, lasts, cut = {}, [], []
    for run in runs:
        looks, spent = accuracy[run.run_id], seconds[run.run_id].values
        counted = {"steps": looks.steps + 1, "examples": 24 * (looks.steps + 1), "seconds": spent}
        times = counted[time.partition("_")[0]]
        reached = [at for at, value in zip(times, looks.values, strict=True) if value >= 0.75]
        firsts.setdefault(run.tags["schedule"], []).append(min(reached, default=math.inf))
        lasts.append(times[-1])
        cut += [] if reached else [times[-1]]
    end = min(cut, default=max(lasts))
    for group in comparison["groups"]:
        expected = [min(first, end) for first in firsts[group["group"]]]
        assert group["mean"] == pytest.approx(sum(expected) / 2, rel=1e-12)


def test_a_share_of_the_best_mean_and_a_target_out_of_reach(quick):
    done = compare(quick.folder, "--metric", "steps_to_target", "--target", "5%")
    assert (done.status, done.err) == (0, "")
    assert "what the best group ends with, made worse by 5 %" in " ".join(done.out.split())
    done = compare(
        quick.folder, "--metric", "steps_to_target", "--target", "1", "--require", "exponential > fixed"
    )
    sentence = "no run reached 1 on the validation split within 250 steps: there is nothing to compare."
    assert sentence in " ".join(done.out.split())
    assert (done.status, done.err) == (1, f"exponential > fixed: not shown. {sentence}\n")


def test_a_report_is_judged_by_the_time_to_a_target_too(quick, tmp_path):
    words = ["--metric", "steps_to_target", "--target", "0.75", "--figures", str(tmp_path / "figures")]
    done = in_process.ratelab(quick.folder, "report", *words, "--output", str(tmp_path / "report.html"))
    assert (done.status, done.err) == (0, "")
    page = (tmp_path / "report.html").read_text()
    assert "Steps to a target in validation accuracy" in page
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"final-steps-to-target.svg", "validation-accuracy-by-steps.svg"} <= names


def test_a_diverged_run_is_the_worst_in_loss_too(mishaps):
    _, found = read_study(mishaps.store, metric="test_loss")
    [pair] = found.comparisons[0].pairs
    assert pair.verdict == "worse"
    assert pair.mean > 0
    # of ten classes: what a model gives that has learned nothing, for every other run was better
    assert f"diverged, and counted with loss {math.log(10):g}: fixed" in found.comparisons[0].notes[0]


def test_runs_can_be_named(quick):
    ids = [run.run_id for run in find_runs(quick.store).runs if run.tags["schedule"] != "fixed"]
    done = compare(quick.folder, *ids, "--format", "csv")
    rows = {row["group"]: row["n"] for row in csv.DictReader(done.out.splitlines())}
    assert rows == {"exponential": "2", "staircase": "2"}


def test_results_from_the_store_are_those_of_memory(quick):
    """The validation curve, the seconds and the last rate of every run, point by point."""
    for result in load(quick.store, find_runs(quick.store).runs)[0]:
        assert len(result.validation) == 5
        assert [look.step for look in result.validation] == [49, 99, 149, 199, 249]
        rates = read_histories(quick.store, [result.run_id], "learning_rate")[result.run_id]
        assert result.final_rate == rates.values[-1]
        assert result.seconds > 0


def test_diverged_killed_and_running_runs_are_each_named(mishaps):
    printed = " ".join(mishaps.out.split())
    assert "diverged, and counted with accuracy 0: fixed learning_rate=1e+38: 8" in printed
    text = " ".join(compare(mishaps.folder).out.split())
    assert "* note: diverged, and counted with accuracy 0: fixed learning_rate=1e+38: 8" in text
    assert "* note: killed, not counted: fixed learning_rate=0.1 seed=6" in text
    assert "* note: running, not counted: fixed learning_rate=0.1 seed=7" in text
    assert "fixed learning_rate=1e+38 is worse than fixed learning_rate=0.1" in text
    _, found = read_study(mishaps.store)
    [group, diverged] = found.comparisons[0].groups
    assert (len(group.seeds), len(diverged.seeds), diverged.diverged) == (6, 8, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "schedul"], "--by: there is no 'schedul'; did you mean 'schedule'?"),
        (["--baseline", "cosine"], "--baseline: there is no 'cosine'."),
        (["--sweep", "none"], "there is no run of sweep 'none' in this store"),
        (
            ["--experiment", "other"],
            "--experiment: 'other' has no run of ratelab's here. Known: Default, ratelab.",
        ),
        (["0123456789abcdef"], "'0123456789abcdef' is not the id of a run in this store."),
        (["--sweep", "a", "--experiment", "b"], "give run ids, --sweep or --experiment, one of them."),
        (["--target", "150%"], "--target must be from 0% to below 100%, got '150%'."),
        (["--target", "much"], "--target must be a value, as 0.9, or a share, as 5%, got 'much'."),
        (["--metric", "step_to_target"], "there is no 'step_to_target'; did you mean 'steps_to_target'?"),
        (["--target", "1.5"], "--target must be an accuracy, above 0 and at most 1, got 1.5."),
        (
            ["--metric", "loss"],
            "--metric: there is no 'loss'; did you mean 'val_loss'? Known: examples_to_",
        ),
    ],
)
def test_a_mistake_is_one_message(quick, words, message):
    done = compare(quick.folder, *words)
    assert done.status in {1, 2}
    assert done.out == ""
    assert message in done.err
    assert "Traceback" not in done.err


def test_the_parent_of_a_sweep_is_no_run_to_compare(quick):
    found = find_runs(quick.store)
    with pytest.raises(UserError, match=f"{found.parent_id} is not a run that trained; name its children"):
        find_runs(quick.store, run_ids=[found.parent_id])


def test_a_sqlite_store_is_compared_without_importing_mlflow_or_tensorflow(quick):
    program = (
        "import sys; from ratelab.commands.cli import commands; commands(['compare'], standalone_mode=False);"
        " sys.exit(', '.join({'mlflow', 'tensorflow', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = finish(begin(quick.folder, program=[sys.executable, "-c", program], path=SRC), quick.folder)
    assert (done.status, done.err) == (0, "")
    assert done.out in quick.out


def test_a_run_that_cannot_be_read_is_told_beside_a_table_that_has_no_notes(quick, tmp_path):
    shutil.copytree(quick.folder / "mlruns", tmp_path / "mlruns")
    foreign = replace(good_run(1), started=2_000_000_000_000)
    tags = {"schedule": "onecycle", "sweep_id": find_runs(quick.store).sweep_id}
    write_runs(
        tmp_path / "mlruns" / "mlflow.db", [replace(foreign, tags=tags, name="cifar", experiment_id=1)]
    )
    done = compare(tmp_path, "--format", "csv")
    assert done.status == 0
    assert len(done.out.splitlines()) == 4
    reason = "it is no run of ratelab's, for it has no tag 'config_digest'"
    assert done.err == f"cannot be read, left out: cifar: {reason}\n"


def test_an_absent_store_is_one_message(tmp_path):
    done = ratelab(tmp_path, "compare")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("there is no store at ")
    assert list(tmp_path.iterdir()) == []
