"""Programs are killed by SIGKILL; the next start, or who reads the store, ends what they left RUNNING."""

import os
import signal
import sqlite3
from contextlib import closing

import pytest

from ratelab.runs.past import read_past
from ratelab.tracking import prepare_store
from support.damaged import Rows, write_runs
from support.programs import ONE_WORKER, begin, finish, ratelab, train, wait_until
from support.servers import mlflow_server

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
LONG = ["data=digits", "batch_size=24", "epochs=100000", "tracking.train_loss_every=1000", "schedule=fixed"]
SHORT = ["experiment=quick", "epochs=1", "schedule=fixed"]
SWEEP = ["-m", *LONG, "learning_rate=0.1,0.2", ONE_WORKER]
MEASURED = """SELECT tags.value FROM tags JOIN latest_metrics ON latest_metrics.run_uuid = tags.run_uuid
    WHERE tags.key = 'program' AND latest_metrics.key = 'val_loss'"""
LAST_METRICS = """SELECT max(metrics.timestamp) FROM metrics JOIN runs ON runs.run_uuid = metrics.run_uuid
    WHERE runs.status = 'KILLED' GROUP BY runs.run_uuid"""
DIED = "left RUNNING by a program that died"


def resume_line(folder, process):
    """What is said of how a program goes on, which is in the folder of its journal."""
    journals = folder.glob("multirun/*/*/journal")
    [place] = [one.parent for one in journals if read_past(one.parent).program["pid"] == process.pid]
    return f"To go on with what is missing: ratelab resume {place}\n"


def run_line(seed, folder, process):
    told = f"ratelab: the run fixed seed={seed}, {DIED}, is KILLED now."
    return f"{told} {resume_line(folder, process)}"


def asking(path):
    """Return what asks a SQLite file."""

    def ask(query):
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            return store.execute(query).fetchall()

    return ask


def statuses(ask):
    return [f"{status} {name}" for status, name in ask("SELECT status, name FROM runs ORDER BY name, status")]


@pytest.fixture
def record():
    """Start a program; return it once so many of its runs have metrics. It is killed at the end."""
    processes = []

    def start(folder, ask, number, *words):
        process = begin(folder, *words)
        processes.append(process)
        own = f'"pid": {process.pid},'
        wait_until(lambda: sum(own in program for (program,) in ask(MEASURED)) >= number, process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_killed_sweep_is_ended_by_who_compares_and_what_lives_beside_it_goes_on(tmp_path, record):
    path = tmp_path / "mlruns" / "mlflow.db"
    ask = asking(path)
    dead = record(tmp_path, ask, 2, *SWEEP)
    living = record(tmp_path, ask, 1, *LONG, "seed=5")
    write_runs(path, [Rows("f" * 32, "theirs", "RUNNING", tags={"program": "train.py"})])
    [(sweep_id,)] = ask("SELECT DISTINCT value FROM tags WHERE key = 'sweep_id'")
    sweep = sorted(name for (name,) in ask("SELECT name FROM runs") if name not in {"fixed seed=5", "theirs"})
    dead.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # a zombie, as long as nobody waits for it
    done = ratelab(tmp_path, "compare", "--format", "json")
    line = f"ratelab: 2 runs of sweep {sweep_id}, {DIED}, are KILLED now. {resume_line(tmp_path, dead)}"
    assert (done.status, done.err) == (0, line)
    killed = [f"KILLED {name}" for name in sweep]
    assert len(killed) == 3
    assert sorted(statuses(ask)) == [*killed, "RUNNING fixed seed=5", "RUNNING theirs"]
    reason = f"the program that recorded it died (process {dead.pid} on {os.uname().nodename})"
    assert ask("SELECT value FROM tags WHERE key = 'ended_by'") == [(reason,)] * 3
    living.send_signal(signal.SIGTERM)
    assert finish(living, tmp_path).status == 143
    assert sorted(statuses(ask)) == sorted([*killed, "KILLED fixed seed=5", "RUNNING theirs"])
    assert len(ask("SELECT value FROM tags WHERE key = 'ended_by'")) == 3


def test_the_doctor_ends_a_killed_run_and_names_it(tmp_path, record):
    ask = asking(tmp_path / "mlruns" / "mlflow.db")
    process = record(tmp_path, ask, 1, *LONG)
    process.kill()
    process.wait()
    done = ratelab(tmp_path, "doctor")
    line = run_line(0, tmp_path, process).removeprefix("ratelab: ")
    assert " ".join(line.split()) in " ".join(done.out.split())
    assert statuses(ask) == ["KILLED fixed seed=0"]
    assert DIED not in ratelab(tmp_path, "doctor").out


def test_two_that_start_at_the_same_time_end_a_killed_run_once(tmp_path, record):
    ask = asking(tmp_path / "mlruns" / "mlflow.db")
    process = record(tmp_path, ask, 1, *LONG)
    process.kill()
    process.wait()
    assert statuses(ask) == ["RUNNING fixed seed=0"]
    starts = [begin(tmp_path, *SHORT, "seed=1"), begin(tmp_path, "-m", *SHORT, "seed=2,3", ONE_WORKER)]
    ends = [finish(one, tmp_path) for one in starts]
    assert [one.status for one in ends] == [0, 0]
    assert "".join(one.err for one in ends) == run_line(0, tmp_path, process)
    first, *others = statuses(ask)
    assert (first, len(others)) == ("KILLED fixed seed=0", 4)
    assert all(one.startswith("FINISHED ") for one in others)
    assert ask(LAST_METRICS) == ask("SELECT end_time FROM runs WHERE status = 'KILLED'")


def check_killed_runs(folder, uri, record, ask):
    """One that is killed is ended by who compares, a second at the next start."""
    words = [*LONG, f"tracking.uri={uri}"]
    living = record(folder, ask, 1, *words, "seed=1")
    living.send_signal(signal.SIGSTOP)  # alive all the same, and leaves the server to the others
    dead = record(folder, ask, 1, *words, "seed=0")
    dead.kill()
    dead.wait()
    done = ratelab(folder, "compare", "--uri", uri)
    assert (done.status, done.err) == (0, run_line(0, folder, dead))
    assert statuses(ask) == ["KILLED fixed seed=0", "RUNNING fixed seed=1"]
    living.kill()
    living.wait()
    done = train(folder, *SHORT, "seed=2", f"tracking.uri={uri}")
    assert (done.status, done.err) == (0, run_line(1, folder, living))
    assert statuses(ask) == ["KILLED fixed seed=0", "KILLED fixed seed=1", "FINISHED fixed seed=2"]


def test_killed_runs_behind_a_server_are_ended(tmp_path, record):
    with mlflow_server(tmp_path / "server") as address:
        check_killed_runs(tmp_path, address, record, asking(tmp_path / "server" / "mlruns" / "mlflow.db"))


def test_killed_runs_in_a_postgresql_database_are_ended(tmp_path, record, make_database, connect):
    from sqlalchemy import make_url, text

    uri = make_database()
    prepare_store(uri, tmp_path)  # now, for who asks while the tables are made gets into their way

    with connect(make_url(uri).database) as connection:

        def ask(query):
            return [*map(tuple, connection.execute(text(query)))]

        check_killed_runs(tmp_path, uri, record, ask)
