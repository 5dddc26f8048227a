"""One call from `tracking.uri` to a tracker, so that no caller asks whether tracking is on."""

from pathlib import Path

from ratelab.tracking.mlflow_runs import Tracker
from ratelab.tracking.none import NullTracker
from ratelab.tracking.stores import prepare_store


def open_tracker(uri: str | None, experiment: str, directory: Path) -> Tracker | NullTracker:
    """Return a tracker for `tracking.uri`; None gives one that keeps nothing.

    Args:
        uri: `tracking.uri`, or what `prepare_store` returned.
        experiment: `tracking.experiment`.
        directory: the project's folder; relative SQLite paths and the artifacts of SQL stores are in it.

    Raises:
        UserError: the store cannot be used.
    """
    if not uri:
        return NullTracker()
    store = prepare_store(uri, directory)
    local = store.startswith("sqlite")
    return Tracker(store, experiment, None if local else directory / "mlruns" / "artifacts")
