"""Rows a second into MLflow's SQLite store: MLflow's two ways, ours, and the floor, alternating in one run.

    python benchmarks/metrics_store.py [--quick]
    python benchmarks/metrics_store.py --uri http://127.0.0.1:5000  # into a store that is there

Each way writes into its own copy of one fresh store (same schema, same indexes, same settings), a new run
each time, as `learning_rate` and `train_loss` of consecutive steps. The floor is the database driver's
`executemany` of tuples that are ready, in one transaction; ours starts from arrays and ends with `flush`.
"""

import argparse
import logging
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ratelab.tracking import MetricWriter, now_ms, prepare_store

KEYS = ("learning_rate", "train_loss")
INSERT = "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"


class Way(NamedTuple):
    """One way of writing: `write(uri, run_id, steps)` returns the seconds it took."""

    name: str
    steps: int
    write: Callable[[str, str, int], float]


def points(steps: int) -> tuple[Any, Any, Any]:
    """Return steps, values and timestamps of one metric."""
    return np.arange(steps), np.random.default_rng(0).random(steps), now_ms() + np.arange(steps)


def by_log_metric(uri: str, run_id: str, steps: int) -> float:
    import mlflow

    mlflow.set_tracking_uri(uri)
    with mlflow.start_run(run_id=run_id):
        start = time.perf_counter()
        for step, value in zip(*points(steps)[:2], strict=True):
            for key in KEYS:
                mlflow.log_metric(key, float(value), step=int(step))
        return time.perf_counter() - start


def by_log_batch(uri: str, run_id: str, steps: int) -> float:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(uri)
    start = time.perf_counter()
    columns = [column.tolist() for column in points(steps)]
    for key in KEYS:
        metrics = [Metric(key, value, when, step) for step, value, when in zip(*columns, strict=True)]
        for first in range(0, steps, 1000):
            client.log_batch(run_id, metrics[first : first + 1000])
    return time.perf_counter() - start


def by_writer(uri: str, run_id: str, steps: int) -> float:
    with closing(MetricWriter(uri)) as writer:
        start = time.perf_counter()
        columns = points(steps)
        for key in KEYS:
            writer.write(run_id, key, *columns)
        writer.flush()
        return time.perf_counter() - start


def by_driver(uri: str, run_id: str, steps: int) -> float:
    columns = [column.tolist() for column in points(steps)]
    rows = [
        (key, value, when, step, 0, run_id)
        for key in KEYS
        for step, value, when in zip(*columns, strict=True)
    ]
    with closing(sqlite3.connect(file_of(uri))) as connection:
        start = time.perf_counter()
        connection.executemany(INSERT, rows)
        connection.commit()
        return time.perf_counter() - start


def file_of(uri: str) -> str:
    return uri.removeprefix("sqlite:///")


def settings(uri: str) -> tuple[str, str]:
    """Return journal mode and synchronous: of MLflow's engine, which ours uses, and of the plain driver."""
    from mlflow import MlflowClient

    pragmas = ("journal_mode", "synchronous")
    with MlflowClient(uri)._tracking_client.store.engine.connect() as engine:
        ours = [str(engine.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in pragmas]
    with closing(sqlite3.connect(file_of(uri))) as driver:
        theirs = [str(driver.execute(f"PRAGMA {name}").fetchone()[0]) for name in pragmas]
    return (
        f"{pragmas[0]}={ours[0]} {pragmas[1]}={ours[1]}",
        f"{pragmas[0]}={theirs[0]} {pragmas[1]}={theirs[1]}",
    )


def size(uri: str) -> int:
    """Return the bytes of the store, what its log holds included."""
    with closing(sqlite3.connect(file_of(uri))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(file_of(uri)).stat().st_size


def count(uri: str) -> int:
    with closing(sqlite3.connect(file_of(uri))) as connection:
        return int(connection.execute("SELECT count(*) FROM metrics").fetchone()[0])


def measure(ways: list[Way], repeats: int, folder: Path) -> None:
    from mlflow import MlflowClient

    template = file_of(prepare_store("sqlite:///template.db", folder))
    stores = {}
    for number, way in enumerate(ways):
        stores[way.name] = f"sqlite:///{shutil.copy(template, folder / f'{number}.db')}"
    settings_ours, settings_floor = settings(stores[ways[-1].name])
    assert settings_ours == settings_floor, (settings_ours, settings_floor)
    print(
        f"SQLite {sqlite3.sqlite_version}, both: {settings_ours}; medians of {repeats} alternating repeats\n"
    )
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    before = {way.name: size(stores[way.name]) for way in ways}
    for _ in range(repeats):
        for way in ways:
            run_id = MlflowClient(stores[way.name]).create_run("0").info.run_id
            seconds[way.name].append(way.write(stores[way.name], run_id, way.steps))
    for way in ways:
        assert count(stores[way.name]) == repeats * way.steps * len(KEYS), way.name
    report(ways, seconds, {name: size(uri) - before[name] for name, uri in stores.items()})


def measure_at(uri: str, steps: int, repeats: int) -> None:
    """Print the rates of log_batch and ours into a store that is there, a server's or PostgreSQL."""
    from mlflow import MlflowClient

    client = MlflowClient(prepare_store(uri, Path.cwd()))
    experiment = client.create_experiment(f"metrics_store {now_ms()}")
    seconds: dict[str, list[float]] = {"MlflowClient.log_batch": [], "ratelab MetricWriter": []}
    for _ in range(repeats):
        for name, write in zip(seconds, (by_log_batch, by_writer), strict=True):
            seconds[name].append(write(uri, client.create_run(experiment).info.run_id, steps))
    for name, taken in seconds.items():
        rate = len(KEYS) * steps / statistics.median(taken)
        print(f"{name:<34}{len(KEYS) * steps:>8,} rows{rate:>10,.0f} rows/s")


def report(ways: list[Way], seconds: dict[str, list[float]], grown: dict[str, int]) -> None:
    rates = {way.name: len(KEYS) * way.steps / statistics.median(seconds[way.name]) for way in ways}
    floor = rates[ways[-1].name]
    print(f"{'way':<34}{'rows':>8}{'median s':>10}{'rows/s':>10}{'of floor':>10}{'bytes/row':>11}")
    for way in ways:
        rows, rate, repeats = len(KEYS) * way.steps, rates[way.name], len(seconds[way.name])
        cells = f"{statistics.median(seconds[way.name]):>10.3f}{rate:>10,.0f}{rate / floor:>10.3f}"
        print(f"{way.name:<34}{rows:>8,}{cells}{grown[way.name] / rows / repeats:>11.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of a minute")
    parser.add_argument("--repeats", type=int, help="default 7, quick 3")
    parser.add_argument("--uri", help="a store that is there")
    arguments = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    quick = arguments.quick
    bulk = 5_500 if quick else 27_500
    if arguments.uri:
        measure_at(arguments.uri, 1_000 if quick else 5_500, arguments.repeats or 3)
        return
    ways = [
        Way("mlflow.log_metric (fewer rows)", 50 if quick else 200, by_log_metric),
        Way("MlflowClient.log_batch, 1000 a call", 1_000 if quick else 5_500, by_log_batch),
        Way("ratelab MetricWriter", bulk, by_writer),
        Way("driver executemany (the floor)", bulk, by_driver),
    ]
    with tempfile.TemporaryDirectory() as folder:
        measure(ways, arguments.repeats or (3 if quick else 7), Path(folder))


if __name__ == "__main__":
    main()
