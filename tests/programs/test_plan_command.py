"""`ratelab plan` on a recorded sweep: a program of its own, with the numbers of the store."""

import numpy as np
import pytest

from ratelab.comparison.power import find_ratio, find_seeds
from ratelab.tracking import find_runs
from support import in_process
from support.programs import ONE_WORKER, ratelab, train


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    words = ["schedule=fixed,exponential", "epochs=2", "seed=range(0,7)"]
    done = train(tmp_path_factory.mktemp("pilot"), "-m", "experiment=quick", ONE_WORKER, *words)
    assert (done.status, done.err) == (0, "")
    return done


def read_differences(store, metric):
    found = {}
    for run in find_runs(store).runs:
        found.setdefault(run.tags["schedule"], {})[run.params["seed"]] = run.metrics[metric]
    return np.array([found["exponential"][seed] - value for seed, value in found["fixed"].items()])


@pytest.mark.parametrize(("metric", "words"), [
    ("test_accuracy", ["--baseline", "fixed"]), ("test_loss", ["--metric", "test_loss"]),
])  # fmt: skip
def test_another_process_plans_from_what_the_store_has(pilot, metric, words):
    deviation = np.std(read_differences(pilot.store, metric), ddof=1)
    difference = 0.8 * float(deviation)
    done = ratelab(pilot.folder, "plan", "--difference", f"{difference!r}", *words)
    assert (done.status, done.err) == (0, "")
    [row] = [line.split() for line in done.out.splitlines() if line.startswith("exponential")]
    few, many = (find_seeds(power, difference / deviation, 1, 7) for power in (0.8, 0.95))
    assert row[:3] == ["exponential", "fixed", "7"]
    shown = [float(text) for text in row[3:5]]
    assert shown == pytest.approx([deviation, find_ratio(0.8, 1, 7) * deviation], rel=0.006)
    assert (row[5], row[7]) == (f"{few}", f"{many}")
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_pilot_of_two_seeds_is_one_message(quick):
    done = in_process.ratelab(quick.folder, "plan", "--difference", "0.01", "--baseline", "fixed")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(
        "plan: exponential and fixed: 2 seeds tell no spread; a pilot needs 3 at least"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--difference", "0"], "--difference must be above 0 and finite, got 0: what is to be shown"),
        (["--difference", "much"], "'much' is not a valid float"),
        ([], "Missing option '--difference'"),
        (["--difference", "0.1", "--target", "0.9"], "No such option"),
        (["--difference", "0.1", "--baseline", "cosine"], "--baseline: there is no 'cosine'."),
        (["--difference", "0.1", "--metric", "loss"], "--metric: there is no 'loss'"),
        (["--difference", "0.1", "--sweep", "none"], "there is no run of sweep 'none' in this store"),
    ],
)
def test_a_mistake_is_one_message(pilot, words, message):
    done = in_process.ratelab(pilot.folder, "plan", *words)
    assert done.status in {1, 2}
    assert done.out == ""
    assert message in done.err
    assert "Traceback" not in done.err
