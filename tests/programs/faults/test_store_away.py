"""A store that is away while a sweep trains: that goes on to its end, and the store has every row later."""

import sqlite3
import time
from contextlib import closing

import pytest

from ratelab.runs.past import read_past
from support.programs import (
    ONE_WORKER,
    RATELAB,
    begin,
    finish,
    ratelab,
    rows_of,
    so_far,
    train,
    unless_given,
    wait_until,
)
from support.servers import Proxy, mlflow_server

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
SWEEP = [
    "-m",
    "experiment=quick",
    "epochs=40",
    "schedule=fixed,exponential",
    "seed=0,1",
    "hydra.launcher.largest_stack=2",
    ONE_WORKER,
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a sweep leaves whose store is always there."""
    folder = tmp_path_factory.mktemp("whole")
    done = train(folder, *SWEEP)
    assert (done.status, done.err) == (0, "")
    return rows_of(folder)


@pytest.fixture
def served(tmp_path):
    """The folder of a server, and a proxy in front of it."""
    with mlflow_server(tmp_path / "server") as address, Proxy(address) as proxy:
        yield tmp_path / "server", proxy


def begin_through(proxy, folder):
    """Begin the sweep; return the program once the server has rows of its first runs."""
    folder.mkdir(exist_ok=True)
    words = ["tracking=server", f"tracking.uri={proxy.address}"]
    program = begin(folder, *SWEEP, *words)
    wait_until(lambda: proxy.seen["/runs/log-batch"] > 4, program)
    return program


def has_trained(folder):
    """Whether the journal has the end of every run."""
    return [one for one in folder.glob("multirun/*/*") if _has_trained(one)]


def _has_trained(folder):
    runs = read_past(folder).runs.values()
    return bool(runs) and all(run.ended for run in runs)


def assert_synced(folder, store, whole):
    """Give the store what it lacks, twice; the second time changes nothing."""
    for _ in range(2):
        done = ratelab(folder, "sync")
        assert (done.status, done.err) == (0, "")
        assert rows_of(store) == whole


FAULTS = {
    "refuses": lambda path, body: 403,
    "fails": lambda path, body: 500,
    "goes silent": lambda path, body: "silent",
}


@pytest.mark.parametrize(
    "fault",
    [
        "refuses",
        pytest.param("fails", marks=pytest.mark.faults),
        pytest.param("goes silent", marks=pytest.mark.faults),
    ],
)
def test_a_sweep_trains_to_its_end_without_a_server_which_is_given_all_of_it_afterwards(
    served, tmp_path, whole, fault
):
    store, proxy = served
    program = begin_through(proxy, tmp_path)
    proxy.rule = FAULTS[fault]
    wait_until(lambda: has_trained(tmp_path), program)
    done = finish(program, tmp_path)
    assert done.status == 75
    assert "Traceback" not in done.err
    [folder] = has_trained(tmp_path)
    assert f"Give it what the journal has as soon as it takes that: ratelab sync {folder}\n" in done.err
    assert "fixed" in done.out  # the comparison of results that the store lacks
    again = finish(begin(tmp_path, "sync", program=RATELAB), tmp_path)
    assert again.status != 0
    assert "Traceback" not in again.err
    proxy.rule = lambda path, body: None
    assert_synced(tmp_path, store, whole)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [60, 200])
def test_a_server_that_comes_back_while_the_program_waits_or_trains_has_every_row(
    served, tmp_path, whole, seconds
):
    store, proxy = served
    program = begin_through(proxy, tmp_path)
    proxy.rule = FAULTS["fails"]
    begun = time.monotonic()
    wait_until(lambda: has_trained(tmp_path), program)
    time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
    proxy.rule = lambda path, body: None
    done = finish(program, tmp_path)
    assert done.status == (0 if seconds < 120 else 75)
    if seconds < 120:
        assert rows_of(store) == whole
    assert_synced_if_left(tmp_path, store, whole)


def assert_synced_if_left(folder, store, whole):
    done = ratelab(folder, "sync")
    assert (done.status, done.err) == (0, "")
    assert rows_of(store) == whole


@pytest.mark.parametrize("seconds", [30, pytest.param(150, marks=pytest.mark.faults)])
def test_a_database_that_is_locked_keeps_no_run_from_training(tmp_path, whole, seconds):
    program = begin(tmp_path, *SWEEP)
    wait_until(lambda: any("val_loss" in run.data.metrics for run in so_far(tmp_path).everything), program)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA busy_timeout = 20000")
        holder.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        wait_until(lambda: has_trained(tmp_path), program)
        time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
        assert (program.poll() is None) == (seconds < 120)
        holder.execute("ROLLBACK")
    done = finish(program, tmp_path)
    assert "Traceback" not in done.err
    assert done.status == (0 if seconds < 120 else 75)
    assert_synced_if_left(tmp_path, tmp_path, whole)


@pytest.mark.parametrize("name", ["a sweep", "a run"])
def test_a_program_that_is_told_to_stop_does_not_wait_for_a_store_that_is_away(served, tmp_path, name):
    store, proxy = served
    words = ["tracking=server", f"tracking.uri={proxy.address}"]
    long = ["experiment=quick", "epochs=4000"]
    sweep = [*unless_given(SWEEP, long), *long]
    program = begin(tmp_path, *(sweep if name == "a sweep" else long), *words)
    wait_until(lambda: proxy.seen["/runs/log-batch"] > 4, program)
    proxy.rule = FAULTS["goes silent"]
    time.sleep(1)  # into a call that is not answered
    begun = time.monotonic()
    program.terminate()
    done = finish(program, tmp_path)
    assert time.monotonic() - begun < 30  # 5 s on a machine that does nothing else
    assert done.status == 143
    assert "Give it the rest: ratelab sync " in done.err
    proxy.rule = lambda path, body: None
    again = ratelab(tmp_path, "sync")
    assert (again.status, again.err.count("Traceback")) == (0, 0)
    runs, rows, _ = rows_of(store)
    statuses = {status for _, status in runs}
    assert "KILLED" in statuses
    assert statuses <= {"KILLED", "FINISHED"}  # the first stack may have come to its end
    journal = [*tmp_path.glob("multirun/*/*/journal")]
    steps = {run.steps for one in journal for run in read_past(one.parent).runs.values()}
    assert max(row[2] for row in rows if row[1] == "learning_rate") == max(steps) - 1
