"""Stores with runs as they should not be, written row by row: no client of MLflow's would do it."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace

TAGS = {
    "schedule": "fixed",
    "seed": "0",
    "config_digest": "sha256:0",
    "data_digest": "sha256:abcdef",
    "sweep_id": "a sweep's name/ü",  # as earlier versions made it from a folder
    "job": "0",
    "mlflow.runName": "fixed seed=0",
}
PARAMS = {
    "seed": "0",
    "learning_rate": "0.1",
    "batch_size": "24",
    "test": "True",
    "schedule._target_": "ratelab.schedules.fixed",
    "tracking.train_loss_every": "1",
    "tracking.experiment": "ratelab",
}
STEPS = (9, 19)
METRICS = {
    "learning_rate": dict.fromkeys(range(20), 0.1),
    "train_loss": {step: 1.0 - step / 40 for step in range(20)},
    "val_accuracy": dict(zip(STEPS, (0.5, 0.75), strict=True)),
    "train_seconds": dict(zip(STEPS, (1.0, 2.0), strict=True)),
    "test_accuracy": {19: 0.75},
}


@dataclass(frozen=True)
class Rows:
    """What the tables have on one run."""

    run_id: str
    name: str = "fixed seed=0"
    status: str = "FINISHED"
    started: object = 1_700_000_000_000
    experiment_id: int = 0
    tags: dict = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)


def good_run(number, schedule="fixed", seed=0):
    """A run that a sweep would have left."""
    name, words = f"{schedule} seed={seed}", {"schedule": schedule, "seed": str(seed)}
    return Rows(
        run_id=f"{number:032x}",
        name=name,
        started=1_700_000_000_000 + number,
        tags={**TAGS, **words, "job": str(number), "mlflow.runName": name},
        params={**PARAMS, "seed": str(seed), "schedule._target_": f"ratelab.schedules.{schedule}"},
        metrics={key: dict(points) for key, points in METRICS.items()},
    )


def without(rows, part, *keys):
    """The run without some tags, parameters or metrics."""
    return replace(
        rows, **{part: {key: value for key, value in getattr(rows, part).items() if key not in keys}}
    )


def having(rows, part, **values):
    """The run with other tags, parameters or metrics; in a name "__" stands for a dot."""
    changed = {key.replace("__", "."): value for key, value in values.items()}
    return replace(rows, **{part: {**getattr(rows, part), **changed}})


def write_runs(path, runs):
    """Put runs into the store at `path`, whatever they hold."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for rows in runs:
            _write(connection, rows)


def _write(connection, rows):
    connection.execute(
        "INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, experiment_id, source_type)"
        " VALUES (?, ?, ?, ?, 'active', ?, 'LOCAL')",
        (rows.run_id, rows.name, rows.status, rows.started, rows.experiment_id),
    )
    for table in ("tags", "params"):
        texts = [(key, value, rows.run_id) for key, value in getattr(rows, table).items()]
        connection.executemany(f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)", texts)  # noqa: S608
    for key, points in rows.metrics.items():
        for table, shown in (("metrics", points), ("latest_metrics", dict(list(points.items())[-1:]))):
            connection.executemany(
                f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan)"  # noqa: S608
                " VALUES (?, ?, 0, ?, ?, ?)",
                [
                    (key, 0.0 if value is None else value, rows.run_id, step, value is None)
                    for step, value in shown.items()
                ],
            )
