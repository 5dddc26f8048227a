"""Connections to a database server, which can go silent: its drivers wait for an answer for ever.

A server that is stopped keeps its connections, for the system under it acknowledges what is sent, and no
driver has a limit of its own. So the connections of this process are known here, and who has waited enough
ends them.
"""

import contextlib
import os
import socket
import threading
import weakref
from typing import Any

_made: "weakref.WeakSet[Any]" = weakref.WeakSet()  # as the drivers make them
_lock = threading.Lock()


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
