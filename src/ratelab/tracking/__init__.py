"""Runs in MLflow: the store, the metrics in bulk, the life of a run. Names are imported when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratelab.tracking.links import comparison_links
    from ratelab.tracking.mlflow_runs import Diverged, Run, Tracker, now_ms
    from ratelab.tracking.none import NullRun, NullTracker
    from ratelab.tracking.opening import open_tracker
    from ratelab.tracking.reading import History, Recorded, RecordedRun, histories, recorded, windows
    from ratelab.tracking.stores import prepare_store
    from ratelab.tracking.writer import MetricWriter

__all__ = [
    "Diverged",
    "History",
    "MetricWriter",
    "NullRun",
    "NullTracker",
    "Recorded",
    "RecordedRun",
    "Run",
    "Tracker",
    "comparison_links",
    "histories",
    "now_ms",
    "open_tracker",
    "prepare_store",
    "recorded",
    "windows",
]

_HOMES = {
    "Diverged": "mlflow_runs",
    "History": "reading",
    "MetricWriter": "writer",
    "NullRun": "none",
    "NullTracker": "none",
    "Recorded": "reading",
    "RecordedRun": "reading",
    "Run": "mlflow_runs",
    "Tracker": "mlflow_runs",
    "comparison_links": "links",
    "histories": "reading",
    "now_ms": "mlflow_runs",
    "open_tracker": "opening",
    "prepare_store": "stores",
    "recorded": "reading",
    "windows": "reading",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; numpy and pydantic then, mlflow only when a store is opened."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
