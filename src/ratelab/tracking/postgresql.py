"""A store in a PostgreSQL database: its schema given once, whole, and whether we may write."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ratelab.tracking.asking import open_postgresql
from ratelab.tracking.environment import quiet_logs, silence_mlflow
from ratelab.tracking.mlflow_internals import (
    check_schema,
    has_all_tables,
    known_tables,
    make_tables,
    schema_revisions,
)
from ratelab.tracking.troubles import check_is_active, refuse_store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_PATIENT_SECONDS = 115  # a little less than an answer is waited for: the database can say what it waits for
_TABLES = ("experiments", "latest_metrics", "metrics", "params", "runs", "tags")  # of those we write into
_TEMPORARY = "SELECT current_database(), has_database_privilege(current_database(), 'TEMPORARY')"
_DRIVER = "psycopg"
_NAME_IT = "Run: pip install 'psycopg[binary]', and give postgresql+psycopg://USER@HOST/DATABASE"
_CREATION_LOCK = 0x7261_7465  # any number, the same in every process: "rate"


def prepare_postgresql(uri: str, artifacts: Path, experiment: str | None = None) -> None:
    """Return once the database of `uri` holds the schema of this MLflow's; an empty database is given it.

    Waits for another process that gives it, two minutes at most.

    Args:
        uri: `tracking.uri`.
        artifacts: the absolute folder for the artifacts of MLflow's default experiment.
        experiment: in which runs are to be recorded, if any are.

    Raises:
        UserError: no driver, no connection, no right to write, or the database is another program's.
    """
    with _connect(uri) as engine:
        with engine.connect() as connection:
            _check_encoding(uri, connection)
            _fill_if_empty(uri, connection, artifacts)
        _check_schema(uri, engine)
        if experiment is not None:
            with engine.connect() as connection:
                _check_permissions(uri, connection)
                _check_experiment(connection, experiment)


def look_at_postgresql(uri: str, experiment: str) -> bool:
    """Say whether the database holds a store that `prepare_postgresql` would take as it is; nothing is made.

    Args:
        uri: `tracking.uri`.
        experiment: in which runs are to be recorded.

    Raises:
        UserError: as `prepare_postgresql`.
    """
    with _connect(uri) as engine, engine.connect() as connection:
        _check_encoding(uri, connection)
        # compared first without MLflow, whose import takes seconds
        if _read_revision(connection) != schema_revisions()[0]:
            if _is_unfinished(connection):
                return False
            _check_schema(uri, engine)
        if not _has_experiments(connection):
            return False
        _check_permissions(uri, connection)
        _check_experiment(connection, experiment)
        return True


def _read_revision(connection: "Connection") -> str | None:
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


@contextmanager
def _connect(uri: str) -> Iterator["Engine"]:
    """Connect to the database for the block; what it or its driver refuses is said in one message."""
    silence_mlflow()
    from sqlalchemy import make_url
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    try:
        driver = make_url(uri).get_driver_name()
        if driver != _DRIVER:
            refuse_store(uri, f"is for the driver {driver}, but rows are given by {_DRIVER}", _NAME_IT)
        with open_postgresql(uri) as engine:
            yield engine
    except (ImportError, NoSuchModuleError) as error:
        refuse_store(uri, f"cannot be used: {error}", _NAME_IT)
    except SQLAlchemyError as error:
        reason = str(error).partition("\n(Background")[0].replace("\n", " ")
        refuse_store(uri, f"cannot be used: {reason}", "Check host, port, database, user and password.")


def _fill_if_empty(uri: str, connection: "Connection", artifacts: Path) -> None:
    """Give an empty database MLflow's tables, or finish what was killed at that, one process at a time."""
    from sqlalchemy import text

    # of the session: it outlives the transaction and ends with this process, however that ends;
    # whoever comes second waits here, then finds the tables
    connection.execute(text(f"SET lock_timeout = '{_PATIENT_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _CREATION_LOCK})
    if _is_unfinished(connection):
        with quiet_logs():
            make_tables(uri, artifacts)
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _CREATION_LOCK})


def _is_unfinished(connection: "Connection") -> bool:
    """Say whether a database is empty, or holds what a killed first start has left in it.

    MLflow gives its first tables, all later ones, and the default experiment in three transactions. What the
    first or the second leaves is MLflow's own tables without an experiment; MLflow goes on from there.
    """
    from sqlalchemy import inspect

    tables = set(inspect(connection).get_table_names())
    if tables and not tables <= known_tables():
        return False
    return "experiments" not in tables or not _has_experiments(connection)


def _has_experiments(connection: "Connection") -> bool:
    from sqlalchemy import text

    return bool(connection.scalar(text("SELECT count(*) FROM experiments")))


def _check_encoding(uri: str, connection: "Connection") -> None:
    """Refuse a database that does not know what its texts are: drivers give MLflow bytes for them."""
    from sqlalchemy import text

    if connection.scalar(text("SHOW server_encoding")) == "SQL_ASCII":
        advice = "Make one: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
        refuse_store(uri, "is encoded in SQL_ASCII, which takes any bytes for a text", advice)


def _check_permissions(uri: str, connection: "Connection") -> None:
    """Refuse a database that can be read but not written."""
    from sqlalchemy import text

    if connection.scalar(text("SHOW transaction_read_only")) == "on":
        refuse_store(uri, "is read-only", "Name the primary server, or ask for a user who may write.")
    # one question for each right: asked for several, PostgreSQL says yes if there is any
    query = text("SELECT has_table_privilege(:table, :right)")
    for table, right in itertools.product(_TABLES, ("SELECT", "INSERT", "UPDATE")):
        if not connection.scalar(query, {"table": table, "right": right}):
            advice = f"Ask its owner: GRANT {right} ON {table} TO ..., as on all its tables."
            refuse_store(uri, f"does not let this user {right} in its table {table}", advice)
    database, may_make = connection.execute(text(_TEMPORARY)).one()
    if not may_make:
        advice = f"Ask its owner: GRANT TEMPORARY ON DATABASE {database} TO ..."
        refuse_store(uri, "does not let this user make the temporary tables by which rows are given", advice)


def _check_experiment(connection: "Connection", experiment: str) -> None:
    from sqlalchemy import text

    query = text("SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = :name")
    for experiment_id, stage in connection.execute(query, {"name": experiment}):
        check_is_active(experiment, str(experiment_id), stage)


def _check_schema(uri: str, engine: "Engine") -> None:
    """Refuse a database of another program's, or of another MLflow's."""
    from mlflow.exceptions import MlflowException

    if not has_all_tables(engine):
        advice = "Name an empty database, or run: mlflow db upgrade URI"
        refuse_store(uri, "holds tables, but not all of MLflow's", advice)
    try:
        check_schema(engine)
    except MlflowException as error:
        advice = "Upgrade the older of the two: pip install --upgrade mlflow, or mlflow db upgrade URI."
        refuse_store(uri, str(error).partition(". ")[0], advice)
