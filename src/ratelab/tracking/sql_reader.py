"""Reading a store in a database, in SQL: one query for many runs, and MLflow need not be imported."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ratelab.runtime.checkout import name_training
from ratelab.runtime.passwords import without_password
from ratelab.tracking.asking import open_postgresql
from ratelab.tracking.mlflow_internals import schema_revisions
from ratelab.tracking.mlflow_schema import tables
from ratelab.tracking.recorded import LARGEST_FINITE, History, Reader, RecordedRun
from ratelab.tracking.troubles import find_reason
from ratelab.tracking.uris import kind_of, sqlite_path
from ratelab.validation import UserError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select, Table

_RUNS_A_QUERY = 500
_STEPS_A_QUERY = 10_000  # SQLite takes 32,766 values
_LOCKED_SECONDS = 30
_ACTIVE = "active"


@contextmanager
def open_sql(uri: str) -> Iterator["SqlReader"]:
    """Read a database in the block; nothing is made where there is none.

    Raises:
        UserError: it cannot be read; the message has the driver's reason.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _connect(uri) as connection:
            yield SqlReader(connection)
    except (ImportError, SQLAlchemyError) as error:
        raise UserError(f"{without_password(uri)} cannot be read: {find_reason(uri, error)}.") from None


def check_postgresql(uri: str) -> None:
    """Return if the database holds the tables of the installed MLflow's; nothing is made.

    Raises:
        UserError: it does not, or cannot be read.
    """
    from sqlalchemy import inspect, text

    with open_sql(uri) as reader:
        if not inspect(reader.connection).has_table("alembic_version"):
            raise UserError(f"there is no store in {without_password(uri)}; run `{name_training()}` first.")
        found = reader.connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found != (expected := schema_revisions()[0]):
        raise UserError(
            f"{without_password(uri)} was made by another MLflow (schema {found}; the installed one expects "
            f"{expected}). Upgrade the older: pip install --upgrade mlflow, or mlflow db upgrade URI."
        )


@contextmanager
def _connect(uri: str) -> "Iterator[Connection]":
    from sqlalchemy import NullPool, create_engine

    if kind_of(uri) != "sqlite":
        with open_postgresql(uri) as engine, engine.connect() as connection:
            yield connection
        return
    # rw: SQLite would make a file that is not there
    address = f"{sqlite_path(uri, Path.cwd()).as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=_LOCKED_SECONDS)

    with create_engine("sqlite://", creator=connect, poolclass=NullPool).connect() as connection:
        yield connection


