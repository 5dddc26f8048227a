"""Engines of our own for a PostgreSQL database, each of whose answers is waited for two minutes at most."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ratelab.runtime.connections import watch_connections
from ratelab.tracking.patience import Patience

if TYPE_CHECKING:
    from sqlalchemy import Engine

_CONNECT_SECONDS = 5


@contextmanager
def open_postgresql(uri: str) -> Iterator["Engine"]:
    """Connect to the database for the block; every statement is a transaction of its own.

    Raises:
        ImportError: there is no driver.
        SQLAlchemyError: it cannot be reached, or no such URI is known; or, also in the block, it did not
            answer for two minutes, which has been told before.
    """
    from sqlalchemy import create_engine, event

    # The encoding is told, so that also a database without one can be asked which it has.
    told = {"connect_timeout": _CONNECT_SECONDS, "client_encoding": "UTF8"}
    # AUTOCOMMIT: so the end of the block has nothing to wait for an answer to
    engine = create_engine(uri, isolation_level="AUTOCOMMIT", connect_args=told)
    patience = Patience(uri)

    def execute(cursor: Any, statement: str, parameters: Any, _context: object) -> bool:
        with patience.watched():
            cursor.execute(statement, parameters)
        return True  # SQLAlchemy need not

    event.listen(engine, "do_execute", execute)
    watch_connections()
    try:
        with patience.watched():  # the driver asks questions of its own at its first connection
            engine.connect().close()
        yield engine
    finally:
        engine.dispose()
