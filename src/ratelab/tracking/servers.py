"""Stores behind a network: asked in seconds whether they answer and let us in."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from ratelab.runtime.passwords import without_password
from ratelab.tracking.environment import quiet_logs, silence_mlflow
from ratelab.tracking.mlflow_internals import check_schema, has_all_tables, make_tables, request
from ratelab.validation import UserError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_SECONDS = 5
_CREATION_LOCK = 0x7261_7465  # any number, the same in every process: "rate"
_ADVICE = {
    401: "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    403: "Ask the server's owner for permission, or for your host in its --allowed-hosts.",
    404: "Check host, port and path: this is not the address of an MLflow server.",
}


def check_server(uri: str) -> None:
    """Return if an MLflow server answers there and accepts us.

    Raises:
        UserError: it does not answer within seconds, or refuses.
    """
    _ask(uri, "GET", "/health")
    # anybody may ask for its health: whether we are let in, and it is MLflow's, only a real question shows
    answer = _ask(uri, "POST", "/api/2.0/mlflow/experiments/search", {"max_results": 1})
    if not isinstance(answer, dict):
        _refuse(uri, "answers, but not as MLflow does", _ADVICE[404])


def _ask(uri: str, method: str, endpoint: str, body: dict[str, int] | None = None) -> object:
    """Return the parsed answer of the server, None if it is no JSON."""
    silence_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        response = request(uri, method, endpoint, _SECONDS, body)
    except MlflowException as error:
        reason = str(error).rpartition("exception ")[2]
        advice = f"Start it (mlflow server --host 127.0.0.1 --port {_port(uri)}) or correct the address."
        _refuse(uri, f"does not answer: {reason}", advice)
    if response.status_code >= 400:
        advice = _ADVICE.get(response.status_code, "Look into the server's log.")
        _refuse(uri, f"refuses {endpoint} with status {response.status_code}", advice)
    try:
        return response.json()
    except ValueError:
        return None


def _port(uri: str) -> int:
    return urlsplit(uri).port or 5000


def prepare_postgresql(uri: str, artifacts: Path) -> None:
    """Return once the database of `uri` holds the schema of this MLflow's; an empty database is given it.

    Waits for another process that gives it, as long as that takes.

    Args:
        uri: `tracking.uri`.
        artifacts: the absolute folder for the artifacts of MLflow's default experiment.

    Raises:
        UserError: no driver, no connection, or the database is another program's.
    """
    silence_mlflow()
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(uri, connect_args={"connect_timeout": _SECONDS})
    except (ImportError, SQLAlchemyError) as error:
        _refuse(uri, f"cannot be used: {error}", "Run: pip install 'psycopg[binary]'")
    try:
        with engine.connect() as connection:
            _fill_if_empty(uri, connection, artifacts)
        _check_schema(uri, engine)
    except SQLAlchemyError as error:
        reason = str(error).partition("\n(Background")[0].replace("\n", " ")
        _refuse(uri, f"cannot be used: {reason}", "Check host, port, database, user and password.")
    finally:
        engine.dispose()


def _fill_if_empty(uri: str, connection: "Connection", artifacts: Path) -> None:
    """Give an empty database MLflow's tables, one process at a time."""
    from sqlalchemy import inspect, text

    # of the session: it outlives the transaction and ends with this process, however that ends;
    # whoever comes second waits here, then finds the tables
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _CREATION_LOCK})
    connection.commit()
    if not inspect(connection).get_table_names():
        with quiet_logs():
            make_tables(uri, artifacts)
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _CREATION_LOCK})


def _check_schema(uri: str, engine: "Engine") -> None:
    """Refuse a database of another program's, or of another MLflow's."""
    from mlflow.exceptions import MlflowException

    if not has_all_tables(engine):
        advice = "Name an empty database, or run: mlflow db upgrade URI"
        _refuse(uri, "holds tables, but not all of MLflow's", advice)
    try:
        check_schema(engine)
    except MlflowException as error:
        advice = "Upgrade the older of the two: pip install --upgrade mlflow, or mlflow db upgrade URI."
        _refuse(uri, str(error).partition(". ")[0], advice)


def _refuse(uri: str, reason: str, advice: str) -> NoReturn:
    message = f"tracking.uri: {without_password(uri)} {without_password(reason, uri)}. {advice}"
    raise UserError(message) from None