class SqlReader(Reader):
    """A database through one connection; made by `open_sql`."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection

    def experiments(self) -> dict[str, str]:
        """Return ids by names."""
        from sqlalchemy import select

        table = tables().experiments.c
        query = select(table.name, table.experiment_id).where(table.lifecycle_stage == _ACTIVE)
        return {name: str(experiment_id) for name, experiment_id in self.connection.execute(query)}

    def run(self, run_id: str) -> RecordedRun | None:
        """Return one run."""
        found = self._complete(_select_runs().where(tables().runs.c.run_uuid == run_id))
        return found[0] if found else None

    def runs(
        self, tags: Mapping[str, str | None], experiment_id: str | None = None, *, newest: bool = False
    ) -> list[RecordedRun]:
        """Return the runs that have all these tags."""
        from sqlalchemy import desc

        runs, experiments = tables().runs.c, tables().experiments.c
        query = _select_runs().where(runs.lifecycle_stage == _ACTIVE, experiments.lifecycle_stage == _ACTIVE)
        if experiment_id is not None:
            query = query.where(runs.experiment_id == int(experiment_id))
        for key, value in tags.items():
            query = query.where(_has_tag(key, value))
        if newest:
            return self._complete(query.order_by(desc(runs.start_time), runs.run_uuid).limit(1))
        return self._complete(query.order_by(runs.start_time, runs.run_uuid))

    def looks_at_test(self, experiment_id: str, digest: str) -> set[str]:
        """Return the sweeps that have looked at a test split, and the runs of none."""
        from sqlalchemy import and_, select

        runs, param, sweeps = tables().runs.c, tables().params.c, tables().tags.alias()
        of_run = and_(sweeps.c.run_uuid == runs.run_uuid, sweeps.c.key == "sweep_id")
        tests = select(param.key).where(
            param.run_uuid == runs.run_uuid, param.key == "test", param.value == str(True)
        )
        query = select(runs.run_uuid, sweeps.c.value).outerjoin_from(tables().runs, sweeps, of_run)
        query = query.where(runs.experiment_id == int(experiment_id), runs.lifecycle_stage == _ACTIVE)
        query = query.where(runs.status == "FINISHED", _has_tag("data_digest", digest), tests.exists())
        return {str(sweep_id or run_id) for run_id, sweep_id in self.connection.execute(query)}

    def _complete(self, query: "Select[Any]") -> list[RecordedRun]:
        """Return the runs that a query finds, with what the other tables have on each."""
        rows = self.connection.execute(query).fetchall()
        found: list[RecordedRun] = []
        for start in range(0, len(rows), _RUNS_A_QUERY):
            some = rows[start : start + _RUNS_A_QUERY]
            ids = [row.run_uuid for row in some]
            params, tags = self._texts(tables().params, ids), self._texts(tables().tags, ids)
            metrics = self._last_values(ids)
            found += (
                RecordedRun(
                    run_id=row.run_uuid,
                    name=str(row.name or tags[row.run_uuid].get("mlflow.runName", "")),
                    status=row.status,
                    params=params[row.run_uuid],
                    tags=tags[row.run_uuid],
                    metrics=metrics[row.run_uuid],
                    started=row.start_time,
                    ended=row.end_time,
                    experiment_id=str(row.experiment_id),
                )
                for row in some
            )
        return found

    def _texts(self, table: "Table", ids: Sequence[str]) -> dict[str, dict[str, str]]:
        from sqlalchemy import select

        found: dict[str, dict[str, str]] = {run_id: {} for run_id in ids}
        query = select(table.c.run_uuid, table.c.key, table.c.value).where(table.c.run_uuid.in_(ids))
        for run_id, key, value in self.connection.execute(query):
            if run_id in found:  # a damaged index leads to other rows
                # MLflow's schema lets a tag be null, and SQLite keeps bytes in a column of texts
                found[run_id][str(key)] = str(value or "")
        return found

    def _last_values(self, ids: Sequence[str]) -> dict[str, dict[str, float]]:
        from sqlalchemy import select

        found: dict[str, dict[str, float]] = {run_id: {} for run_id in ids}
        table = tables().latest_metrics.c
        query = select(table.run_uuid, table.key, table.value, table.is_nan).where(table.run_uuid.in_(ids))
        for run_id, key, value, is_nan in self.connection.execute(query):
            # SQLite keeps a text in a column of numbers; a damaged index leads to other rows
            if isinstance(value, int | float) and run_id in found:
                found[run_id][key] = float("nan") if is_nan else value
        return found

    def histories(
        self, run_ids: Sequence[str], key: str, at: Sequence[int] | None = None
    ) -> dict[str, History]:
        """Return one metric of many runs."""
        from sqlalchemy import select

        table = tables().metrics.c
        query = select(table.run_uuid, table.step, table.value, table.is_nan)
        query = query.order_by(table.run_uuid, table.step, table.timestamp)
        if at is not None and len(at) <= _STEPS_A_QUERY:
            query = query.where(table.step.in_(at))
        found = self._columns(query, run_ids, key)
        return found if at is None else {run_id: history.at(at) for run_id, history in found.items()}

    def windows(self, run_ids: Sequence[str], key: str, width: int) -> dict[str, History]:
        """Return means over windows, which the database computes: no more than they are read."""
        from sqlalchemy import false, func, select

        table = tables().metrics.c
        first = (table.step // width * width).label("first")
        query = select(table.run_uuid, first, func.avg(table.value), false())
        query = query.where(table.is_nan.is_(False), func.abs(table.value) < LARGEST_FINITE)
        query = query.group_by(table.run_uuid, first).order_by(table.run_uuid, first)
        return self._columns(query, run_ids, key)

    def _columns(self, query: "Select[Any]", run_ids: Sequence[str], key: str) -> dict[str, History]:
        """Return what a query finds of one metric: the columns id, step, value, is_nan, by id and step."""
        table = tables().metrics.c
        found: dict[str, History] = {}
        for start in range(0, len(run_ids), _RUNS_A_QUERY):
            ids = run_ids[start : start + _RUNS_A_QUERY]
            rows = self.connection.execute(query.where(table.run_uuid.in_(ids), table.key == key))
            for run_id, own in groupby(rows, key=lambda row: row[0]):
                found[run_id] = _make_history(list(own))
        return found


def _select_runs() -> "Select[Any]":
    from sqlalchemy import select

    runs, experiments = tables().runs, tables().experiments
    names = ("run_uuid", "name", "status", "start_time", "end_time", "experiment_id")
    return select(*(runs.c[name] for name in names)).join(
        experiments, experiments.c.experiment_id == runs.c.experiment_id
    )


def _has_tag(key: str, value: str | None) -> "ColumnElement[bool]":
    """Return the condition that a run has this tag, with this value unless it is None."""
    from sqlalchemy import select

    tag, run = tables().tags.c, tables().runs.c
    query = select(tag.key).where(tag.run_uuid == run.run_uuid, tag.key == key)
    return (query if value is None else query.where(tag.value == value)).exists()


def _make_history(rows: Sequence[Any]) -> History:
    """Return the points of one run, without those that SQLite has kept although they are no numbers."""
    points = [
        (step, np.nan if is_nan else value)
        for _, step, value, is_nan in rows
        if isinstance(step, int) and isinstance(value, int | float)
    ]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return History(np.array(steps, np.int64), np.array(values, np.float64))
