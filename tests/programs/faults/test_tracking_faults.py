"""Programs that start at once, are killed, told to stop or may not write: the store stays sound."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ratelab.tracking import Tracker, prepare_store, sqlite_path
from support.files import read_tree

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
URI = "sqlite:///mlruns/mlflow.db"
FIRST_STARTS = """
import os, sys
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store  # imported once: so the starts fall into the same moment
from ratelab.tracking import open_tracker, prepare_store

def start(name):
    folder = Path(sys.argv[1])
    store = prepare_store("sqlite:///mlruns/mlflow.db", folder)
    with open_tracker(store, "ratelab", folder) as tracker:
        with tracker.run(name, params={"a": 1}, tags={}) as run:
            assert run.id  # else the status of this process is not 0

children = []
for number in range(8):
    children.append(os.fork())
    if not children[-1]:
        start(f"run {number}")
        os._exit(0)
print([os.waitpid(child, 0)[1] for child in children])
"""
KILLED_STARTS = """
import os, signal, sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store  # the children need not wait for it
from ratelab.tracking import prepare_store
for number in range(int(sys.argv[2])):
    folder = Path(sys.argv[1], str(number))
    child = os.fork()
    if not child:
        prepare_store("sqlite:///mlruns/mlflow.db", folder)
        os._exit(0)
    time.sleep(0.02 + 0.13 * number)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
UNPRIVILEGED = """
import os, sys
from pathlib import Path
import filelock
import ratelab.tracking.sqlite
from ratelab.tracking import prepare_store
os.setgid(65534)
os.setuid(65534)
try:
    prepare_store("sqlite:///mlruns/mlflow.db", Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""
STOPPED = """
import signal, sys, time
from pathlib import Path
import numpy as np
from ratelab.tracking import now_ms, open_tracker

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
with open_tracker(sys.argv[1], "ratelab", Path.cwd()) as tracker:
    with tracker.run("stopped", params={}, tags={}) as run:
        run.metrics("a", np.arange(200_000), np.ones(200_000), np.full(200_000, now_ms()))
        print(run.id, flush=True)
        # One long sleep would not end by a signal that comes just before it begins.
        for _ in range(600):
            time.sleep(0.1)
"""


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


def test_eight_first_starts_at_once_all_succeed(tmp_path: Path) -> None:
    statuses = subprocess.check_output(python(FIRST_STARTS, str(tmp_path)), text=True, timeout=80)
    assert statuses.strip() == str([0] * 8)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as connection:
        runs = connection.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        experiments = connection.execute("SELECT name FROM experiments").fetchall()
        journal = connection.execute("PRAGMA journal_mode").fetchone()
    assert runs == [(f"run {n}", "FINISHED") for n in range(8)]
    assert sorted(experiments) == [("Default",), ("ratelab",)]
    assert journal == ("wal",)


def test_a_first_start_killed_at_any_moment_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    moments = 6
    subprocess.run(python(KILLED_STARTS, str(tmp_path), str(moments)), check=True, timeout=80)
    leftovers = 0
    for number in range(moments):
        folder = tmp_path / str(number)
        leftovers += len(list(folder.glob("mlruns/.*.new*")))
        if number % 2 == 0:  # each of these costs a creation
            prepare_store(URI, folder)
            assert {path.name for path in folder.glob("mlruns/*")} == {".mlflow.db.lock", "mlflow.db"}
    assert leftovers, "no kill fell into the creation: the test proves nothing"


def test_sigterm_stores_everything_and_marks_the_run_as_killed(tracker: Tracker) -> None:
    from mlflow import MlflowClient

    command = python(STOPPED, tracker.uri)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        run_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=50) == 143
    stored = MlflowClient(tracker.uri).get_run(run_id)
    assert (stored.info.status, stored.data.metrics) == ("KILLED", {"a": 1.0})
    with closing(sqlite3.connect(sqlite_path(tracker.uri, Path.cwd()))) as connection:
        query = "SELECT count(*) FROM metrics WHERE run_uuid = ?"
        assert connection.execute(query, [run_id]).fetchone() == (200_000,)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that another user can enter, as pytest's cannot be."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
@pytest.mark.parametrize("spoilt", ["file", "folder", "project"])
def test_a_place_without_permission_is_refused(public_folder: Path, fresh_store: Path, spoilt: str) -> None:
    if spoilt != "project":
        (public_folder / "mlruns").mkdir()
        database = shutil.copy(fresh_store, public_folder / "mlruns")
        Path(database).chmod(0o644 if spoilt == "file" else 0o666)
        Path(database).parent.chmod(0o777 if spoilt == "file" else 0o755)
    before = read_tree(public_folder)
    done = subprocess.run(
        python(UNPRIVILEGED, str(public_folder)), capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith(f"tracking.uri: {public_folder}/mlruns/mlflow.db ")
    assert ("no permission to write" if spoilt == "project" else "not writable") in done.stdout
    assert before == read_tree(public_folder)


def test_importing_the_package_imports_neither_mlflow_nor_a_database() -> None:
    script = """
import sys
import ratelab.tracking
print(*{"mlflow", "sqlalchemy", "tensorflow"} & set(sys.modules))
"""
    assert subprocess.check_output(python(script)) == b"\n"


def test_a_check_leaves_the_locks_of_this_process_alone(fresh_store: Path, tmp_path: Path) -> None:
    """To close a file is to give up all POSIX locks on it: another program would then take away the WAL."""
    path = Path(shutil.copy(fresh_store, tmp_path))
    uri = f"sqlite:///{path}"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO experiments (name, artifact_location) VALUES ('a', 'x')")
        writer.commit()
        prepare_store(uri, tmp_path)
        look = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
            "list(c.execute('SELECT * FROM runs')); c.close()"
        )
        subprocess.run([sys.executable, "-c", look, str(path)], check=True, timeout=60)
        assert path.with_name("mlflow.db-wal").exists()
        writer.execute("INSERT INTO experiments (name, artifact_location) VALUES ('b', 'x')")
        writer.commit()
        with closing(sqlite3.connect(path)) as reader:
            names = {name for (name,) in reader.execute("SELECT name FROM experiments")}
    assert {"a", "b"} <= names
