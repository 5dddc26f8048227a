"""The two ways of storing a batch of metric rows: SQL in bulk, or MLflow's client in requests of 1,000."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ratelab.tracking.mlflow_internals import find_engine
from ratelab.tracking.mlflow_schema import tables
from ratelab.tracking.postgresql_copy import copy_rows, enable_copy, encode_rows
from ratelab.tracking.troubles import StoreError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from sqlalchemy import Connection, Engine

_LARGEST = 1.7976931348623157e308  # what MLflow stores for an infinity
_REQUEST_ROWS = 1000  # MLflow's own limit
_BUSY_SECONDS = 20.0  # SQLite waits in its own loop, which sees a free database sooner than ours


@dataclass(frozen=True)
class Rows:
    """Points of one metric of one run, in the order they were written."""

    run_id: str
    key: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    timestamps: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, part: slice) -> "Rows":
        return Rows(self.run_id, self.key, self.steps[part], self.values[part], self.timestamps[part])


class Sink(Protocol):
    """Something that stores batches; storing one twice changes nothing."""

    def cut(self, batch: Sequence[Rows]) -> Sequence[Sequence[Sequence[Rows]]]:
        """Return lists of parts: the lists may be stored at the same time, the parts of one in turn."""

    def store(self, part: Sequence[Rows]) -> None:
        """Return when the part is stored for good."""


def sink_for(client: "MlflowClient") -> Sink:
    """Return the fastest sink that the client's store allows."""
    engine = find_engine(client)
    if engine is not None and engine.dialect.name == "sqlite":
        return SqliteSink(engine)
    if engine is not None and engine.dialect.name == "postgresql":
        return PostgresSink(engine)
    return ClientSink(client)


class ClientSink:
    """Any store, through `log_batch`: a part is of one run, and as large as MLflow allows."""

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client

    def cut(self, batch: Sequence[Rows]) -> list[list[list[Rows]]]:
        """Return the parts of each run, in turn: two requests at a time could spoil its latest values."""
        runs = dict.fromkeys(rows.run_id for rows in batch)
        return [[*_fill([rows for rows in batch if rows.run_id == run_id])] for run_id in runs]

    def store(self, part: Sequence[Rows]) -> None:
        """Send it in one request."""
        self._client.log_batch(part[0].run_id, metrics=[metric for rows in part for metric in _metrics(rows)])


def _fill(batch: Sequence[Rows]) -> Iterator[list[Rows]]:
    """Return the rows in parts as large as MLflow allows, those of several metrics together."""
    part: list[Rows] = []
    room = _REQUEST_ROWS
    for rows in batch:
        left = rows
        while len(left) > room:
            yield [*part, left[:room]]
            left, part, room = left[room:], [], _REQUEST_ROWS
        part.append(left)
        room -= len(left)
    if part:
        yield part


def _metrics(rows: Rows) -> Iterator["Metric"]:
    from mlflow.entities import Metric

    columns = zip(rows.values.tolist(), rows.timestamps.tolist(), rows.steps.tolist(), strict=True)
    return (Metric(rows.key, value, timestamp, step) for value, timestamp, step in columns)


class _SqlSink(ABC):
    """One transaction a batch, on the engine of MLflow's own store."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def cut(self, batch: Sequence[Rows]) -> list[list[Sequence[Rows]]]:
        """Return the whole."""
        return [[batch]]

    def store(self, part: Sequence[Rows]) -> None:
        """Write the part, all of it or nothing.

        Raises:
            StoreError: there is no such run, or it has been deleted.
            DBAPIError: the database is busy, or refuses the part.
        """
        with self._engine.begin() as connection:
            self._begin(connection)
            _check_runs(connection, sorted({rows.run_id for rows in part}))
            self._insert(connection, part)
            _update_latest(connection, part)

    @abstractmethod
    def _begin(self, connection: "Connection") -> None:
        """Prepare the connection for a transaction that writes."""

    @abstractmethod
    def _insert(self, connection: "Connection", part: Sequence[Rows]) -> None:
        """Write the points; those that are there already stay as they are."""


class SqliteSink(_SqlSink):
    """Rows as plain tuples to the driver's `executemany`, which is all that SQLite can take."""

    def __init__(self, engine: "Engine") -> None:
        super().__init__(engine)
        from sqlalchemy.dialects.sqlite import insert

        compiled = insert(tables().metrics).on_conflict_do_nothing().compile(dialect=engine.dialect)
        self._statement, self._columns = str(compiled), compiled.positiontup or []
        self._path = Path(str(engine.url.database))
        self._file = self._path.stat()

    def store(self, part: Sequence[Rows]) -> None:
        """Write the part, all of it or nothing, into the file that was opened.

        Raises:
            StoreError: as above, and if another file or none is where it was.
            DBAPIError: as above.
        """
        # SQLite would go on in a file that was removed while it is open, and all would be lost in silence
        if not self._path.exists() or not os.path.samestat(self._path.stat(), self._file):
            raise StoreError(
                f"tracking.uri: {self._path} was removed or replaced while runs were recorded. "
                "What was computed since is in their journals, from which `ratelab sync FOLDER` gives it."
            )
        super().store(part)

    def _begin(self, connection: "Connection") -> None:
        # the settings come first: the one is for BEGIN to wait, the other is ignored inside a transaction
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * _BUSY_SECONDS)}")
        # the run is looked up once a batch; the foreign key would look it up for every row
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        # a plain BEGIN would take the lock with the first row, after the run has been read: if another
        # program has written in between, SQLite refuses at once and does not wait, for what was read is old
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _insert(self, connection: "Connection", part: Sequence[Rows]) -> None:
        for rows in part:
            columns: dict[str, Iterable[Any]] = {
                name: repeat(column) if isinstance(column, str) else column.tolist()
                for name, column in _columns(rows).items()
            }
            # the constant columns are endless: the rows end with the shortest column
            tuples = list(zip(*(columns[name] for name in self._columns), strict=False))
            connection.exec_driver_sql(self._statement, tuples)


