"""A PostgreSQL database whose first start is killed, that may not be written, that goes silent."""

import signal
import subprocess
import sys
import time

import pytest

from ratelab.tracking import find_runs, open_tracker, prepare_store, read_histories
from ratelab.validation import UserError
from support import programs
from support.postgresql import postgresql_server
from support.servers import Line

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
START = """
import os, sys
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from ratelab.tracking import mlflow_internals, prepare_store

if sys.argv[2] == "first tables":
    from mlflow.store.db import utils
    utils._upgrade_db = lambda _: os.kill(os.getpid(), 9)
elif sys.argv[2] == "all tables":
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    SqlAlchemyStore._initialize_store_state = lambda _: os.kill(os.getpid(), 9)
print("begun", flush=True)
prepare_store(sys.argv[1], Path("/nowhere"), "ratelab")
"""
KILLED_STARTS = """
import os, signal, sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store  # the children need not wait for it
from ratelab.tracking import prepare_store


def begin(uri):
    child = os.fork()
    if not child:
        prepare_store(uri, Path(sys.argv[1]), "ratelab")
        os._exit(0)
    return child

first, *uris = sys.argv[2:]
begun = time.monotonic()
os.waitpid(begin(first), 0)
whole = time.monotonic() - begun
killed = 0
for number, uri in enumerate(uris):
    child = begin(uri)
    time.sleep(number * whole / len(uris))  # from its beginning to its end
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(killed)
"""


