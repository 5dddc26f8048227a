"""Several programs write into one SQLite store, or find it locked."""

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from support import SRC
from support.programs import HANGS, begin, finish, train

ROWS = 20_000
# each program is a fork of one that has imported MLflow, so that all write in the same moment
AT_ONCE = """
children = []
for number in range(processes):
    children.append(os.fork())
    if not children[-1]:
        write(f"run {number}")
        os._exit(0)
print([os.waitpid(child, 0)[1] for child in children])
"""
WRITERS = """
import os, sys
from pathlib import Path
import numpy as np
import mlflow.store.tracking.sqlalchemy_store  # imported once: so they write in the same moment
from ratelab.tracking import open_tracker, prepare_store

folder, processes, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = prepare_store("sqlite:///mlruns/mlflow.db", folder)

def write(name):
    with open_tracker(store, "ratelab", folder) as tracker, tracker.run(name, params={}, tags={}) as run:
        for first in range(0, rows, 1000):
            steps = np.arange(first, first + 1000)
            run.metrics("a", steps, steps / 7, steps)
"""

FOR_A_MINUTE = """
import json, os, sys, time
from pathlib import Path
import numpy as np
import mlflow.store.tracking.sqlalchemy_store  # imported once: so they begin in the same moment
from ratelab.tracking import open_tracker, prepare_store

folder, processes, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

def write(name):
    store = prepare_store("sqlite:///mlruns/mlflow.db", folder)
    end, first, longest = time.monotonic() + seconds, 0, 0.0
    with open_tracker(store, "ratelab", folder) as tracker, tracker.run(name, params={}, tags={}) as run:
        while (begun := time.monotonic()) < end:
            steps = np.arange(first, first + 1000)
            run.metrics("a", steps, steps / 7, steps)
            tracker.flush()
            first, longest = first + 1000, max(longest, time.monotonic() - begun)
    (folder / f"{name}.json").write_text(json.dumps([first, longest]))
"""


@pytest.mark.faults
def test_eight_programs_that_write_for_a_minute_into_one_fresh_file_lose_and_double_nothing(tmp_path):
    """Each transaction is waited for, and in none of them is the file found locked."""
    processes = 8
    command = [sys.executable, "-c", FOR_A_MINUTE + AT_ONCE, str(tmp_path), str(processes), "60"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=HANGS, env={"PYTHONPATH": str(SRC)}, check=True
    )
    assert done.stdout.strip() == str([0] * processes)
    written = [json.loads((tmp_path / f"run {number}.json").read_text()) for number in range(processes)]
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store:
        query = "SELECT count(*), count(DISTINCT step), max(step) + 1 FROM metrics GROUP BY run_uuid"
        rows = store.execute(query).fetchall()
        assert sorted(rows) == sorted((count, count, count) for count, _ in written)
        assert store.execute("SELECT DISTINCT status FROM runs").fetchall() == [("FINISHED",)]
    total, longest = sum(count for count, _ in written), max(seconds for _, seconds in written)
    print(f"{total:,} rows, {min(written)[0]:,} to {max(written)[0]:,} a program; longest {longest:.1f} s")
    assert min(count for count, _ in written) > 0


@pytest.mark.parametrize(
    "processes", [2, pytest.param(4, marks=pytest.mark.faults), pytest.param(8, marks=pytest.mark.faults)]
)
def test_many_writers_lose_and_double_nothing(tmp_path, processes):
    command = [sys.executable, "-c", WRITERS + AT_ONCE, str(tmp_path), str(processes), str(ROWS)]
    statuses = subprocess.check_output(command, text=True, timeout=HANGS, env={"PYTHONPATH": str(SRC)})
    assert statuses.strip() == str([0] * processes)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store:
        query = "SELECT count(*), count(DISTINCT step), sum(value) FROM metrics GROUP BY run_uuid"
        rows = store.execute(query).fetchall()
        assert [row[:2] for row in rows] == [(ROWS, ROWS)] * processes
        assert [row[2] for row in rows] == pytest.approx([sum(range(ROWS)) / 7] * processes)
        assert store.execute("SELECT DISTINCT status FROM runs").fetchall() == [("FINISHED",)]


@pytest.mark.faults
def test_a_store_that_is_locked_for_half_a_minute_is_waited_for(tmp_path):
    assert train(tmp_path, "experiment=quick").status == 0
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        process = begin(tmp_path, "experiment=quick", "seed=1")
        time.sleep(30)
        assert process.poll() is None
        holder.execute("COMMIT")
        done = finish(process, tmp_path)
    store = f"tracking.uri: sqlite:///{tmp_path}/mlruns/mlflow.db"
    waited = f"warning: {store} does not answer. It is waited for, two minutes at most.\n"
    assert (done.status, done.err) == (0, waited)
    assert [run.info.status for run in done.everything] == ["FINISHED"] * 2
    for run in done.everything:
        assert done.points(run, "learning_rate")[0] == list(range(250))
