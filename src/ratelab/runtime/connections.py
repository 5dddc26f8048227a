"""Connections to databases: a server can go silent and its drivers wait for ever; a SQLite file is locked.

A server that is stopped keeps its connections, for the system under it acknowledges what is sent, and no
driver has a limit of its own. So the connections of this process are known here, and who has waited enough
ends them. A locked file has a limit, which is set for each session, by MLflow as by us; here it is made less.
"""

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

_made: "weakref.WeakSet[Any]" = weakref.WeakSet()  # as the drivers make them
_lock = threading.Lock()
_BRIEF_LOCK = "PRAGMA busy_timeout = 1000"  # milliseconds
_is_brief = False


def watch_connections() -> None:
    """Know every connection to a server that SQLAlchemy makes from now on, for whichever engine."""
    from sqlalchemy import Engine, event

    if not event.contains(Engine, "connect", _keep):
        event.listen(Engine, "connect", _keep)


def break_connections() -> None:
    """End all connections: who waits for an answer gets the driver's error that it was closed."""
    with _lock:
        connections = list(_made)
    for connection in connections:
        with contextlib.suppress(Exception):  # closed already: drivers say so by errors of their own
            _shut_down(connection.fileno())


def _shut_down(number: int) -> None:
    """Shut the socket down of which this is the descriptor; whoever has opened it still has to close it."""
    with socket.socket(fileno=os.dup(number)) as own:
        own.shutdown(socket.SHUT_RDWR)


def _keep(connection: Any, _record: object) -> None:
    if hasattr(connection, "fileno"):  # that of SQLite is no socket
        with _lock:
            _made.add(connection)


@contextlib.contextmanager
def brief_locks() -> Iterator[None]:
    """Let whoever asks a locked SQLite file in the block wait for a second; MLflow sets 20 for each session.

    It is for all threads; only one of them may be in such a block.
    """
    global _is_brief  # MLflow does not tell for which client it sets the limit
    from sqlalchemy import Engine, event

    if not event.contains(Engine, "before_cursor_execute", _limit_lock):
        event.listen(Engine, "before_cursor_execute", _limit_lock, retval=True)
    _is_brief = True
    try:
        yield
    finally:
        _is_brief = False


def _limit_lock(
    _connection: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
) -> tuple[str, Any]:
    is_limit = _is_brief and statement.startswith("PRAGMA busy_timeout")
    return _BRIEF_LOCK if is_limit else statement, parameters
