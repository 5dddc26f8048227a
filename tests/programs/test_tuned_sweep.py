"""experiment=tuned, from the command line to what is recorded and concluded."""

import re
import subprocess
import sys

import pytest

from ratelab.commands.recorded_study import load
from ratelab.comparison import study
from ratelab.sweeps.tuned import Tuning
from ratelab.tracking import recorded
from support import ROOT

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
SMALL = ["experiment=tuned", "data=digits", "epochs=1", "batch_size=24", "schedule=fixed,exponential"]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py")]


def train(folder, *words):
    return subprocess.run([*TRAIN, *words], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep whose grid is too low, so that it must grow once; its folder and how it ended."""
    folder = tmp_path_factory.mktemp("tuned")
    grid = ["lowest=0.001", "highest=0.1", "points=3", "seeds=[1000,1001]", "widenings=1"]
    options = [f"hydra.sweeper.tuning.{option}" for option in grid]
    return folder, train(folder, *SMALL, *options, "learning_rate=0.05", "seed=range(0,6)")


@pytest.fixture(scope="module")
def runs(sweep):
    folder, done = sweep
    assert (done.returncode, done.stderr) == (0, "")
    return recorded(f"sqlite:///{folder}/mlruns/mlflow.db").runs


@pytest.fixture(scope="module")
def results(sweep, runs):
    return load(f"sqlite:///{sweep[0]}/mlruns/mlflow.db", runs)


def test_every_schedule_is_tried_at_the_same_rates_with_the_same_seeds(results):
    tried = {
        schedule: sorted(
            (float(r.settings["learning_rate"]), r.seed)
            for r in results
            if r.is_tuning and r.choices["schedule"] == schedule
        )
        for schedule in ("fixed", "exponential")
    }
    rates = [0.001, 0.01, 0.1, 1.0, 10.0]
    assert tried["fixed"] == tried["exponential"] == [(rate, seed) for rate in rates for seed in (1000, 1001)]


def test_tuning_runs_never_see_the_test_split(runs):
    for run in runs:
        assert ("test_accuracy" in run.metrics) == (run.params["test"] == "True")
        assert "val_accuracy" in run.metrics


def test_the_best_rate_is_the_one_with_the_highest_validation_accuracy(results):
    tuned = study(results).tuned
    assert {one.name for one in tuned} == {"fixed", "exponential"}
    for one in tuned:
        means = {}
        for result in results:
            if result.is_tuning and result.choices["schedule"] == one.name:
                rate = float(result.settings["learning_rate"])
                means[rate] = means.get(rate, 0) + result.validation[-1].accuracy / 2
        assert one.best == max(means, key=means.get)
        assert one.best > 0.1  # which the grid had to grow for


def test_the_others_judge_with_fresh_seeds_at_the_same_rate_and_at_the_best(results):
    best = {one.name: one.best for one in study(results).tuned}
    judged = sorted(
        (r.choices["schedule"], float(r.settings["learning_rate"]), r.seed)
        for r in results
        if not r.is_tuning
    )
    assert judged == sorted(
        (schedule, rate, seed) for schedule in best for rate in (0.05, best[schedule]) for seed in range(6)
    )


def test_another_process_comes_to_the_same_conclusions(sweep, results):
    folder, done = sweep
    command = [sys.executable, "-m", "ratelab", "compare"]
    again = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=60
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert "the same base rate 0.05" in again.stdout
    assert "each at its best base rate" in again.stdout
    assert again.stdout in done.stdout


def test_all_are_children_of_one_run(sweep, runs):
    assert len({run.tags["mlflow.parentRunId"] for run in runs}) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learning_rate=0.1,1"], "learning_rate must be one value: the base rates to try come from"),
        (["seed=1000,1"], "tuning.seeds must be other seeds than those that judge, both have 1000"),
        (["hydra.sweeper.tuning.points=2"], "tuning.points must be greater than or equal to 3, got 2"),
        (["hydra.sweeper.tuning.lowest=0"], "hydra.sweeper.tuning.lowest must be greater than 0, got 0"),
        (["hydra.sweeper.tuning.lowest=20"], "hydra.sweeper.tuning.lowest must be below highest, got 20"),
        (["+hydra.sweeper.tuning.pints=3"], "there is no key 'hydra.sweeper.tuning.pints'"),
        (["hydra/launcher=basic"], "hydra.sweeper.tuning needs hydra/launcher=ratelab or hydra/launcher=ray"),
        (["seed=-1"], "seed must be greater than or equal to 0, got -1"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path, words, message):
    done = train(tmp_path, *SMALL, *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def tuning(**options):
    return Tuning(**{"lowest": 0.01, "highest": 1.0, "points": 3, "seeds": [1], "widenings": 1} | options)


def test_the_grid_has_equal_ratios():
    assert tuning().grid == [0.01, 0.1, 1.0]
    assert tuning(points=5).grid == [0.01, 0.0316, 0.1, 0.316, 1.0]


@pytest.mark.parametrize(
    ("edges", "new"),
    [
        (set(), []),
        ({""}, []),
        ({"", "highest"}, [10.0, 100.0]),
        ({"lowest"}, [0.0001, 0.001]),
        ({"lowest", "highest"}, [0.0001, 0.001, 10.0, 100.0]),
    ],
)
def test_the_grid_grows_at_the_edge_that_was_best(edges, new):
    assert tuning().beyond([0.01, 0.1, 1.0], edges) == new


def test_the_experiment_is_a_sweep_without_saying_so(sweep):
    assert re.search(r"^\d+ runs, ", sweep[1].stdout, re.MULTILINE)
