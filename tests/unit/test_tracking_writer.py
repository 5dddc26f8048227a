"""What is written is what MLflow's public API reads back: every row, and the latest of each metric."""

import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.tracking import (
    MetricWriter,
    StoreError,
    Tracker,
    now_ms,
    patience,
    sinks,
    sqlite_path,
    writer,
)

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


@pytest.fixture(scope="module")
def uri(tracker: Tracker) -> str:
    return tracker.uri


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


@pytest.fixture(scope="module")
def shared_writer(uri: str) -> Iterator[MetricWriter]:
    writer = MetricWriter(uri)
    yield writer
    writer.close()


@pytest.fixture
def run_id(client: Any) -> str:
    return str(client.create_run("0").info.run_id)


def database(uri: str) -> Path:
    return sqlite_path(uri, Path.cwd())


def history(client: Any, run_id: str, key: str) -> list[tuple[int, float, int]]:
    points = client.get_metric_history(run_id, key)
    return sorted((point.step, point.value, point.timestamp) for point in points)


def latest_rows(uri: str, run_id: str) -> list[tuple[Any, ...]]:
    query = "SELECT key, step, timestamp, value, is_nan FROM latest_metrics WHERE run_uuid = ? ORDER BY key"
    with closing(sqlite3.connect(database(uri))) as connection:
        return connection.execute(query, [run_id]).fetchall()


def test_every_step_reads_back_through_mlflow(uri: str, client: Any, run_id: str) -> None:
    steps = np.arange(60_000)
    values = np.random.default_rng(0).normal(size=60_000).astype(np.float32)
    with closing(MetricWriter(uri)) as metrics:
        metrics.write(run_id, "learning_rate", steps, values, 1_700_000_000_000 + steps)
        metrics.flush()
        expected = list(
            zip(steps.tolist(), values.tolist(), (1_700_000_000_000 + steps).tolist(), strict=True)
        )
        assert history(client, run_id, "learning_rate") == expected
    assert client.get_run(run_id).data.metrics == {"learning_rate": float(values[-1])}
    found = client.search_runs(["0"], f"attributes.run_id = '{run_id}' AND metrics.learning_rate > -100")
    assert [run.info.run_id for run in found] == [run_id]


def test_writing_twice_changes_nothing(client: Any, run_id: str, shared_writer: MetricWriter) -> None:
    steps, values, times = np.arange(100), np.linspace(0, 1, 100), np.full(100, now_ms())
    values[5], values[6] = np.nan, np.inf
    for _ in range(2):
        shared_writer.write(run_id, "loss", steps, values, times)
    shared_writer.flush()
    assert len(client.get_metric_history(run_id, "loss")) == 100
    assert client.get_run(run_id).data.metrics == {"loss": 1.0}


POINT = st.tuples(
    st.integers(0, 3),
    st.sampled_from([0.0, -0.0, 1.5, -2.0, float("nan"), float("inf"), float("-inf"), 1e308]),
    st.integers(1000, 1002),
)
BATCHES = st.lists(st.tuples(st.sampled_from("ab"), st.lists(POINT, min_size=1, max_size=8)), max_size=5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BATCHES)
def test_the_latest_metrics_are_those_that_mlflow_computes(
    uri: str,
    client: Any,
    shared_writer: MetricWriter,
    batches: list[tuple[str, list[tuple[int, float, int]]]],
) -> None:
    from mlflow.entities import Metric

    ours, theirs = (client.create_run("0").info.run_id for _ in range(2))
    for key, points in batches:
        steps, values, times = map(np.array, zip(*points, strict=True))
        shared_writer.write(ours, key, steps, values, times)
        client.log_batch(theirs, [Metric(key, value, timestamp, step) for step, value, timestamp in points])
    shared_writer.flush()
    assert latest_rows(uri, ours) == latest_rows(uri, theirs)
    for key in "ab":
        assert repr(history(client, ours, key)) == repr(history(client, theirs, key))
    # of NaN: by their text; in which order they were stored depends on what came in one batch
    ends = [sorted(client.get_run(run_id).data.metrics.items()) for run_id in (ours, theirs)]
    assert repr(ends[0]) == repr(ends[1])


