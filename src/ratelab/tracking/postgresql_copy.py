"""PostgreSQL's COPY: rows in its binary form, and the statement, which SQLAlchemy executes like any other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, nothing more in the header
_END = b"\xff\xff"
_OPTION = "ratelab_copied"


def encode_rows(columns: Mapping[str, str | NDArray[Any]]) -> bytes:
    r"""Return rows in the binary form of COPY, with nothing computed for a row.

    Source: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".

    Args:
        columns: by their names, in the order of the statement: a text, the same in every row, or an array of
            shape (rows,), float64, int64 or bool; one of these at least.

    Returns:
        What `copy_rows` takes, also joined with more of its kind.

    Raises:
        ValueError: the arrays are not of one length.

    >>> encode_rows({"key": "ab", "step": np.array([7])})
    b'\x00\x02\x00\x00\x00\x02ab\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07'
    """
    fields: list[tuple[str, str, Any]] = [("columns", ">i2", len(columns))]
    for name, column in columns.items():
        values = column.encode() if isinstance(column, str) else column
        kind = f"S{len(values)}" if isinstance(values, bytes) else values.dtype.newbyteorder(">").str
        fields += [(f"{name}, bytes", ">i4", np.dtype(kind).itemsize), (name, kind, values)]
    (rows,) = {len(column) for column in columns.values() if not isinstance(column, str)}  # all the same
    table = np.empty(rows, [(name, kind) for name, kind, _ in fields])
    for name, _, values in fields:
        table[name] = values
    return table.tobytes()


def enable_copy(engine: "Engine") -> None:
    """Let `copy_rows` be called with connections of an engine whose driver is psycopg."""
    from sqlalchemy import event

    if not event.contains(engine, "do_execute", _execute):
        event.listen(engine, "do_execute", _execute)


def _execute(cursor: Any, statement: str, _parameters: object, context: Any) -> bool:
    """Copy, if the statement has come with data; say whether it is done: else SQLAlchemy executes it."""
    data = context.execution_options.get(_OPTION) if context else None
    if data is None:
        return False
    with cursor.copy(statement) as copy:
        copy.write(data)
    return True


def copy_rows(connection: "Connection", statement: str, rows: bytes) -> None:
    """Execute a COPY ... FROM STDIN (FORMAT BINARY).

    Args:
        connection: of an engine that was given to `enable_copy`.
        statement: names the table and its columns.
        rows: what `encode_rows` has returned, any number of them joined.

    Raises:
        DBAPIError: the database refuses, or has gone; all or nothing has been copied.
    """
    connection.exec_driver_sql(statement, execution_options={_OPTION: _HEADER + rows + _END})
