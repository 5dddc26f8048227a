"""A real `mlflow server` on loopback stores what SQLite stores; bad servers are refused in seconds."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ratelab.tracking import MetricWriter, open_tracker, prepare_store, read_windows
from ratelab.tracking.mlflow_runs import MlflowTracker
from ratelab.tracking.servers import server_version
from ratelab.tracking.stores import look_at_store
from ratelab.validation import UserError
from support.servers import free_port, mlflow_server

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


def history(client: Any, run_id: str, key: str) -> list[tuple[int, str, int]]:
    points = client.get_metric_history(run_id, key)
    return sorted((point.step, repr(point.value), point.timestamp) for point in points)


def test_a_server_and_a_file_read_back_the_same_at_every_step(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    steps = np.arange(2_200)
    values = np.random.default_rng(0).normal(size=2_200).astype(np.float32)
    values[[10, 20, 30]] = np.nan, np.inf, -np.inf
    times = 1_700_000_000_000 + steps // 7
    read = []
    for uri in (prepare_store(server, tmp_path), prepare_store("sqlite:///mlruns/mlflow.db", tmp_path)):
        client = MlflowClient(uri)
        run_id = client.create_run("0").info.run_id
        with closing(MetricWriter(uri)) as metrics:
            for _ in range(2):
                metrics.write(run_id, "learning_rate", steps, values, times)
                metrics.write(run_id, "val_loss", steps[:3], np.array([2.0, 1.0, np.nan]), times[:3])
        run = client.search_runs(["0"], f"attributes.run_id = '{run_id}'")[0]
        histories = [history(client, run_id, key) for key in ("learning_rate", "val_loss")]
        read.append((histories, repr(run.data.metrics), repr(client.get_run(run_id).data.metrics)))
    assert [len(points) for points in read[0][0]] == [2_200, 3]
    assert read[0] == read[1]


def test_a_server_and_a_file_have_the_same_means_over_windows(server: str, tmp_path: Path) -> None:
    steps = np.arange(0, 3_000, 10)
    values = np.random.default_rng(0).normal(size=300)
    values[[1, 20, 30]] = np.nan, np.inf, -np.inf
    read = []
    for uri in (prepare_store(server, tmp_path), prepare_store("sqlite:///mlruns/mlflow.db", tmp_path)):
        with open_tracker(uri, "windows", tmp_path) as tracker, tracker.run("one", params={}, tags={}) as run:
            run.metrics("train_loss", steps, values, steps)
            tracker.flush()
            read.append(read_windows(uri, [run.id], "train_loss", 70)[run.id])
    assert read[0].steps.tolist() == read[1].steps.tolist() == list(range(0, 3_000, 70))
    np.testing.assert_allclose(read[0].values, read[1].values, rtol=1e-12)


def test_a_run_on_a_server_has_its_texts_status_and_artifacts(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    params = {f"p{number}": number for number in range(250)}
    with open_tracker(server, "on a server", tmp_path) as tracker:
        with tracker.run("good", params=params, tags={"a": "b"}) as run:
            run.metrics("m", np.arange(3), np.arange(3), np.arange(3))
            run.artifact_text("hello", "notes/hello.txt")
        with pytest.raises(ValueError, match="bad"), tracker.run("bad", params={}, tags={}) as bad:
            raise ValueError("bad")
    client = MlflowClient(server)
    stored = client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {key: str(value) for key, value in params.items()}
    assert stored.data.metrics == {"m": 2.0}
    assert stored.info.artifact_uri.startswith("mlflow-artifacts:")
    assert [file.path for file in client.list_artifacts(run.id, "notes")] == ["notes/hello.txt"]
    assert client.get_run(bad.id).info.status == "FAILED"
    assert not any(tmp_path.iterdir())
    assert capfd.readouterr().out == ""


def test_a_run_that_the_server_made_twice_is_kept_once(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HTTP client sends create_run again when an answer is lost: the first run stays behind."""
    from mlflow import MlflowClient

    with open_tracker(server, "twice", tmp_path) as tracker:
        assert isinstance(tracker, MlflowTracker)
        create = MlflowClient.create_run

        def create_twice(*args: Any, **kwargs: Any) -> Any:
            create(*args, **kwargs)
            return create(*args, **kwargs)

        monkeypatch.setattr(MlflowClient, "create_run", create_twice)
        with tracker.run("once", params={}, tags={}) as run:
            assert run.name == "once"
        found = MlflowClient(server).search_runs([tracker.experiment_id])
    assert [(found_run.info.run_id, found_run.info.status) for found_run in found] == [(run.id, "FINISHED")]


