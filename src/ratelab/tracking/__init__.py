"""Runs in MLflow, or nowhere: the store, the life of a run, its metrics in bulk, what a store holds.

Nothing here imports mlflow before a store is made or opened, or a server read: that takes two seconds, which
the start of a program has not and training hides.
"""

from ratelab.tracking.interface import Diverged, Run, Tracker, now_ms
from ratelab.tracking.left_running import tidy_store
from ratelab.tracking.links import comparison_links, write_command, write_links
from ratelab.tracking.losses import Losses, warn_of_loss
from ratelab.tracking.mlflow_runs import status_after
from ratelab.tracking.none import NullRun, NullTracker
from ratelab.tracking.reading import (
    count_looks_at_test,
    find_any_runs,
    find_run,
    find_runs,
    find_store,
    read_artifacts,
    read_full_params,
    read_histories,
    read_windows,
)
from ratelab.tracking.recorded import History, Recorded, RecordedRun
from ratelab.tracking.stores import open_tracker, prepare_store
from ratelab.tracking.troubles import StoreError
from ratelab.tracking.uris import is_served, resolve_store, sqlite_path
from ratelab.tracking.writer import MetricWriter

__all__ = [
    "Diverged",
    "History",
    "Losses",
    "MetricWriter",
    "NullRun",
    "NullTracker",
    "Recorded",
    "RecordedRun",
    "Run",
    "StoreError",
    "Tracker",
    "comparison_links",
    "count_looks_at_test",
    "find_any_runs",
    "find_run",
    "find_runs",
    "find_store",
    "is_served",
    "now_ms",
    "open_tracker",
    "prepare_store",
    "read_artifacts",
    "read_full_params",
    "read_histories",
    "read_windows",
    "resolve_store",
    "sqlite_path",
    "status_after",
    "tidy_store",
    "warn_of_loss",
    "write_command",
    "write_links",
]