def test_numbers_of_any_type_are_stored_as_what_they_are(
    uri: str, client: Any, run_id: str, shared_writer: MetricWriter
) -> None:
    shared_writer.write(run_id, "a", np.array([1.0, 2.0]), np.array([3, 4]), np.array([5.0, 6.0]))
    shared_writer.write(run_id, "a", np.int32(3), np.float16(0.5), np.uint32(7))  # type: ignore[arg-type]
    shared_writer.flush()
    assert history(client, run_id, "a") == [(1, 3.0, 5), (2, 4.0, 6), (3, 0.5, 7)]
    query = "SELECT DISTINCT typeof(step), typeof(timestamp), typeof(is_nan) FROM metrics WHERE run_uuid = ?"
    with closing(sqlite3.connect(database(uri))) as connection:
        assert connection.execute(query, [run_id]).fetchall() == [("integer", "integer", "integer")]


def test_the_callers_array_may_be_used_again_at_once(
    client: Any, run_id: str, shared_writer: MetricWriter
) -> None:
    values = np.ones(1000)
    shared_writer.write(run_id, "a", np.arange(1000), values, np.arange(1000))
    values[:] = 7
    shared_writer.flush()
    assert {value for _, value, _ in history(client, run_id, "a")} == {1.0}


def test_arrays_that_do_not_fit_and_names_that_mlflow_refuses_are_refused_here(
    run_id: str, shared_writer: MetricWriter
) -> None:
    two = np.arange(2)
    with pytest.raises(ValueError, match=r"'a'.*equally long, got \(2,\), \(3,\), \(2,\)"):
        shared_writer.write(run_id, "a", two, np.arange(3), two)
    for name in ["", "a=b", "../a", "/a", "a//b", "x" * 251]:
        with pytest.raises(ValueError, match="metric name"):
            shared_writer.write(run_id, name, two, two, two)


def test_an_error_of_the_thread_is_raised_in_the_foreground(uri: str) -> None:
    metrics = MetricWriter(uri)
    one = np.arange(1)
    metrics.write("f" * 32, "a", one, one, one)
    with pytest.raises(StoreError, match=r"f{32}: no such run"):
        metrics.flush()
    with pytest.raises(StoreError, match="no such run"):
        metrics.write("f" * 32, "a", one, one, one)
    metrics.close()
    metrics.close()


def test_an_error_of_one_run_keeps_no_other_from_being_stored(uri: str, client: Any, run_id: str) -> None:
    """They come in one batch, the lost run in the middle, and the other goes on afterwards."""
    metrics = MetricWriter(uri)
    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # so that all that follows waits
        for step in range(3):
            for one in (run_id, "f" * 32):
                metrics.write(one, "a", np.array([step]), np.array([step]), np.array([step]))
        other.execute("ROLLBACK")
    metrics.flush(run_id)
    with pytest.raises(StoreError, match=r"f{32}: no such run"):
        metrics.flush("f" * 32)
    metrics.write(run_id, "a", np.array([3]), np.array([3]), np.array([3]))
    metrics.flush()
    metrics.close()
    assert [step for step, *_ in history(client, run_id, "a")] == [0, 1, 2, 3]
    assert metrics._held == 0


def test_close_raises_an_error_that_nobody_has_seen(uri: str) -> None:
    metrics = MetricWriter(uri)
    metrics.write("f" * 32, "a", np.arange(1), np.arange(1), np.arange(1))
    with pytest.raises(StoreError, match="no such run"):
        metrics.close()
    metrics.close()


def test_a_deleted_run_takes_no_metrics(uri: str, client: Any, run_id: str) -> None:
    client.delete_run(run_id)
    metrics = MetricWriter(uri)
    metrics.write(run_id, "a", np.arange(1), np.arange(1), np.arange(1))
    with pytest.raises(StoreError, match="deleted"):
        metrics.close()


@pytest.mark.parametrize("another", [False, True])
def test_rows_for_a_file_that_was_removed_are_not_lost_in_silence(
    fresh_store: Path, tmp_path: Path, another: bool
) -> None:
    """SQLite itself goes on with the file that it has opened, which nobody can find any more."""
    path = tmp_path / "mlflow.db"
    shutil.copy(fresh_store, path)
    writer = MetricWriter(f"sqlite:///{path}")
    path.unlink()
    if another:
        shutil.copy(fresh_store, path)
    writer.write("a run", "a", np.arange(1), np.arange(1), np.arange(1))
    with pytest.raises(StoreError, match=rf"^tracking\.uri: {path} was removed or replaced while runs were"):
        writer.close()