class Refusal(BaseHTTPRequestHandler):
    """A server that is well and lets nobody in, with the status that its path begins with."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path.endswith("/health") else self.status())
        self.end_headers()

    def do_POST(self) -> None:
        self.send_response(self.status())
        self.end_headers()
        self.wfile.write(b"<html>")

    def status(self) -> int:
        return int(self.path.split("/")[1])

    def log_message(self, *_: Any) -> None:
        """Print nothing about requests."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusal) as stub:
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{stub.server_port}"
        stub.shutdown()


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (401, "status 401", "MLFLOW_TRACKING_USERNAME"),
        (403, "status 403", "permission"),
        (404, "status 404", "not the address of an MLflow server"),
        (500, "status 500", "log"),
        (200, "not as MLflow does", "not the address of an MLflow server"),
    ],
)
def test_a_server_that_refuses_is_a_user_error(
    refusing: str, tmp_path: Path, status: int, reason: str, advice: str
) -> None:
    start = time.perf_counter()
    with pytest.raises(UserError) as refusal:
        prepare_store(f"http://me:hush@{refusing}/{status}/", tmp_path)
    assert time.perf_counter() - start < 5
    assert f"tracking.uri: http://{refusing}/{status} " in str(refusal.value)
    assert reason in str(refusal.value)
    assert advice in str(refusal.value)
    assert "hush" not in str(refusal.value)


def test_a_server_is_looked_at_and_left_as_it_was(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient, __version__

    client = MlflowClient(server)
    before = [one.name for one in client.search_experiments()]
    assert look_at_store(server, tmp_path, "not there yet")
    assert server_version(server) == __version__
    client.delete_experiment(client.create_experiment("deleted"))
    with pytest.raises(UserError, match="'deleted' was deleted in this store"):
        look_at_store(server, tmp_path, "deleted")
    assert [one.name for one in client.search_experiments()] == before
    assert not any(tmp_path.iterdir())


def test_a_server_that_is_busy_is_asked_once_by_who_only_looks(refusing: str, tmp_path: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(UserError, match=r"is there, but does not serve: .* failed with error code 503"):
        look_at_store(f"http://{refusing}/503", tmp_path, "ratelab")
    assert time.perf_counter() - start < 8


def test_what_does_not_say_a_version_has_none(refusing: str) -> None:
    assert server_version(f"http://{refusing}/200") == ""


def test_a_server_that_is_not_there_is_a_user_error(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port} does not answer: .*mlflow server") as refusal:
        prepare_store(f"http://me:hush@127.0.0.1:{port}", tmp_path)
    assert "hush" not in str(refusal.value)


def test_a_server_that_never_answers_is_given_up_in_seconds(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        start = time.perf_counter()
        with pytest.raises(UserError, match="does not answer"):
            prepare_store(f"http://127.0.0.1:{deaf.getsockname()[1]}", tmp_path)
        assert time.perf_counter() - start < 8


def test_postgresql_without_a_server_or_driver_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri: postgresql://me@127") as refusal:
        prepare_store(f"postgresql://me:hush@127.0.0.1:{free_port()}/db", tmp_path)
    assert "hush" not in str(refusal.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_another_driver_of_postgresql_is_refused_with_the_one_to_name(tmp_path: Path, driver: str) -> None:
    told = rf"is for the driver {driver}, but rows are given by psycopg\. .* give postgresql\+psycopg://USER"
    with pytest.raises(UserError, match=told):
        prepare_store(f"postgresql+{driver}://me@127.0.0.1:{free_port()}/db", tmp_path)


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_metrics_reach_postgresql_in_whatever_encoding_its_database_is(
    tmp_path: Path, make_database, encoding: str
) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    uri = make_database(f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    name, steps = "größe", np.arange(3)
    with open_tracker(prepare_store(uri, tmp_path), "ratelab", tmp_path) as tracker:
        with tracker.run("one", params={}, tags={}) as run:
            run.metrics(name, steps, steps / 7, steps)
        client = MlflowClient(tracker.uri)
        theirs = client.create_run(tracker.experiment_id).info.run_id
    client.log_batch(theirs, [Metric(name, step / 7, step, step) for step in range(3)])
    assert history(client, run.id, name) == history(client, theirs, name)
    assert len(history(client, run.id, name)) == 3


def test_postgresql_reads_back_every_step(tmp_path: Path, make_database) -> None:
    from mlflow import MlflowClient

    steps = np.arange(60_000)
    values = np.random.default_rng(0).normal(size=60_000)
    values[[10, 20, 30]] = np.nan, np.inf, -np.inf
    with open_tracker(prepare_store(make_database(), tmp_path), "ratelab", tmp_path) as tracker:
        assert look_at_store(tracker.uri, tmp_path, "ratelab")
        assert isinstance(tracker, MlflowTracker)
        client = MlflowClient(tracker.uri)
        with tracker.run("one", params={"a": 1}, tags={}) as run:
            for _ in range(2):
                run.metrics("a", steps, values, steps)
        theirs = client.create_run(tracker.experiment_id).info.run_id
    from mlflow.entities import Metric

    for start in range(0, 60_000, 1000):
        part = slice(start, start + 1000)
        rows = zip(values[part].tolist(), steps[part].tolist(), strict=True)
        client.log_batch(theirs, [Metric("a", value, step, step) for value, step in rows])
    assert history(client, run.id, "a") == history(client, theirs, "a")
    assert repr(client.get_run(run.id).data.metrics) == repr(client.get_run(theirs).data.metrics)
    assert client.get_run(run.id).info.status == "FINISHED"
