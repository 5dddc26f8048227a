"""What a store lacks of killed sweeps, and one that is new, `ratelab sync` gives it, row by row, and once."""

import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow.parquet
import pytest

from ratelab.runs.journal import Journal
from ratelab.runs.past import read_past
from support.programs import begin, ratelab, train

SWEEP = [
    "-m",
    "experiment=quick",
    "epochs=100",
    "tracking.train_loss_every=1",
    "checkpoint.every=0.05",
    "hydra.launcher.workers=1",
    "schedule=fixed,one_cycle",
    "seed=0,1,2",
]
STORE, OTHER = Path("mlruns", "mlflow.db"), Path("other", "mlflow.db")


def journal_of(folder):
    [journal] = folder.glob("multirun/*/*/journal")
    return journal


def rows_of(path):
    """All metrics in a store by the names of their runs, (key, step, milliseconds, value)."""
    with closing(sqlite3.connect(path)) as store:
        found = {name: [] for (name,) in store.execute("SELECT name FROM runs")}
        query = "SELECT name, key, step, timestamp, value FROM metrics JOIN runs USING (run_uuid)"
        for name, *row in store.execute(query):
            found[name].append(tuple(row))
    return {name: sorted(rows) for name, rows in found.items()}


def without_times(rows):
    """They differ from one program to another."""
    return {
        name: sorted((key, step, value) for key, step, _, value in of_run if key != "train_seconds")
        for name, of_run in rows.items()
    }


def statuses_of(path):
    with closing(sqlite3.connect(path)) as store:
        return dict(store.execute("SELECT name, status FROM runs"))


def steps_of(path):
    """The steps in the table of each run."""
    with closing(sqlite3.connect(path)) as store:
        places = dict(store.execute("SELECT name, artifact_uri FROM runs"))
    found = {}
    for name, place in places.items():
        file = Path(unquote(urlparse(place).path)) / "steps.parquet"
        if file.exists():
            found[name] = pyarrow.parquet.read_table(file)["step"].to_pylist()
    return found


def rows_in_journal(folder):
    """The rows that a store is to have of each run that has begun."""
    past, found = read_past(folder), {}
    with closing(Journal(folder, past.program, is_resumed=True)) as journal:
        for number, run in past.runs.items():
            if run.begun is not None:
                found[run.begun["name"]] = sorted(rows_of_run(run, journal.of(number).chunks()))
    return found


def rows_of_run(run, chunks):
    seconds = 0.0
    for _, chunk in chunks:
        steps, times = chunk.steps.tolist(), chunk.timestamps.tolist()
        seconds += chunk.seconds
        for key, values in {**chunk.applied, "train_loss": chunk.train_loss}.items():
            for step, when, value in zip(steps, times, values, strict=True):
                yield key, step, when, float(value)
        for key, value in {**chunk.measured, "train_seconds": seconds}.items():
            yield key, steps[-1], times[-1], value
    if run.ended is not None:
        for key, value in run.ended["test"].items():
            yield f"test_{key}", steps[-1], run.tested_at, value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a sweep that was left alone, and what it left."""
    folder = tmp_path_factory.mktemp("whole")
    done = train(folder, *SWEEP)
    assert done.status == 0, done.err
    left = rows_of(folder / STORE), steps_of(folder / STORE), statuses_of(folder / STORE)
    return folder, left, journal_of(folder).stat().st_size


def kill_at(process, folder, size):
    """Kill all of a program when its journal has this size."""
    while not any(path.stat().st_size >= size for path in folder.glob("multirun/*/*/journal")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def check_given(path, folder):
    """A store has what a journal has: every row once, every step in its table, how each run ended."""
    rows = rows_of(path)
    [parent] = rows.keys() - (wanted := rows_in_journal(folder)).keys()
    assert rows == {**wanted, parent: []}
    past = {run.begun["name"]: run for run in read_past(folder).runs.values() if run.begun is not None}
    assert steps_of(path) == {name: [*range(run.steps)] for name, run in past.items()}
    statuses = {name: "KILLED" if run.ended is None else "FINISHED" for name, run in past.items()}
    assert statuses_of(path) == {**statuses, parent: "KILLED"}
    return {*statuses.values()}


def test_a_killed_sweep_is_given_to_its_store_and_to_another_then_goes_on_to_the_same_rows(tmp_path, whole):
    """One stack has ended, one is trained, one has not begun."""
    _, left, size = whole
    kill_at(begin(tmp_path, *SWEEP), tmp_path, 0.4 * size)
    folder = journal_of(tmp_path).parent
    given = ratelab(tmp_path, "sync")
    assert (given.status, given.err) == (0, "")
    assert f"{folder}: " in given.out
    assert f"Go on with: ratelab resume {folder}\n" in given.out
    assert check_given(tmp_path / STORE, folder) == {"FINISHED", "KILLED"}
    before = rows_of(tmp_path / STORE), statuses_of(tmp_path / STORE)

    again = ratelab(tmp_path, "sync", str(folder))
    assert (again.status, again.err) == (0, "")
    assert again.out.startswith(f"{folder}: the store has all that the journal has.\n")
    assert (rows_of(tmp_path / STORE), statuses_of(tmp_path / STORE)) == before

    copied = ratelab(tmp_path, "sync", "--uri", f"sqlite:///{OTHER}")
    assert (copied.status, copied.err) == (0, "")
    check_given(tmp_path / OTHER, folder)

    resumed = ratelab(tmp_path, "resume")
    assert (resumed.status, resumed.err) == (0, "")
    copied = ratelab(tmp_path, "sync", "--uri", f"sqlite:///{OTHER}")
    assert (copied.status, copied.err) == (0, "")
    for store in (STORE, OTHER):
        rows, steps, statuses = left
        assert without_times(rows_of(tmp_path / store)) == without_times(rows)
        assert steps_of(tmp_path / store) == steps
        assert statuses_of(tmp_path / store) == statuses


def test_a_store_that_was_deleted_is_made_once_more_from_the_journal(whole):
    folder, left, _ = whole
    shutil.rmtree(folder / "mlruns")
    given = ratelab(folder, "sync", str(journal_of(folder).parent))
    assert (given.status, given.err) == (0, "")
    assert given.out == (
        f"{journal_of(folder).parent}: 6 runs, 30,000 steps, given to sqlite:///{folder / STORE}.\n"
    )
    assert (rows_of(folder / STORE), steps_of(folder / STORE), statuses_of(folder / STORE)) == left
    again = ratelab(folder, "sync", str(journal_of(folder).parent))
    assert again.out == f"{journal_of(folder).parent}: the store has all that the journal has.\n"
