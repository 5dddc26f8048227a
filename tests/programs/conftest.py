"""One recorded sweep for all tests that only look at one, PostgreSQL, Slurm, what is asked of workers."""

import json
import multiprocessing
import os
import signal
import uuid

import pytest
from filelock import FileLock

from support.browser import open_browser
from support.postgresql import postgresql_server
from support.programs import QUICK, Done, train
from support.slurm import slurm_cluster
from support.team import team_server


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """Six runs on the digits, every step recorded. To be read only: other tests read it at the same time."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker of pytest-xdist has a folder of its own in there
        shared = shared.parent
    folder, ended = shared / "quick", shared / "quick.json"
    with FileLock(shared / "quick.lock"):
        if not ended.exists():
            folder.mkdir()
            done = train(folder, *QUICK)
            ended.write_text(json.dumps([done.status, done.out, done.err]))
    done = Done(folder, *json.loads(ended.read_text()))
    assert (done.status, done.err) == (0, "")
    return done


@pytest.fixture(scope="module")
def patience():
    """Tests that wait for a process for ever end after a quarter of an hour."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(900)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def no_worker_is_left():
    """Whatever a test does with workers, none outlives their context."""
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server, which keeps running."""
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A Slurm, which keeps running."""
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def connect(postgresql):
    """Connect to a database of the server, as the owner of all."""
    from sqlalchemy import create_engine, make_url

    engines = {}

    def connect_to(name=None):
        url = make_url(postgresql.uri)
        if name not in engines:
            database = url.set(database=name) if name else url
            engines[name] = create_engine(database, isolation_level="AUTOCOMMIT")
        return engines[name].connect()

    yield connect_to
    for engine in engines.values():
        engine.dispose()


@pytest.fixture(scope="module")
def make_database(postgresql, connect):
    """Make an empty database; return its URI. All are gone at the end."""
    from sqlalchemy import make_url, text

    names = []

    def make(options=""):
        names.append(f"ratelab_{uuid.uuid4().hex}")
        with connect() as connection:
            connection.execute(text(f"CREATE DATABASE {names[-1]} {options}"))
        url = make_url(postgresql.uri).set(database=names[-1])
        return url.render_as_string(hide_password=False)

    yield make
    with connect() as connection:
        for name in names:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def team(make_database, tmp_path_factory):
    """A server with accounts, PostgreSQL and artifacts, one for a test file."""
    with team_server(tmp_path_factory.mktemp("team"), make_database) as team:
        yield team


@pytest.fixture(scope="module")
def browser():
    """Chromium; of a module, for while it is open no other event loop runs in this process."""
    with open_browser() as opened:
        yield opened
