"""MLflow's tables, as far as they are read and written here, without MLflow, whose import takes seconds.

A new MLflow may change them; tests/unit/test_tracking_reading.py compares with MLflow's own, and what is read
with its own answers.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Table


@dataclass(frozen=True)
class Tables:
    """Six of them; times are milliseconds since 1970, `is_nan` marks a value that is stored as 0."""

    experiments: "Table"
    runs: "Table"
    params: "Table"
    tags: "Table"
    metrics: "Table"
    latest_metrics: "Table"


@functools.cache
def tables() -> Tables:
    """Return the tables with the columns that are read or written."""
    from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, String, Table

    known = MetaData()
    of_run = ("key", String), ("run_uuid", String)
    point = ("step", BigInteger), ("timestamp", BigInteger), ("value", Float), ("is_nan", Boolean)
    life = ("lifecycle_stage", String), ("experiment_id", Integer)
    times = ("start_time", BigInteger), ("end_time", BigInteger)
    columns = {
        "experiments": (("name", String), *life),
        "runs": (("run_uuid", String), ("name", String), ("status", String), *times, *life),
        "params": (*of_run, ("value", String)),
        "tags": (*of_run, ("value", String)),
        "metrics": (*of_run, *point),
        "latest_metrics": (*of_run, *point),
    }
    return Tables(
        **{
            name: Table(name, known, *(Column(column, kind) for column, kind in own))
            for name, own in columns.items()
        }
    )
