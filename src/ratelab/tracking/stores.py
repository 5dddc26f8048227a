"""The store of the runs: checked and made ready once, before MLflow sees it, then opened."""

from pathlib import Path

from ratelab.runtime.quick_imports import quick_imports
from ratelab.tracking.interface import Tracker
from ratelab.tracking.mlflow_runs import MlflowTracker
from ratelab.tracking.moved import follow_move
from ratelab.tracking.none import NullTracker
from ratelab.tracking.postgresql import look_at_postgresql, prepare_postgresql
from ratelab.tracking.servers import check_server
from ratelab.tracking.sqlite import look_at_sqlite, prepare_sqlite
from ratelab.tracking.uris import is_served, kind_of, resolve_store, sqlite_path

_LOOK_SECONDS = 3.0  # for each answer of a server that is only looked at


def prepare_store(uri: str | None, directory: Path, experiment: str | None = None) -> str:
    """Return the absolute URI of a store that is known to work; make a local one where there is none.

    It reads an SQLite file and MLflow's migrations, and asks a server a few times: once a run is enough.

    Args:
        uri: `tracking.uri`; a relative SQLite path counts from `directory`. None is tracking switched off.
        directory: the project's folder.
        experiment: `tracking.experiment`, if runs are to be recorded: whether that will be let.

    Returns:
        The URI to give to `open_tracker`; empty for None.

    Raises:
        UserError: the store cannot be used; the message has the reason and what to do. Nothing was written.
    """
    store = resolve_store(uri, directory)
    if store is None:
        return ""
    if kind_of(store) == "sqlite":
        path = sqlite_path(store, directory)
        prepare_sqlite(path, store, experiment)
        follow_move(path, artifacts_of(store, directory))
    elif is_served(store):
        check_server(store, experiment)
    else:
        prepare_postgresql(store, artifacts_of(store, directory), experiment)
    return store


def look_at_store(store: str, directory: Path, experiment: str) -> bool:
    """Say whether there is a store that `prepare_store` would take as it is; nothing is made or changed.

    Args:
        store: what `resolve_store` returned.
        directory: the project's folder.
        experiment: in which runs are to be recorded.

    Raises:
        UserError: the store, or the place where one is to be made, cannot be used.
    """
    if kind_of(store) == "sqlite":
        return look_at_sqlite(sqlite_path(store, directory), store, experiment)
    if is_served(store):
        check_server(store, experiment, _LOOK_SECONDS)
        return True
    return look_at_postgresql(store, experiment)


def open_tracker(uri: str | None, experiment: str, directory: Path) -> Tracker:
    """Return a tracker for a store that has been prepared, which is not checked again; use it with `with`.

    Args:
        uri: what `prepare_store` returned; empty or None gives a tracker that keeps nothing.
        experiment: `tracking.experiment`.
        directory: the project's folder, which holds the artifacts of a PostgreSQL store.

    Raises:
        UserError: the experiment has been deleted, and MLflow keeps its name.
    """
    if not uri:
        return NullTracker()
    with quick_imports():
        return MlflowTracker(uri, experiment, None if is_served(uri) else artifacts_of(uri, directory))


def artifacts_of(store: str, directory: Path) -> Path:
    """Return where artifacts lie: beside the SQLite file, or, of a database elsewhere, in the project."""
    if kind_of(store) == "sqlite":
        return sqlite_path(store, directory).parent / "artifacts"
    return directory.absolute() / "mlruns" / "artifacts"
