"""Rows a second into a store of MLflow's: MLflow's ways, ours, and the floor, alternating in one run.

    python benchmarks/metrics_store.py [--quick]  # into SQLite
    python benchmarks/metrics_store.py --uri postgresql+psycopg://ada@host/mlflow  # into PostgreSQL
    python benchmarks/metrics_store.py --uri http://127.0.0.1:5000  # a server's

Each way writes a new run each time, as `learning_rate` and `train_loss` of consecutive steps; into SQLite,
each its own copy of one fresh store (same schema, same indexes, same settings). Ours starts from arrays and
ends with `flush`. The floor has everything ready: tuples for the database driver's `executemany` into SQLite,
bytes for a COPY into PostgreSQL, in one transaction; bodies for a server, one request after the other.
"""

import argparse
import json
import logging
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ratelab.tracking import MetricWriter, now_ms, prepare_store
from ratelab.tracking.mlflow_internals import find_engine
from ratelab.tracking.postgresql_copy import copy_rows, enable_copy, encode_rows
from ratelab.tracking.uris import is_served

KEYS = ("learning_rate", "train_loss")
INSERT = "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"
COPY = "COPY metrics (key, run_uuid, step, value, timestamp, is_nan) FROM STDIN (FORMAT BINARY)"


class Way(NamedTuple):
    """One way of writing: `write(uri, run_id, steps)` returns the seconds it took.

    Where the steps are those of several runs, the others are made by it.
    """

    name: str
    steps: int
    write: Callable[[str, str, int], float]
    runs: int = 1


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


def by_writer(uri: str, run_id: str, steps: int, runs: int = 1) -> float:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_run(run_id).info.experiment_id
    run_ids = [run_id, *(client.create_run(experiment).info.run_id for _ in range(runs - 1))]
    with closing(MetricWriter(uri)) as writer:
        start = time.perf_counter()
        columns = points(steps // runs)
        for one in run_ids:
            for key in KEYS:
                writer.write(one, key, *columns)
        writer.flush()
        return time.perf_counter() - start


def rows_of(run_id: str, steps: int, is_nan: object) -> list[tuple[object, ...]]:
    """Return the rows as a database has them."""
    columns = [column.tolist() for column in points(steps)]
    return [
        (key, value, when, step, is_nan, run_id)
        for key in KEYS
        for step, value, when in zip(*columns, strict=True)
    ]


def by_driver(uri: str, run_id: str, steps: int) -> float:
    rows = rows_of(run_id, steps, 0)
    with closing(sqlite3.connect(file_of(uri))) as connection:
        start = time.perf_counter()
        connection.executemany(INSERT, rows)
        connection.commit()
        return time.perf_counter() - start


def engine_of(uri: str) -> Any:
    """Return the connections of MLflow's own store."""
    from mlflow import MlflowClient

    return find_engine(MlflowClient(uri))


def by_executemany(uri: str, run_id: str, steps: int) -> float:
    rows = rows_of(run_id, steps, False)
    with engine_of(uri).connect() as connection:
        start = time.perf_counter()
        connection.exec_driver_sql(INSERT.replace("?", "%s"), rows)
        connection.commit()
        return time.perf_counter() - start


def by_copy(uri: str, run_id: str, steps: int) -> float:
    values = dict(zip(("step", "value", "timestamp"), points(steps), strict=True))
    is_nan = np.zeros(steps, bool)
    rows = b"".join(encode_rows({"key": key, "run_uuid": run_id, **values, "is_nan": is_nan}) for key in KEYS)
    engine = engine_of(uri)
    enable_copy(engine)
    with engine.connect() as connection:
        start = time.perf_counter()
        copy_rows(connection, COPY, rows)
        connection.commit()
        return time.perf_counter() - start


def by_requests(connections: int, uri: str, run_id: str, steps: int) -> float:
    """Send bodies of 1,000 rows that are ready, over so many connections at a time."""
    import requests

    columns = [column.tolist() for column in points(steps)]
    names = ("step", "value", "timestamp")
    bodies = []
    for key in KEYS:
        metrics = [{"key": key, **dict(zip(names, row, strict=True))} for row in zip(*columns, strict=True)]
        bodies += [
            json.dumps({"run_id": run_id, "metrics": metrics[first : first + 1000]})
            for first in range(0, steps, 1000)
        ]
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))

    def send(mine: list[str]) -> None:
        with requests.Session() as session:
            session.auth = (user, password or "") if user else None
            session.headers["Content-Type"] = "application/json"
            for body in mine:
                session.post(f"{uri}/api/2.0/mlflow/runs/log-batch", data=body).raise_for_status()

    with ThreadPoolExecutor(connections) as pool:
        start = time.perf_counter()
        list(pool.map(send, [bodies[first::connections] for first in range(connections)]))
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


def ways_at(uri: str, steps: int) -> list[Way]:
    """Return what can be compared at a store that is there; the floor comes last."""
    common = [
        Way("MlflowClient.log_batch, 1000 a call", steps, by_log_batch),
        Way("ratelab MetricWriter", steps, by_writer),
    ]
    if is_served(uri):
        several = Way("ratelab MetricWriter, of 4 runs", steps, partial(by_writer, runs=4), runs=4)
        own = [Way(f"requests, {n} at a time", steps, partial(by_requests, n)) for n in (4, 2)]
        return [
            *common,
            several,
            *own,
            Way("requests one by one (the floor)", steps, partial(by_requests, 1)),
        ]
    return [
        *common,
        Way("driver executemany", steps, by_executemany),
        Way("COPY of what is ready (the floor)", steps, by_copy),
    ]


def measure_at(uri: str, steps: int, repeats: int) -> None:
    """Measure the ways into a store that is there, a server's or PostgreSQL."""
    from mlflow import MlflowClient

    ways, client = ways_at(uri, steps), MlflowClient(prepare_store(uri, Path.cwd()))
    experiment = client.create_experiment(f"metrics_store {now_ms()}")
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    print(f"{len(KEYS)} x {steps:,} rows; medians of {repeats} alternating repeats\n")
    for _ in range(repeats):
        for way in ways:
            run_id = client.create_run(experiment).info.run_id
            seconds[way.name].append(way.write(uri, run_id, way.steps))
            stored = [len(client.get_metric_history(run_id, key)) for key in KEYS]
            assert stored == [way.steps // way.runs] * len(KEYS), (way.name, stored)
    report(ways, seconds)


def report(ways: list[Way], seconds: dict[str, list[float]], grown: dict[str, int] | None = None) -> None:
    rates = {way.name: len(KEYS) * way.steps / statistics.median(seconds[way.name]) for way in ways}
    floor = rates[ways[-1].name]
    head = f"{'way':<34}{'rows':>8}{'median s':>10}{'rows/s':>10}{'of floor':>10}"
    print(head + (f"{'bytes/row':>11}" if grown else ""))
    for way in ways:
        rows, rate, repeats = len(KEYS) * way.steps, rates[way.name], len(seconds[way.name])
        cells = f"{statistics.median(seconds[way.name]):>10.3f}{rate:>10,.0f}{rate / floor:>10.3f}"
        size = f"{grown[way.name] / rows / repeats:>11.0f}" if grown else ""
        print(f"{way.name:<34}{rows:>8,}{cells}{size}")


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
