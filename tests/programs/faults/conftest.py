"""A real server of MLflow's, what stands between it and those that it answers, a PostgreSQL database."""

import os
import uuid

import pytest

from support.servers import Proxy, mlflow_server


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a server of the module's own."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def proxy(address):
    """In front of that server, anew for each test."""
    with Proxy(address) as proxy:
        yield proxy


@pytest.fixture
def connect():
    """Connect to a database of the server, as the owner of all."""
    from sqlalchemy import create_engine, make_url

    engines = []

    def connect_to(name=None):
        url = make_url(os.environ["RATELAB_TEST_POSTGRESQL"])
        engine = create_engine(url.set(database=name) if name else url, isolation_level="AUTOCOMMIT")
        engines.append(engine)
        return engine.connect()

    yield connect_to
    for engine in engines:
        engine.dispose()


@pytest.fixture
def make_database(connect):
    """Make an empty database; return its URI. All are gone at the end."""
    from sqlalchemy import make_url, text

    names = []

    def make(options=""):
        names.append(f"ratelab_{uuid.uuid4().hex}")
        with connect() as connection:
            connection.execute(text(f"CREATE DATABASE {names[-1]} {options}"))
        url = make_url(os.environ["RATELAB_TEST_POSTGRESQL"]).set(database=names[-1])
        return url.render_as_string(hide_password=False)

    yield make
    with connect() as connection:
        for name in names:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