def begin(uri, moment):
    process = subprocess.Popen([sys.executable, "-c", START, uri, moment], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def assert_works(uri, folder):
    store = prepare_store(uri, folder, "ratelab")
    tracker = open_tracker(store, "ratelab", folder)
    with tracker, tracker.run("one", params={"a": 1}, tags={}) as run:
        assert run.id
    from mlflow import MlflowClient

    client = MlflowClient(store)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert client.get_experiment("0").artifact_location == (folder / "mlruns" / "artifacts" / "0").as_uri()


@pytest.mark.parametrize("moment", ["first tables", "all tables"])
def test_a_first_start_killed_between_two_of_its_steps_is_finished_by_the_next(
    make_database, tmp_path, moment
):
    uri = make_database()
    with begin(uri, moment) as process:
        assert process.wait() == -signal.SIGKILL
    assert_works(uri, tmp_path)


@pytest.mark.faults
def test_a_first_start_killed_at_any_of_twenty_moments_is_finished_by_the_next(make_database, tmp_path):
    uris = [make_database() for _ in range(21)]  # the first start is measured, and not killed
    killed = subprocess.check_output([sys.executable, "-c", KILLED_STARTS, tmp_path, *uris], text=True)
    assert int(killed) >= 10, "few kills fell into the start: the test proves little"
    for uri in uris:
        assert_works(uri, tmp_path)


def test_a_database_that_cannot_be_written_or_has_the_experiment_deleted_is_refused_at_once(
    make_database, connect, tmp_path
):
    from mlflow import MlflowClient
    from sqlalchemy import make_url, text

    uri = make_database()
    assert_works(uri, tmp_path)
    client, database = MlflowClient(uri), make_url(uri).database
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(UserError, match=r"tracking\.experiment: 'gone' was deleted"):
        prepare_store(uri, tmp_path, "gone")
    reader = make_url(uri).set(username=database)
    with connect(database) as connection:
        connection.execute(text(f"CREATE USER {database}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {database}"))
    try:
        with pytest.raises(UserError, match=r"this user INSERT in its table experiments\. Ask"):
            prepare_store(reader.render_as_string(), tmp_path, "ratelab")
        assert prepare_store(reader.render_as_string(), tmp_path)  # to be read only
    finally:
        with connect(database) as connection:
            connection.execute(text(f"DROP OWNED BY {database}"))
            connection.execute(text(f"DROP USER {database}"))
    with connect(database) as connection:
        connection.execute(text(f"ALTER DATABASE {database} SET default_transaction_read_only = on"))
    with pytest.raises(UserError, match="is read-only"):
        prepare_store(uri, tmp_path, "ratelab")


def test_a_user_who_may_not_make_temporary_tables_is_refused_with_the_grant_to_ask_for(
    make_database, connect, tmp_path
):
    from sqlalchemy import make_url, text

    uri = make_database()
    assert_works(uri, tmp_path)
    database = make_url(uri).database
    writer = make_url(uri).set(username=database).render_as_string()
    with connect(database) as connection:
        connection.execute(text(f"CREATE USER {database}"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {database}"))
        connection.execute(text(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"))
    try:
        with pytest.raises(UserError, match=f"Ask its owner: GRANT TEMPORARY ON DATABASE {database} TO"):
            prepare_store(writer, tmp_path, "ratelab")
        with connect(database) as connection:
            connection.execute(text(f"GRANT TEMPORARY ON DATABASE {database} TO {database}"))
        assert prepare_store(writer, tmp_path, "ratelab") == writer
    finally:
        with connect(database) as connection:
            connection.execute(text(f"DROP OWNED BY {database}"))
            connection.execute(text(f"DROP USER {database}"))


def test_a_database_without_an_encoding_is_refused(make_database, tmp_path):
    uri = make_database("TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(
        UserError, match=r"is encoded in SQL_ASCII, .* CREATE DATABASE \.\.\. ENCODING 'UTF8'"
    ):
        prepare_store(uri, tmp_path, "ratelab")


@pytest.fixture
def line(make_database):
    """A line to a server, and the URI of an empty database behind it."""
    from sqlalchemy import make_url

    url = make_url(make_database())
    with Line(url.host, url.port or 5432) as line:
        yield line, url.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)


@pytest.mark.faults
@pytest.mark.parametrize("pieces", [5, 20, 33])
def test_a_database_that_goes_silent_while_it_is_read_is_waited_for_with_a_word(line, tmp_path, pieces):
    line, uri = line
    assert programs.train(tmp_path, "experiment=quick", f"tracking.uri={uri}").status == 0
    line.left = pieces
    begun = time.monotonic()
    done = programs.ratelab(tmp_path, "compare", "--uri", uri)
    assert 115 < time.monotonic() - begun < 200
    assert done.status == 1
    first, last = done.err.splitlines()
    assert first.endswith(" does not answer. It is waited for, two minutes at most.")
    assert last.endswith(" cannot be read: the server does not answer, or has closed the connection.")


def is_recorded(uri):
    """Whether a store has rows of a run."""
    try:
        return any("val_loss" in run.metrics for run in find_runs(uri).runs)
    except UserError:  # there is none yet
        return False


@pytest.mark.faults
def test_a_sweep_whose_database_goes_silent_ends_after_minutes(line, tmp_path):
    line, uri = line
    prepare_store(uri, tmp_path)  # now, for who reads while the tables are made gets into their way
    words = ["experiment=quick", "schedule=fixed", "seed=0,1,2", "epochs=200", programs.ONE_WORKER]
    program = programs.begin(tmp_path, "-m", *words, f"tracking.uri={uri}")

    programs.wait_until(lambda: is_recorded(uri), program)
    line.left = 0
    begun = time.monotonic()
    done = programs.finish(program, tmp_path, 400)
    assert time.monotonic() - begun < 300
    assert done.status == 75
    assert "Traceback" not in done.err
    assert " does not answer. It is waited for, two minutes at most.\n" in done.err
    assert " RUNNING in the store.\n" in done.err
    line.left = None
    again = programs.ratelab(tmp_path, "sync")
    assert (again.status, again.err) == (0, "")
    assert_whole(uri, ["fixed seed=0", "fixed seed=1", "fixed seed=2"], 200 * 50)


def assert_whole(uri, names, steps):
    """Every run is FINISHED and has every step once."""
    runs = find_runs(uri).runs
    assert [(run.name, run.status) for run in runs] == [(name, "FINISHED") for name in names]
    histories = read_histories(uri, [run.run_id for run in runs], "learning_rate")
    assert [history.steps.tolist() for history in histories.values()] == [[*range(steps)]] * len(names)


@pytest.fixture
def own_server():
    """A server that a test may stop."""
    with postgresql_server() as server:
        yield server


@pytest.mark.parametrize("how", ["fast", pytest.param("immediate", marks=pytest.mark.faults)])
def test_a_database_server_that_is_started_again_in_the_middle_of_a_sweep_has_every_row(
    own_server, tmp_path, how
):
    """Stopped as by its service, which ends all connections, and as by a power cut."""
    uri = own_server.uri
    prepare_store(uri, tmp_path)
    words = ["experiment=quick", "schedule=fixed,exponential", "seed=0,1", "epochs=100", programs.ONE_WORKER]
    program = programs.begin(tmp_path, "-m", *words, f"tracking.uri={uri}")
    programs.wait_until(lambda: is_recorded(uri), program)
    own_server.stop(how)
    time.sleep(15)
    assert program.poll() is None  # it may have trained all by now, and waits
    own_server.start()
    done = programs.finish(program, tmp_path)
    assert (done.status, done.err.count("Traceback")) == (0, 0)
    assert "ratelab sync" not in done.err
    names = [f"{schedule} seed={seed}" for schedule in ("fixed", "exponential") for seed in (0, 1)]
    assert_whole(uri, names, 100 * 50)
