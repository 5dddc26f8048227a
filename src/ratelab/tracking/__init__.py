"""Runs in MLflow: the store, the metrics in bulk, the life of a run. Names are imported when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratelab.tracking.history import History, Recorded, RecordedRun, histories, recorded, windows
    from ratelab.tracking.links import comparison_links
    from ratelab.tracking.null import NullRun, NullTracker
    from ratelab.tracking.opening import open_tracker
    from ratelab.tracking.runs import Diverged, Run, Tracker, now_ms
    from ratelab.tracking.store import prepare_store
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
    "Diverged": "runs",
    "History": "history",
    "MetricWriter": "writer",
    "NullRun": "null",
    "NullTracker": "null",
    "Recorded": "history",
    "RecordedRun": "history",
    "Run": "runs",
    "Tracker": "runs",
    "comparison_links": "links",
    "histories": "history",
    "now_ms": "runs",
    "open_tracker": "opening",
    "prepare_store": "store",
    "recorded": "history",
    "windows": "history",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; numpy and pydantic then, mlflow only when a store is opened."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
