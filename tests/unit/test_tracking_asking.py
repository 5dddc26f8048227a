"""A database server that goes silent: told after seconds, given up after two minutes."""

import socket
import sqlite3
import threading
from functools import partial

import pytest
import sqlalchemy

from ratelab.runtime.connections import break_connections, watch_connections
from ratelab.tracking import StoreError, find_runs, patience
from ratelab.tracking.asking import open_postgresql
from ratelab.tracking.patience import Patience
from ratelab.validation import UserError

URI = "postgresql://me@host/db"
CLOSED = "consuming input failed: server closed the connection unexpectedly\n\tThis probably means ..."


class Cursor(sqlite3.Cursor):
    """Waits for an answer as long as the server is silent."""

    def execute(self, *given):
        """Ask."""
        self.connection.wait()
        return super().execute(*given)


class Connection(sqlite3.Connection):
    """Stands for that of a driver: it has a socket, and no limit of its own."""

    silent = False

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.own, self.server = socket.socketpair()

    def fileno(self):
        """Return the descriptor of the socket, as drivers do."""
        return self.own.fileno()

    def cursor(self, *_):
        """Return what asks."""
        return super().cursor(Cursor)

    def wait(self):
        """Return when the server answers."""
        if Connection.silent and not self.own.recv(1):
            raise sqlite3.OperationalError(CLOSED)

    def rollback(self):
        """Ask for the end of a transaction, if one was begun."""
        if self.in_transaction:
            self.wait()

    def close(self):
        """End."""
        self.own.close()
        self.server.close()
        super().close()


@pytest.fixture
def database(monkeypatch, fresh_store):
    """Let every URI of PostgreSQL's name the same database, which is silent when told so."""
    make = partial(Connection, fresh_store, check_same_thread=False)
    create_engine = sqlalchemy.create_engine

    def create(_uri, *, isolation_level, connect_args):
        assert connect_args["connect_timeout"] == 5
        pool = sqlalchemy.QueuePool  # as for a server
        return create_engine("sqlite://", creator=make, poolclass=pool, isolation_level=isolation_level)

    monkeypatch.setattr(sqlalchemy, "create_engine", create)
    monkeypatch.setattr(Connection, "silent", False)
    monkeypatch.setattr(patience, "_SILENT_SECONDS", 0.02)
    monkeypatch.setattr(patience, "_SECONDS", 0.1)
    monkeypatch.setattr(patience, "_BRIEF_SECONDS", 0.05)
    return Connection


def test_a_database_that_is_silent_while_it_is_read_is_waited_for_with_a_word_and_given_up(database, capfd):
    with open_postgresql(URI) as engine, engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
        database.silent = True
        with pytest.raises(sqlalchemy.exc.OperationalError, match="closed the connection"):
            connection.execute(sqlalchemy.text("SELECT 2"))
    told = f"warning: tracking.uri: {URI} does not answer. It is waited for, two minutes at most.\n"
    assert capfd.readouterr().err == told


def test_a_database_that_is_silent_from_the_first_question_on_ends_a_command_with_one_message(database):
    database.silent = True
    with pytest.raises(UserError) as raised:
        find_runs(URI)
    reason = "the server does not answer, or has closed the connection"
    assert str(raised.value) == f"{URI} cannot be read: {reason}."


def test_a_database_that_answers_is_read_without_a_word(database, capfd):
    with pytest.raises(UserError, match=r"^there is no run of ratelab's in this store"):
        find_runs(URI)
    assert capfd.readouterr().err == ""


def test_what_is_asked_patiently_is_given_up_too_whoever_has_made_the_engine(database):
    watch_connections()
    engine = sqlalchemy.create_engine(URI, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})

    def ask():
        with engine.connect() as connection:
            return connection.scalar(sqlalchemy.text("SELECT 1"))

    with_store = Patience(URI)
    assert with_store.ask("metrics", ask, 0.01) == 1
    database.silent = True
    with pytest.raises(StoreError) as raised:
        with_store.ask("metrics", ask, 0.01)
    reason = "the server does not answer, or has closed the connection"
    assert str(raised.value) == f"tracking.uri: {URI}: {reason}. Look whether it is there and sound."
    assert with_store.is_lost
    with pytest.raises(StoreError):
        with_store.ask("status", ask, 0.01)
    database.silent = False
    assert with_store.ask("metrics", ask, 0.01) == 1
    assert not with_store.is_lost
    engine.dispose()


def test_connections_that_were_closed_or_have_no_socket_are_passed_over():
    watch_connections()
    watch_connections()
    made = [sqlite3.connect(":memory:"), Connection(":memory:"), Connection(":memory:")]
    engines = [sqlalchemy.create_engine("sqlite://", creator=lambda one=one: one) for one in made]
    connections = [engine.connect() for engine in engines]
    made[1].own.close()
    waiting = threading.Thread(target=made[2].own.recv, args=(1,), daemon=True)
    waiting.start()
    break_connections()
    waiting.join(10)
    assert not waiting.is_alive()
    for connection, engine in zip(connections, engines, strict=True):
        connection.close()
        engine.dispose()
