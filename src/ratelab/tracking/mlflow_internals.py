"""MLflow's private parts, all of them that are used here: what its documented interface cannot give.

A new MLflow may move any of these without a word; tests/unit/test_tracking_internals.py then says which.
"""

# mypy: allow-untyped-calls
# (parts of mlflow are untyped)
import contextlib
import importlib.util
import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratelab.tracking.environment import silence_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from requests import Response
    from sqlalchemy import Engine


def find_engine(client: "MlflowClient") -> "Engine | None":
    """Return the connections that MLflow's own store works with; None if the store is a server's."""
    engine: Engine | None = getattr(client._tracking_client.store, "engine", None)
    return engine


def make_tables(uri: str, artifacts: Path) -> None:
    """Give an empty database MLflow's tables and its default experiment; leave no connection to it open.

    Args:
        uri: of the database; of SQLite's the file is not written through to the disk.
        artifacts: the absolute folder for the artifacts of the default experiment.

    Raises:
        MlflowException: the tables cannot be made.
        SQLAlchemyError: the same.
    """
    silence_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    try:
        with _hurried_sqlite(uri):
            SqlAlchemyStore(uri, artifacts.as_uri())
    finally:
        # MLflow keeps the connections for its next store at this URI: what is there then may be another file
        engine = SqlAlchemyStore._engine_map.pop(uri, None)
        if engine is not None:
            engine.dispose()


@contextlib.contextmanager
def _hurried_sqlite(uri: str) -> Iterator[None]:
    """Let connections to this file of SQLite's, and to no other, wait for no disk; MLflow opens its own."""
    from sqlalchemy import Engine, event, make_url

    path = Path(make_url(uri).database or "").resolve()

    def hurry(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            [(_, _, file)] = connection.execute("PRAGMA database_list")
            if file and Path(file).resolve() == path:  # another thread may open another one meanwhile
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(Engine, "connect", hurry)
    try:
        yield
    finally:
        event.remove(Engine, "connect", hurry)


def known_tables() -> set[str]:
    """Return the names of all tables that the installed MLflow's migrations make, the first and the last."""
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

    return {*Base.metadata.tables, *InitialBase.metadata.tables, "alembic_version"}


def has_all_tables(engine: "Engine") -> bool:
    """Say whether a database has every table of the installed MLflow's."""
    from mlflow.store.db.utils import _all_tables_exist

    return bool(_all_tables_exist(engine))


def check_schema(engine: "Engine") -> None:
    """Return if the schema of a database is that of the installed MLflow.

    Raises:
        MlflowException: it is older or newer.
    """
    from mlflow.store.db.utils import _verify_schema

    _verify_schema(engine)


def schema_revisions() -> tuple[str, set[str]]:
    """Return the newest schema revision of the installed MLflow, and all of them.

    They are read from the text of its migrations: to import MLflow takes two seconds, which training hides.
    """
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 - a requirement of ours
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    found: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for path in sorted(folder.glob("*.py")):
        assignments = re.findall(
            r"""^(revision|down_revision)\b.*=\s*["'](\w+)["']""", path.read_text(), re.MULTILINE
        )
        for key, value in assignments:
            found[key].add(value)
    (newest,) = found["revision"] - found["down_revision"]
    return newest, found["revision"]


def request(
    uri: str, method: str, endpoint: str, seconds: float, body: Mapping[str, object] | None = None
) -> "Response":
    """Return a server's answer to one request, whatever its status; what logs a user in is sent along.

    Args:
        uri: of the server.
        method: of HTTP.
        endpoint: the path after that of the server.
        seconds: how long the server may keep silent; the request is not repeated.
        body: sent as JSON.

    Raises:
        MlflowException: there is no answer.
    """
    silence_mlflow()
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    limits = {"timeout": seconds, "max_retries": 0, "raise_on_status": False}
    content = {"json": body} if body else {}
    response: Response = http_request(get_default_host_creds(uri), endpoint, method, **limits, **content)
    return response


def source_tags() -> dict[str, str]:
    """Return the tags that `mlflow.start_run` would set: the user, the program, the commit."""
    from mlflow.tracking.context.registry import resolve_tags

    tags: dict[str, str] = resolve_tags()
    return tags
