"""What is used of MLflow's private parts is where it was; a new MLflow that moved one of them is told so."""

import ast
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import pytest

from ratelab.tracking import Tracker, mlflow_internals

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
STORE = "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore"


def imported_names() -> list[str]:
    """What the module imports from MLflow, as package:name; the client itself is public."""
    tree = ast.parse(Path(mlflow_internals.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    found = {f"{node.module}:{alias.name}" for node in imports for alias in node.names}
    return sorted(name for name in found if name.startswith("mlflow."))


def is_there(name: str) -> bool:
    """Say whether package:name can be imported."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def fail(part: str) -> None:
    """Say which part has gone, in one sentence."""
    import mlflow

    module = Path(mlflow_internals.__file__).name
    pytest.fail(f"mlflow {mlflow.__version__} has moved {part}, which {module} needs.", pytrace=False)


@pytest.mark.parametrize(
    "name", [*imported_names(), "mlflow.store.tracking.sqlalchemy_store:SqlAlchemyStore._engine_map"]
)
def test_what_is_imported_is_still_there(name: str) -> None:
    if not is_there(name):
        fail(name)


@pytest.mark.parametrize("argument", ["timeout", "max_retries", "raise_on_status", "kwargs"])
def test_a_request_can_be_limited(argument: str) -> None:
    from mlflow.utils.rest_utils import http_request

    if argument not in inspect.signature(http_request).parameters:
        fail(f"the argument {argument} of mlflow.utils.rest_utils.http_request")


def test_a_client_knows_the_connections_of_its_store(tracker: Tracker) -> None:
    from mlflow import MlflowClient

    part: Any = MlflowClient(tracker.uri)
    for name in ("_tracking_client", "store", "engine"):
        if not hasattr(part, name):
            fail(f"{name}, an attribute of {type(part).__name__}")
        part = getattr(part, name)
    assert part.dialect.name == "sqlite"


def test_connections_are_kept_by_the_uri_and_those_to_a_new_database_are_forgotten(
    tracker: Tracker,
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    kept = SqlAlchemyStore._engine_map.keys()
    if tracker.uri not in kept:
        fail("the keys of SqlAlchemyStore._engine_map")
    assert [uri for uri in kept if uri.endswith(".new")] == []  # where the store of this tracker was made


def test_only_a_store_that_is_made_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import NullPool, create_engine, text

    def settings(uri: str) -> tuple[int, str]:
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            return tuple(
                connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("synchronous", "journal_mode")
            )

    def look(_: SqlAlchemyStore, uri: str, artifacts: str) -> None:
        seen.extend([settings(uri), settings(other), settings("sqlite://")])

    seen: list[tuple[int, str]] = []
    new, other = (f"sqlite:///{tmp_path / name}" for name in ("a new one", "b"))
    monkeypatch.setattr(SqlAlchemyStore, "__init__", look)
    mlflow_internals.make_tables(new, tmp_path)
    assert [*seen, settings(new)] == [(0, "memory"), (2, "delete"), (2, "memory"), (2, "delete")]


def test_the_revisions_read_from_the_text_are_those_that_alembic_finds() -> None:
    import mlflow
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    newest, known = mlflow_internals.schema_revisions()
    assert newest == script.get_current_head()
    assert known == {revision.revision for revision in script.walk_revisions()}


def test_a_database_of_this_mlflow_has_its_tables_and_schema(tracker: Tracker) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy import NullPool, create_engine

    engine = mlflow_internals.find_engine(MlflowClient(tracker.uri))
    assert engine is not None
    assert mlflow_internals.has_all_tables(engine)
    mlflow_internals.check_schema(engine)
    empty = create_engine("sqlite://", poolclass=NullPool)  # which closes its connections
    assert not mlflow_internals.has_all_tables(empty)
    with pytest.raises(MlflowException, match="out-of-date"):
        mlflow_internals.check_schema(empty)


def test_the_tags_of_the_source_are_those_that_a_run_of_mlflow_has() -> None:
    assert {
        "mlflow.user",
        "mlflow.source.name",
        "mlflow.source.type",
    } <= mlflow_internals.source_tags().keys()
