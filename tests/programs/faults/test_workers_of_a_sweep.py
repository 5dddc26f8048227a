"""The command line of a sweep whose workers are killed, or that is killed itself."""

import os
import re
import signal

import psutil
import pytest

from support.programs import HANGS, begin, finish, so_far, wait_until, workers

LONG = ["data=digits", "batch_size=24", "epochs=600", "tracking.train_loss_every=1000"]
FEW = ["schedule=fixed,exponential", "seed=0,1,2", "hydra.launcher.workers=1"]


def started_runs(folder, process, number):
    """Wait until `number` runs have their first epochs in the store."""
    wait_until(
        lambda: sum("val_loss" in run.data.metrics for run in so_far(folder).everything) >= number, process
    )


@pytest.fixture
def sweep(tmp_path):
    """Start a sweep of six long runs, two in a stack, one worker; killed at the end."""
    process = begin(tmp_path, "-m", *LONG, *FEW)
    yield process
    process.kill()
    process.communicate()


def test_a_worker_that_is_killed_costs_nothing(tmp_path, sweep):
    started_runs(tmp_path, sweep, 4)  # the second stack
    (worker,) = workers(sweep)
    worker.send_signal(signal.SIGKILL)
    done = finish(sweep, tmp_path)
    assert done.status == 0
    assert re.fullmatch(r"Worker process \d+ died \(SIGKILL: .*\); once more is trained: .*\n", done.err)
    rows = [line.split()[:2] for line in done.out.splitlines()]
    assert (rows.count(["fixed", "3"]), rows.count(["exponential", "3"])) == (
        1,
        1,
    )  # runs of each, in the table
    assert "not counted" not in done.out
    assert {run.info.status for run in done.everything} == {"FINISHED"}
    assert len(done.children) == 6
    for run in done.children.values():
        assert done.points(run, "learning_rate")[0] == list(range(600 * 50))
        assert done.points(run, "val_loss")[0] == list(range(49, 600 * 50, 50))


def test_runs_whose_worker_is_killed_twice_fail_and_the_others_finish(tmp_path, sweep):
    started_runs(tmp_path, sweep, 2)
    for _ in range(2):
        (worker,) = workers(sweep)
        worker.send_signal(signal.SIGKILL)
        worker.wait(HANGS)
        wait_until(lambda: workers(sweep), sweep)
    done = finish(sweep, tmp_path)
    assert done.status == 1
    assert done.err.count("worker process died twice") == 1
    assert "Traceback" not in done.err
    ends = {
        (run.data.tags["schedule"], run.data.tags["seed"]): run.info.status for run in done.children.values()
    }
    failed = {key for key, status in ends.items() if status == "FAILED"}
    assert failed == {("fixed", "0"), ("exponential", "0")}
    assert set(ends.values()) == {"FAILED", "FINISHED"}
    assert len(ends) == 6


def test_the_workers_end_when_the_program_is_killed(tmp_path, sweep):
    started_runs(tmp_path, sweep, 1)
    children = workers(sweep)
    os.kill(sweep.pid, signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=HANGS)[1] == []
