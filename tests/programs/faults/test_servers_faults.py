"""A real `mlflow server` behind a proxy that is slow, busy, refuses, or loses answers."""

import re
import socket
import time

import numpy as np
import pytest

from ratelab.tracking import StoreError, open_tracker, prepare_store
from ratelab.validation import UserError
from support.programs import ONE_WORKER, begin, finish, ratelab
from support.servers import Proxy, mlflow_server

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
SWEEP = ["-m", "experiment=quick", "schedule=fixed,exponential,staircase", "seed=0,1", ONE_WORKER]
EPOCHS = 400  # of a model that trains for longer than the faults of a server hold it up
ENDPOINTS = [
    "/experiments/search",
    "/experiments/get-by-name",
    "/experiments/create",
    "/runs/create",
    "/runs/log-batch",
    "/runs/update",
]


@pytest.fixture
def client(address):
    from mlflow import MlflowClient

    return MlflowClient(address)


def record(proxy, folder, experiment):
    """Record a run with all that a run has; return its id."""
    uri, steps = prepare_store(proxy.address, folder, experiment), np.arange(1500)
    tracker = open_tracker(uri, experiment, folder)
    with tracker, tracker.run("one", params={"a": 1}, tags={"schedule": "fixed"}) as run:
        run.metrics("m", steps, steps / 8, steps)
    return run.id


def test_what_a_server_asks_to_repeat_or_answers_late_or_never_is_repeated(proxy, client, tmp_path):
    """At every endpoint at once: nothing is lost, nothing is there twice."""
    proxy.order("/experiments/search", 429)
    proxy.order("/experiments/get-by-name", "lost", None, 502)
    proxy.order("/experiments/create", 503, "lost")
    proxy.order("/runs/create", "lost")
    proxy.order("/runs/log-batch", 1.0, "lost", None, 500)
    proxy.order("/runs/update", 429)
    run_id = record(proxy, tmp_path, "faulty")
    assert not any(proxy.faults.values())
    experiment = client.get_experiment_by_name("faulty")
    [stored] = client.search_runs([experiment.experiment_id])
    assert (stored.info.run_id, stored.info.status) == (run_id, "FINISHED")
    assert (stored.data.params, stored.data.metrics) == ({"a": "1"}, {"m": 1499 / 8})
    points = client.get_metric_history(run_id, "m")
    assert sorted((point.step, point.value) for point in points) == [(step, step / 8) for step in range(1500)]


def test_whether_the_server_lets_us_is_asked_before_anything_and_changes_nothing(proxy, client, tmp_path):
    def state():
        runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
        return sorted(one.name for one in client.search_experiments()), len(runs)

    client.create_experiment("there")
    client.delete_experiment(client.create_experiment("gone"))
    before = state()
    for experiment, endpoint in (("there", "/runs/create"), ("not there", "/experiments/create")):
        assert prepare_store(proxy.address, tmp_path, experiment) == proxy.address
        for status, advice in ((401, "MLFLOW_TRACKING_USERNAME"), (403, "permission")):
            proxy.order(endpoint, status, status)
            with pytest.raises(UserError, match=f"refuses .*{endpoint} with status {status}.*{advice}"):
                prepare_store(proxy.address, tmp_path, experiment)
            proxy.order(endpoint)
    with pytest.raises(UserError, match=r"tracking\.experiment: 'gone' was deleted"):
        prepare_store(proxy.address, tmp_path, "gone")
    assert state() == before


@pytest.mark.parametrize("endpoint", ["/runs/create", "/experiments/create"])
def test_a_sweep_that_is_refused_ends_before_it_trains(proxy, client, tmp_path, endpoint):
    """The preflight is let through; what opening asks is not."""
    proxy.order(endpoint, 400, 403)  # the preflight's question is not complete, and gets 400 from MLflow too
    uri = prepare_store(proxy.address, tmp_path, f"refused {endpoint[1:5]}")
    proxy.order(endpoint, 403)
    with pytest.raises(StoreError, match=r"tracking\.uri: http://127"):
        open_and_begin(uri, f"refused {endpoint[1:5]}", tmp_path)


def test_a_server_that_never_answers_is_refused_in_seconds(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:  # the system itself accepts connections
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=r"does not answer: .*Read timed out.* Start it \(mlflow server"):
            prepare_store(uri, tmp_path, "silent")


def open_and_begin(uri, experiment, folder):
    with open_tracker(uri, experiment, folder) as tracker, tracker.run("one", params={}, tags={}):
        pytest.fail("it was opened")