def test_nothing_can_be_written_after_close(uri: str, run_id: str) -> None:
    metrics = MetricWriter(uri)
    metrics.close()
    with pytest.raises(RuntimeError, match="closed"):
        metrics.write(run_id, "a", np.arange(1), np.arange(1), np.arange(1))


def test_a_locked_database_is_waited_for(
    uri: str, client: Any, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        metrics = MetricWriter(uri)
        start = time.perf_counter()
        metrics.write(run_id, "a", np.arange(10), np.arange(10), np.arange(10))
        assert time.perf_counter() - start < 0.1
        time.sleep(0.4)  # several times what SQLite itself waits
        other.execute("ROLLBACK")
    metrics.close()
    assert len(client.get_metric_history(run_id, "a")) == 10


def test_a_database_locked_for_too_long_is_an_error(
    uri: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_BUSY_SECONDS", 0.1)
    monkeypatch.setattr(patience, "_SECONDS", 0.3)
    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        metrics = MetricWriter(uri)
        metrics.write(run_id, "a", np.arange(10), np.arange(10), np.arange(10))
        with pytest.raises(StoreError) as raised:
            metrics.close()
    advice = "End the program that holds it (`fuser` names it)."
    assert str(raised.value) == f"tracking.uri: {database(uri)}: database is locked. {advice}"


def test_the_patience_is_at_least_a_minute() -> None:
    assert patience._SECONDS >= 60


def test_a_full_queue_makes_the_caller_wait_and_loses_nothing(
    uri: str, client: Any, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_CAPACITY_ROWS", 1000)
    monkeypatch.setattr(writer, "_BATCH_ROWS", 500)
    metrics = MetricWriter(uri)

    def write() -> None:
        for start in range(0, 5000, 250):
            steps = np.arange(start, start + 250)
            metrics.write(run_id, "a", steps, steps, steps)

    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        producer = threading.Thread(target=write)
        producer.start()
        producer.join(0.5)
        assert producer.is_alive()
        assert metrics._held <= 1250
        other.execute("ROLLBACK")
    producer.join()
    metrics.close()
    assert [step for step, _, _ in history(client, run_id, "a")] == list(range(5000))


SIZES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 2600)), max_size=8)


