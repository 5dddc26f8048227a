"""A sweep that is told to stop in the middle: once, with all of its processes, and again and again."""

import os
import signal
import time
from functools import partial

import pytest

from ratelab.runs.past import read_past
from support.programs import (
    ONE_WORKER,
    assert_every_step,
    begin,
    finish,
    formula,
    ratelab,
    so_far,
    wait_until,
)

# Seconds. Training ends at once. So does the program where it is alone; it waits for its worker and for the
# store, and where others have the cores that takes a multiple. The stack itself would take minutes.
AT_ONCE, SOON = 5, 30


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Two sweeps, each told to stop in its second stack, which would take minutes; and how they ended."""
    one_by_one = ["-m", "experiment=quick", ONE_WORKER]
    overrides = [*one_by_one, "epochs=2,50000", "schedule=fixed,exponential"]
    numbers = (signal.SIGINT, signal.SIGTERM)
    folders = {number: tmp_path_factory.mktemp(number.name) for number in numbers}
    # In sessions of their own: what goes to a whole group of processes does not reach the other one.
    processes = {number: begin(folders[number], *overrides) for number in numbers}
    try:
        for number, process in processes.items():
            wait_until(partial(has_points, folders[number], "epochs=50000"), process)
        os.killpg(processes[signal.SIGTERM].pid, signal.SIGTERM)  # as `timeout` and service managers do
        processes[signal.SIGINT].send_signal(signal.SIGINT)
        told = time.time()
        return told, {number: finish(processes[number], folders[number], SOON) for number in numbers}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def has_points(folder, part):
    """Whether a run whose name has `part` has learning rates in the store."""
    return any(
        part in run.info.run_name and "learning_rate" in run.data.metrics for run in so_far(folder).everything
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_told_to_stop_stores_what_it_has_and_says_so(stopped, number, status):
    told, done = stopped[0], stopped[1][number]
    assert done.status == status
    ending = f"Stopped by {number.name}. A run that had begun is KILLED, with what it had computed.\n"
    assert done.err == ending
    assert done.parent.info.status == "KILLED"
    assert {name: run.info.status for name, run in done.children.items()} == {
        "fixed epochs=2 seed=0": "FINISHED",
        "exponential epochs=2 seed=0": "FINISHED",
        "fixed epochs=50000 seed=0": "KILLED",
        "exponential epochs=50000 seed=0": "KILLED",
    }
    for run in done.children.values():
        steps = done.steps(run)
        rates = formula(run.data.tags["schedule"], len(steps["step"]))
        assert steps["step"].tolist() == list(range(len(rates)))
        assert steps["timestamp"][-1] / 1000 < told + AT_ONCE
        assert_every_step(done, run, "learning_rate", rates)


def test_a_sweep_that_gets_ctrl_c_again_and_again_ends_at_once_and_loses_nothing(tmp_path):
    """Its runs are KILLED as well; what waited to be stored is in the journal."""
    program = begin(
        tmp_path, "-m", "experiment=quick", "epochs=50000", "schedule=fixed,exponential", ONE_WORKER
    )
    wait_until(partial(has_points, tmp_path, "fixed"), program)
    told = time.monotonic()
    while program.poll() is None and time.monotonic() < told + SOON:  # as impatient users do
        program.send_signal(signal.SIGINT)
        time.sleep(0.1)
    done = finish(program, tmp_path, SOON)
    assert done.status == 130
    assert "Traceback" not in done.err
    assert [run.info.status for run in done.everything] == ["KILLED"] * 3
    [journal] = tmp_path.glob("multirun/*/*/journal")
    assert ratelab(tmp_path, "sync", str(journal.parent)).status == 0
    given = {run.begun["name"]: run.steps for run in read_past(journal.parent).runs.values()}
    for name, run in so_far(tmp_path).children.items():
        assert done.points(run, "learning_rate")[0] == list(range(given[name]))
