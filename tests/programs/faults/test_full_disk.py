"""A disk that is full in the middle of a sweep: it is waited for, and the store stays sound."""

import contextlib
import os
import sqlite3
import subprocess
import time

import pytest

from support.programs import ONE_WORKER, begin, finish, ratelab, wait_until, workers

EPOCHS = 40
SWEEP = ["-m", "experiment=quick", "tracking.train_loss_every=1", ONE_WORKER]
SCHEDULES = "schedule=fixed,exponential,staircase"


@pytest.fixture
def disk(tmp_path):
    """A disk of 24 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted here by nobody, or by root alone")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(disk):
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def begin_and_fill(disk, *words, epochs=EPOCHS):
    """Start a sweep whose disk is full when its first runs have begun."""
    process = begin(disk, *SWEEP, f"epochs={epochs}", *words)
    wait_until((disk / "mlruns" / "artifacts").exists, process)
    fill(disk)
    return process


def make_room(disk):
    (disk / "filler").unlink()


def assert_sound(disk):
    with contextlib.closing(sqlite3.connect(disk / "mlruns" / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_sweep_waits_for_room_and_loses_no_row(disk):
    process = begin_and_fill(disk, SCHEDULES, "seed=0")
    time.sleep(8)
    assert process.poll() is None
    make_room(disk)
    done = finish(process, disk)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    assert len(done.err) < 2000
    assert [run.info.status for run in done.runs.values()] == ["FINISHED"] * 4
    for run in done.children.values():
        assert done.points(run, "learning_rate")[0] == list(range(50 * EPOCHS))
        assert done.points(run, "train_loss")[0] == list(range(50 * EPOCHS))
    assert_sound(disk)


@pytest.mark.faults
def test_what_a_full_disk_has_not_taken_it_is_given_once_there_is_room(disk, tmp_path_factory):
    """The disk of the store is full, for longer than it is waited for, and not that of the journal."""
    jobs = tmp_path_factory.mktemp("jobs") / "sweep"
    slow = ["hydra.launcher.largest_stack=1", "model=mlp", "model.hidden=[1024,1024]"]
    process = begin_and_fill(
        disk, "schedule=fixed,exponential", f"hydra.sweep.dir={jobs}", *slow, epochs=300
    )  # half a minute a run
    told = ""
    while "It is waited for" not in told:  # after ten seconds
        told += (line := process.stderr.readline())
        assert line, told
    [worker] = workers(process)
    worker.suspend()  # or all would have been trained when there is room again
    time.sleep(115)  # two minutes, and a little more, after the first row that did not fit
    # for all of the rows, and for what SQLite writes twice, the disk is too small
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    make_room(disk)
    worker.resume()
    done = finish(process, disk)
    assert done.status == 0
    assert "Traceback" not in done.err
    assert f"tracking.uri: {disk}/mlruns/mlflow.db: database or disk is full. Make room" in told + done.err
    assert "The store has been given what it had not taken.\n" in done.err
    assert [run.info.status for run in done.runs.values()] == ["FINISHED"] * 3
    for run in done.children.values():
        assert done.points(run, "learning_rate")[0] == list(range(50 * 300))
        assert "not_kept" not in run.data.tags
    assert_sound(disk)


@pytest.mark.faults
def test_a_disk_that_stays_full_ends_the_sweep_after_minutes_and_has_all_of_it_later(disk):
    """Journal and store are both on it: what the journal did not take either is trained again."""
    start = time.monotonic()
    done = finish(begin_and_fill(disk, SCHEDULES, "seed=0,1"), disk)
    assert time.monotonic() - start < 300
    assert done.status == 75
    assert "Traceback" not in done.err
    assert f"tracking.uri: {disk}/mlruns/mlflow.db: database or disk is full. Make room" in done.err
    assert len(done.err) < 3000
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    make_room(disk)
    assert_sound(disk)
    again = ratelab(disk, "resume")
    assert (again.status, again.err) == (0, "")
    assert [run.info.status for run in done.runs.values()] == ["FINISHED"] * 7
    for run in done.children.values():
        assert done.points(run, "learning_rate")[0] == list(range(50 * EPOCHS))
    assert_sound(disk)