def _columns(rows: Rows) -> dict[str, str | NDArray[Any]]:
    values, is_nan = sanitize(rows.values)
    return {
        "key": rows.key,
        "value": values,
        "timestamp": rows.timestamps,
        "step": rows.steps,
        "is_nan": is_nan,
        "run_uuid": rows.run_id,
    }


def sanitize(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the values as MLflow stores them, and which of them are NaN (stored as 0)."""
    return np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST), np.isnan(values)


class PostgresSink(_SqlSink):
    """Rows by COPY, which passes over none: into a table of its own, and from there what is missing."""

    _TABLE = "CREATE TEMPORARY TABLE ratelab_new (LIKE metrics) ON COMMIT DROP"
    _COPY = "COPY ratelab_new (key, value, timestamp, step, is_nan, run_uuid) FROM STDIN (FORMAT BINARY)"
    _INSERT = """
        INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
        SELECT key, value, timestamp, step, is_nan, run_uuid FROM ratelab_new ON CONFLICT DO NOTHING"""

    def __init__(self, engine: "Engine") -> None:
        super().__init__(engine)
        enable_copy(engine)

    def _begin(self, connection: "Connection") -> None:
        # COPY takes texts in the encoding of the connection, which without a word is that of the database
        connection.exec_driver_sql("SET LOCAL client_encoding = 'UTF8'")

    def _insert(self, connection: "Connection", part: Sequence[Rows]) -> None:
        connection.exec_driver_sql(self._TABLE)
        copy_rows(connection, self._COPY, b"".join(encode_rows(_columns(rows)) for rows in part))
        connection.exec_driver_sql(self._INSERT)


def _check_runs(connection: "Connection", run_ids: Sequence[str]) -> None:
    """Raise StoreError unless there are all these runs, none of them deleted."""
    from sqlalchemy import select

    runs = tables().runs
    active = select(runs.c.run_uuid).where(runs.c.run_uuid.in_(run_ids), runs.c.lifecycle_stage == "active")
    if missing := set(run_ids) - set(connection.scalars(active)):
        gone = ", ".join(sorted(missing))
        raise StoreError(f"metrics for {gone}: no such run in the store, or deleted meanwhile.")


def _update_latest(connection: "Connection", batch: Sequence[Rows]) -> None:
    """Keep `latest_metrics` as MLflow does: the largest (step, timestamp, value); of equals, the first."""
    from sqlalchemy import tuple_
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    table = tables().latest_metrics
    statement = dialect.insert(table)
    new = statement.excluded
    order = ("step", "timestamp", "value")
    statement = statement.on_conflict_do_update(
        index_elements=["key", "run_uuid"],
        set_={name: new[name] for name in (*order, "is_nan")},
        where=tuple_(*(new[name] for name in order)) > tuple_(*(table.c[name] for name in order)),
    )
    connection.execute(statement, _find_latest(batch))


def _find_latest(batch: Sequence[Rows]) -> list[dict[str, Any]]:
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for rows in batch:
        row = _find_largest(rows)
        place = (rows.run_id, rows.key)
        if place not in best or _rank(row) > _rank(best[place]):
            best[place] = row
    # in one order everywhere, so that two writers cannot wait for each other
    return [best[place] for place in sorted(best)]


def _find_largest(rows: Rows) -> dict[str, Any]:
    values, is_nan = sanitize(rows.values)
    columns = (rows.steps, rows.timestamps, values)
    left = np.arange(len(rows))
    for column in columns:
        left = left[column[left] == column[left].max()]
    first = left[0]
    step, timestamp, value = (column[first].item() for column in columns)
    flag = bool(is_nan[first])
    return {
        "run_uuid": rows.run_id,
        "key": rows.key,
        "step": step,
        "timestamp": timestamp,
        "value": value,
        "is_nan": flag,
    }


def _rank(row: dict[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]
