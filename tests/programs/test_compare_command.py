"""`ratelab compare` on real stores: the numbers of the sweep, whatever became of its runs."""

import csv
import json
import os
import subprocess
import sys

import pytest

from ratelab.commands.recorded_study import load, read_study
from ratelab.tracking import histories, recorded
from ratelab.validation import UserError
from support import ROOT

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py"), "-m", "experiment=quick"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def train(folder, *words):
    return subprocess.run([*TRAIN, *words], cwd=folder, capture_output=True, text=True, timeout=200)


def compare(folder, *words):
    command = [sys.executable, "-m", "ratelab", "compare", *words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def store(folder):
    return f"sqlite:///{folder}/mlruns/mlflow.db"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """The main job on the digits, eight seeds; its folder and how it ended."""
    folder = tmp_path_factory.mktemp("compare")
    done = train(folder, "schedule=fixed,exponential", "seed=range(0,8)")
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


@pytest.fixture(scope="module")
def mishaps(tmp_path_factory):
    """A sweep with a rate at which runs diverge; afterwards one run counts as killed and one as running."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mishaps")
    done = train(folder, "schedule=fixed", "learning_rate=0.1,1e38", "seed=range(0,8)")
    assert (done.returncode, done.stderr) == (0, "")
    client = MlflowClient(store(folder))
    slow = [run for run in recorded(store(folder)).runs if run.params["learning_rate"] == "0.1"]
    client.set_terminated(slow[6].run_id, "KILLED")
    client.update_run(slow[7].run_id, "RUNNING")
    return folder, done.stdout


def test_another_process_prints_the_same_numbers(sweep):
    folder, printed = sweep
    done = compare(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exponential" in done.stdout
    assert done.stdout in printed


def test_batches_that_grow_are_compared_by_examples_seen(tmp_path):
    growing = ["batch=growing", "batch.decay_steps=30,1000", "batch_size=20", "epochs=4", "seed=range(0,3)"]
    done = train(tmp_path, "schedule=fixed", *growing)
    assert (done.returncode, done.stderr) == (0, "")
    again = compare(tmp_path)
    assert again.stdout in done.stdout
    runs = recorded(store(tmp_path)).runs
    sizes = histories(store(tmp_path), [run.run_id for run in runs], "examples_seen")
    for run, result in zip(runs, load(store(tmp_path), runs), strict=True):
        seen = {look.step: look.examples for look in result.validation}
        assert len(seen) == 4
        if run.params["batch.decay_steps"] == "1000":  # the run is shorter, so its batch stays
            assert run.run_id not in sizes
            assert seen == {step: (step + 1) * 20 for step in seen}
        else:
            counted = dict(zip(sizes[run.run_id].steps, sizes[run.run_id].values, strict=True))
            assert seen == {step: counted[step] for step in seen}


def test_the_sweep_ends_with_its_verdict(sweep):
    assert "* exponential is worse than fixed: accuracy -" in sweep[1]


def test_json_holds_what_the_store_holds(sweep):
    folder, _ = sweep
    read = json.loads(compare(folder, "--format", "json").stdout)
    [comparison] = read["comparisons"]
    runs = recorded(store(folder)).runs
    for group in comparison["groups"]:
        accuracies = [run.metrics["test_accuracy"] for run in runs if run.tags["schedule"] == group["group"]]
        assert group["mean"] == pytest.approx(sum(accuracies) / 8, rel=1e-15)
        assert group["worst"] == min(accuracies)
    assert [pair["n"] for pair in comparison["pairs"]] == [8]


@pytest.mark.parametrize(("words", "start"), [
    (("--format", "csv"), "comparison,group,n,mean,"),
    (("--format", "csv", "--table", "pairs"), "comparison,first,second,n,difference,"),
    (("--format", "markdown"), "\n**Test accuracy, once, after the last step**\n"),
    (("--by", "schedule", "--baseline", "exponential", "--target", "0.5"), " "),
    (("--experiment", "ratelab"), " "),
])  # fmt: skip
def test_every_form_and_choice_works(sweep, words, start):
    done = compare(sweep[0], *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(start)


def test_runs_can_be_named(sweep):
    folder, _ = sweep
    ids = [run.run_id for run in recorded(store(folder)).runs if run.tags["seed"] in {"0", "1"}]
    done = compare(folder, *ids, "--format", "csv")
    assert [row["n"] for row in csv.DictReader(done.stdout.splitlines())] == ["2", "2"]


def test_results_from_the_store_are_those_of_memory(sweep):
    """The validation curve, the seconds and the last rate of every run, point by point."""
    folder, _ = sweep
    runs = recorded(store(folder)).runs
    for result in load(store(folder), runs):
        assert len(result.validation) == 5
        assert [look.step for look in result.validation] == [49, 99, 149, 199, 249]
        assert (
            result.final_rate
            == histories(store(folder), [result.run_id], "learning_rate")[result.run_id].values[-1]
        )
        assert result.seconds > 0


def test_diverged_killed_and_running_runs_are_each_named(mishaps):
    folder, printed = mishaps
    assert "diverged, and counted with accuracy 0: fixed learning_rate=1e+38: 8" in " ".join(printed.split())
    text = " ".join(compare(folder).stdout.split())
    assert "* note: diverged, and counted with accuracy 0: fixed learning_rate=1e+38: 8" in text
    assert "* note: killed, not counted: fixed learning_rate=0.1 seed=6" in text
    assert "* note: running, not counted: fixed learning_rate=0.1 seed=7" in text
    assert "fixed learning_rate=1e+38 is worse than fixed learning_rate=0.1" in text
    _, found = read_study(store(folder))
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
        (["--target", "1.5"], "1.5 is not in the range 0<x<=1"),
    ],
)
def test_a_mistake_is_one_message(sweep, words, message):
    done = compare(sweep[0], *words)
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_parent_of_a_sweep_is_no_run_to_compare(sweep):
    found = recorded(store(sweep[0]))
    with pytest.raises(UserError, match=f"{found.parent_id} is not a run that trained; name its children"):
        recorded(store(sweep[0]), run_ids=[found.parent_id])


def test_an_absent_store_is_one_message(tmp_path):
    done = compare(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("there is no store at ")
    assert list(tmp_path.iterdir()) == []