@pytest.mark.faults
@pytest.mark.parametrize("number", range(3))
def test_two_sweeps_at_once_through_a_server_that_misbehaves_lose_nothing(tmp_path, number):
    draw = np.random.default_rng(number)
    faults = [None, 503, 429, 6.0, "lost"]
    with mlflow_server(tmp_path / "server") as address, Proxy(address) as proxy:
        for endpoint in ENDPOINTS:
            proxy.order(endpoint, *(faults[one] for one in draw.choice(5, 40, p=[0.6, 0.1, 0.1, 0.1, 0.1])))
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        words = ["tracking=server", f"tracking.uri={proxy.address}"]
        processes = [begin(folder, *SWEEP, *words, "model=cnn", f"epochs={EPOCHS}") for folder in folders]
        for process, folder in zip(processes, folders, strict=True):
            done = finish(process, folder, 900)
            assert done.status == 0, done.err
        assert_all_is_there(address, sweeps=2, epochs=EPOCHS)


def assert_all_is_there(address, sweeps, epochs=5):
    from mlflow import MlflowClient

    client = MlflowClient(address)
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 7 * sweeps
    children = [run for run in runs if "schedule" in run.data.tags]
    assert len(children) == 6 * sweeps
    for run in children:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "learning_rate")]
        assert sorted(steps) == list(range(50 * epochs))
        assert len(client.list_artifacts(run.info.run_id)) >= 4


def sweep_through(proxy, folder, status):
    """Run a sweep that cannot be kept; look at what every such sweep says."""
    folder.mkdir()
    words = ["tracking=server", f"tracking.uri={proxy.address}"]
    done = finish(begin(folder, *SWEEP, *words), folder, 420)
    assert done.status == status
    assert "Traceback" not in done.err
    assert done.err.count("It is waited for, two minutes at most.") == 1
    return done


def assert_given_later(proxy, folder, address):
    """Let the server work again, and give it what the journal has: nothing was lost."""
    proxy.faults.clear()
    again = ratelab(folder, "sync")
    assert (again.status, again.err) == (0, "")
    assert_all_is_there(address, sweeps=1)


@pytest.mark.faults
def test_a_server_that_is_gone_for_good_ends_a_sweep_after_minutes(tmp_path):
    folder = tmp_path / "project"
    with mlflow_server(tmp_path / "server") as address, Proxy(address) as proxy:
        for endpoint in ENDPOINTS[4:]:
            proxy.order(endpoint, *[None] * 4, *[503] * 100_000)
        done = sweep_through(proxy, folder, 75)
        assert f"tracking.uri: {proxy.address}: too many 503 error responses. " in done.err
        assert "RUNNING in the store" in done.err
        assert_given_later(proxy, folder, address)


@pytest.mark.faults
def test_a_server_that_stops_answering_after_the_first_question_is_refused_after_minutes(tmp_path):
    """Nothing has begun: what cannot be recorded at all is not trained."""
    with mlflow_server(tmp_path / "server") as address, Proxy(address) as proxy:
        proxy.order("", None, *["silent"] * 100_000)
        done = sweep_through(proxy, tmp_path / "project", 1)
        assert f"tracking.uri: {proxy.address}: Read timed out. " in done.err
        assert done.out == ""


@pytest.mark.faults
def test_a_server_that_stops_answering_in_a_sweep_ends_it_after_minutes(tmp_path):
    folder = tmp_path / "project"
    with mlflow_server(tmp_path / "server") as address, Proxy(address) as proxy:
        proxy.order("", *[None] * 30, *["silent"] * 100_000)
        done = sweep_through(proxy, folder, 75)
        assert f"tracking.uri: {proxy.address}: Read timed out. " in done.err
        assert "See them" not in done.out
        told = r"(?m)^The store has not taken all\. .*: ratelab compare --uri http://127\.0\.0\.1"
        assert re.search(told, done.out)
        assert_given_later(proxy, folder, address)


@pytest.mark.faults
def test_a_server_that_is_slower_than_training_is_waited_for_no_longer_than_that(tmp_path):
    """No patience ends, for it answers; but it takes eight seconds for each thing that it is given."""
    folder = tmp_path / "project"
    folder.mkdir()
    with mlflow_server(tmp_path / "server") as address, Proxy(address) as proxy:
        for endpoint in ENDPOINTS[3:]:
            proxy.order(endpoint, None, *[8.0] * 100_000)
        words = ["tracking=server", f"tracking.uri={proxy.address}"]
        begun = time.monotonic()
        done = finish(begin(folder, *SWEEP, *words), folder, 300)
        passed = time.monotonic() - begun
        assert done.status == 75
        told = re.fullmatch(
            r"warning: the store has not taken all in (\d+) s after training, and is waited for no more\.\n"
            r"the store lacks metrics of \d of 6 runs, .*\n",
            done.err,
        )
        waited = int(told[1])
        assert 10 <= waited <= max(10, passed / 2)
        assert re.search(r"(?m)^The store has not taken all\. .*: ratelab compare --uri http://", done.out)
        assert_given_later(proxy, folder, address)