@given(SIZES)
def test_a_request_has_the_rows_of_one_run_and_no_more_of_them_than_mlflow_takes(
    sizes: list[tuple[str, str, int]],
) -> None:
    batch, numbers = [], iter(range(10**6))
    for run_id, key, size in sizes:
        steps = np.array([next(numbers) for _ in range(size)])
        batch.append(sinks.Rows(run_id, key, steps, steps / 8, steps + 1000))
    lists = sinks.ClientSink(None).cut(batch)  # type: ignore[arg-type] - nothing is sent
    runs = dict.fromkeys(run_id for run_id, _, _ in sizes)
    assert [{rows.run_id for part in parts for rows in part} for parts in lists] == [{one} for one in runs]
    for run_id, parts in zip(runs, lists, strict=True):
        mine = [rows for rows in batch if rows.run_id == run_id]
        assert points([rows for part in parts for rows in part]) == points(mine)
        total = sum(map(len, mine))
        filled = [*[1000] * (total // 1000), total % 1000]
        assert [sum(map(len, part)) for part in parts] == [size for size in filled if size]


def points(batch: list[sinks.Rows]) -> list[tuple[str, int, float, int]]:
    return [
        (rows.key, *point)
        for rows in batch
        for point in zip(rows.steps.tolist(), rows.values.tolist(), rows.timestamps.tolist(), strict=True)
    ]


class Requests:
    """A sink of one request a run, which waits until as many as `together` go on."""

    def __init__(self, together: int) -> None:
        self.barrier, self.stored = threading.Barrier(together), []

    def cut(self, batch: Any) -> Any:
        return [[[rows]] for rows in batch]

    def store(self, part: Any) -> None:
        self.barrier.wait(30)
        if part[0].run_id == "c":
            raise StoreError("tracking.uri: not this.")
        self.stored.append(part[0].run_id)


def test_several_requests_go_on_at_once_and_each_run_has_its_own_error(uri: str) -> None:
    with closing(MetricWriter(uri)) as metrics:
        metrics._sink = sink = Requests(4)  # type: ignore[assignment]
        one = np.arange(1)
        batch = [sinks.Rows(run_id, "m", one, one / 8, one) for run_id in "abcdefgh"]
        errors = metrics._store(batch)
    assert (sorted(sink.stored), list(errors)) == (list("abdefgh"), ["c"])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C counts, also where the tests were started in the background and inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_need_not_wait_for_a_store_that_is_gone(uri: str, run_id: str) -> None:
    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        metrics = MetricWriter(uri)
        metrics.write(run_id, "a", np.arange(10), np.arange(10), np.arange(10))
        timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            metrics.flush()
        start = time.perf_counter()
        metrics.close()
        assert time.perf_counter() - start < 1
        other.execute("ROLLBACK")
    metrics._thread.join()


class Refusing:
    """A sink that takes no metrics of one run until it is told otherwise; `store` stores those of others."""

    def __init__(self, sink: Any, run_id: str) -> None:
        self._sink, self.refused = sink, {run_id}

    def cut(self, batch: Any) -> Any:
        return self._sink.cut(batch)

    def store(self, part: Any) -> None:
        if any(rows.run_id in self.refused for rows in part):
            raise StoreError("tracking.uri: not these.")
        self._sink.store(part)


@pytest.fixture
def refusing(uri: str, run_id: str) -> Iterator[MetricWriter]:
    """A writer that has lost a metric of the run."""
    metrics = MetricWriter(uri)
    metrics._sink = Refusing(metrics._sink, run_id)
    metrics.write(run_id, "a", np.arange(1), np.arange(1), np.arange(1))
    with pytest.raises(StoreError, match="not these"):
        metrics.flush(run_id)
    yield metrics
    metrics.close()


def test_a_run_that_is_forgiven_is_given_everything_once_more(
    refusing: MetricWriter, client: Any, run_id: str
) -> None:
    refusing._sink.refused.clear()  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="not these"):
        refusing.write(run_id, "a", np.arange(3), np.arange(3), np.arange(3))
    refusing.forgive(run_id)
    assert not refusing.has_lost(run_id)
    refusing.write(run_id, "a", np.arange(3), np.arange(3), np.arange(3))
    refusing.flush()
    assert [step for step, *_ in history(client, run_id, "a")] == [0, 1, 2]


def test_a_run_that_was_forgiven_and_loses_metrics_again_says_so_again(
    refusing: MetricWriter, run_id: str
) -> None:
    refusing.forgive(run_id)
    refusing.flush()
    refusing.write(run_id, "a", np.arange(1), np.arange(1), np.arange(1))
    with pytest.raises(StoreError, match="not these"):
        refusing.flush()  # as of any run of which nobody was told yet
    assert refusing.has_lost(run_id)


def test_who_has_lost_nothing_or_is_another_run_is_not_changed_by_forgiving(
    refusing: MetricWriter, client: Any, run_id: str
) -> None:
    other = str(client.create_run("0").info.run_id)
    refusing.forgive(other)
    refusing.write(other, "a", np.arange(1), np.arange(1), np.arange(1))
    refusing.flush(other)
    assert refusing.has_lost(run_id)
    assert [step for step, *_ in history(client, other, "a")] == [0]


def test_a_writer_that_is_abandoned_is_closed_without_waiting_for_a_store_that_is_held(
    uri: str, client: Any, run_id: str
) -> None:
    metrics = MetricWriter(uri)
    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        metrics.write(run_id, "a", np.arange(10), np.arange(10), np.arange(10))
        metrics.abandon()
        metrics.close()
        assert metrics._held == 10
        assert metrics._thread.daemon  # nor does the end of the program wait for it
        with pytest.raises(RuntimeError, match="closed"):
            metrics.write(run_id, "a", np.arange(1), np.arange(1), np.arange(1))
        other.execute("ROLLBACK")
    metrics._thread.join()
    assert len(history(client, run_id, "a")) == 10


def test_a_writer_that_is_abandoned_is_closed_although_another_thread_waits_in_it(
    uri: str, run_id: str
) -> None:
    """As the thread that feeds a store does while the main thread is told to stop."""
    metrics = MetricWriter(uri)
    with closing(sqlite3.connect(database(uri), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        metrics.write(run_id, "a", np.arange(10), np.arange(10), np.arange(10))
        waiting = threading.Thread(target=metrics.flush, args=(run_id,), daemon=True)
        waiting.start()
        metrics.abandon()
        metrics.close()
        assert waiting.is_alive()
        other.execute("ROLLBACK")
    waiting.join()
    metrics._thread.join()
