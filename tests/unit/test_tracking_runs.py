"""A run says how it ended, and says it only when everything is stored."""

import contextlib
import inspect
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ratelab.runtime import signals
from ratelab.runtime.clipping import clip_apart
from ratelab.tracking import (
    Diverged,
    NullRun,
    NullTracker,
    Run,
    StoreError,
    Tracker,
    comparison_links,
    now_ms,
    open_tracker,
    patience,
    prepare_store,
    sqlite_path,
)
from ratelab.tracking.client import Client
from ratelab.tracking.environment import open_client
from ratelab.tracking.mlflow_runs import MlflowRun, MlflowTracker
from ratelab.tracking.names import safe_texts
from ratelab.tracking.sinks import sink_for
from ratelab.validation import UserError

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


@pytest.fixture(scope="module")
def folder(tracker: Tracker) -> Path:
    """The folder of the store."""
    return sqlite_path(tracker.uri, Path.cwd()).parent


@pytest.fixture(scope="module")
def client(tracker: Tracker) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracker.uri)


def artifact(client: Any, run_id: str, path: str) -> str:
    return Path(client.download_artifacts(run_id, path)).read_text()


def test_a_finished_run_has_all_that_was_logged(tracker: Tracker, client: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.txt").write_text("content")
    params, tags = {"rate": 0.1, "more": None}, {"schedule": "exponential", "note": "3"}
    with tracker.run("exponential seed=0", params=params, tags=tags) as run:
        run.metrics("a", np.arange(5), np.arange(5), np.arange(5))
        run.artifact_text("hello", "notes/hello.txt")
        run.artifact(tmp_path / "folder" / "file.txt", "files")
        run.artifact(tmp_path / "folder", "whole")
        assert client.get_run(run.id).info.status == "RUNNING"
    stored = client.get_run(run.id)
    assert (run.name, stored.info.run_name) == ("exponential seed=0", "exponential seed=0")
    assert stored.info.status == "FINISHED"
    assert stored.info.end_time >= stored.info.start_time
    assert stored.data.params == {"rate": "0.1", "more": "None"}
    assert stored.data.metrics == {"a": 4.0}
    expected = {"schedule": "exponential", "note": "3", "mlflow.source.type": "LOCAL"}
    assert expected.items() <= stored.data.tags.items()
    assert {"mlflow.user", "mlflow.source.name"} <= stored.data.tags.keys()
    assert artifact(client, run.id, "notes/hello.txt") == "hello"
    assert artifact(client, run.id, "files/file.txt") == "content"
    assert artifact(client, run.id, "whole/file.txt") == "content"


def test_artifacts_lie_beside_the_database(tracker: Tracker, folder: Path) -> None:
    with tracker.run("run", params={}, tags={}) as run:
        run.artifact_text("hello", "hello.txt")
    artifacts = folder / "artifacts" / "ratelab" / run.id / "artifacts"
    assert [path.name for path in artifacts.iterdir()] == ["hello.txt"]


class Stopped(KeyboardInterrupt):
    """What a program of its own may raise in its signal handler."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), "KILLED"),
        (Stopped(), "KILLED"),
        (SystemExit(143), "KILLED"),
        (SystemExit(0), "FAILED"),
        (SystemExit(3), "FAILED"),
        (SystemExit("words"), "FAILED"),
        (ValueError("the reason"), "FAILED"),
        (Diverged(17), "FAILED"),
    ],
    ids=repr,
)
def test_the_status_is_what_happened(
    tracker: Tracker, client: Any, error: BaseException, status: str
) -> None:
    runs: list[Run] = []

    def end() -> None:
        with tracker.run("run", params={}, tags={}) as run:
            runs.append(run)
            run.metrics("a", np.arange(1000), np.arange(1000), np.arange(1000))
            raise error

    with pytest.raises(type(error)) as raised:
        end()
    run = runs[0]
    assert raised.value is error
    stored = client.get_run(run.id)
    assert stored.info.status == status
    assert stored.data.metrics == {"a": 999.0}
    if status == "FAILED":
        assert type(error).__name__ in stored.data.tags["error"]
        assert "raise error" in artifact(client, run.id, "traceback.txt")
    assert stored.data.tags.get("diverged_step") == ("17" if isinstance(error, Diverged) else None)


class Whole:
    """A sink that stores a batch in one step."""

    def cut(self, batch: Any) -> Any:
        return [[batch]]


def test_metrics_that_cannot_be_stored_are_a_warning_of_a_run_that_finishes(
    tracker: Tracker, client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    one = np.arange(1)
    with open_tracker(tracker.uri, "ratelab", Path.cwd()) as lost:
        assert isinstance(lost, MlflowTracker)
        sink = lost._writer._sink

        class Deaf(Whole):
            """Stores nothing of the first run."""

            def store(self, batch: Any) -> None:
                if any(rows.run_id == runs[0].id for rows in batch):
                    raise RuntimeError("not these")
                sink.store(batch)

        lost._writer._sink = Deaf()
        runs: list[Run] = []
        with lost.run("other", params={}, tags={}) as other:
            opened = lost.run("run", params={}, tags={})
            run = opened.__enter__()
            runs.append(run)
            run.metrics("a", one, one, one)
            other.metrics("a", one, one, one)
            assert opened.__exit__(None, None, None) is False
            other.metrics("b", one, one, one)
    assert (run.lacks_metrics, other.lacks_metrics) == (True, False)
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {})
    assert stored.data.tags["not_kept"] == "metrics"
    stored = client.get_run(other.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"a": 0.0, "b": 0.0})
    assert "not_kept" not in stored.data.tags
    assert capfd.readouterr().err == (
        "warning: run: metrics could not be kept: RuntimeError: not these. "
        "They are in its journal, and the store is given them another time. The run goes on without it.\n"
    )


class Refusing(Whole):
    """A sink that takes no metrics of any run."""

    def store(self, batch: Any) -> None:
        raise StoreError("tracking.uri: not these.")


@pytest.fixture
def refusing(tracker: Tracker) -> Iterator[MlflowTracker]:
    """A tracker whose store takes all but metrics."""
    with open_tracker(tracker.uri, "ratelab", Path.cwd()) as opened:
        assert isinstance(opened, MlflowTracker)
        opened._writer._sink = Refusing()
        yield opened


ONE = np.arange(1)


def test_a_run_that_loses_metrics_is_warned_of_it_once_and_goes_on(
    refusing: MlflowTracker, client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with refusing.run("one", params={}, tags={}) as run:
        run.metrics("a", ONE, ONE, ONE)
        with contextlib.suppress(StoreError):
            refusing._writer.flush(run.id)
        assert not run.lacks_metrics
        for _ in range(3):
            run.metrics("a", ONE, ONE, ONE)
            assert run.lacks_metrics
        assert client.get_run(run.id).data.tags["not_kept"] == "metrics"
        run.warn("steps.parquet", OSError("full"))
        refusing.flush()  # of what was told nothing is raised
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.tags["not_kept"]) == ("FINISHED", "metrics, steps.parquet")
    assert capfd.readouterr().err.splitlines() == [
        "warning: one: metrics could not be kept: tracking.uri: not these. They are in its journal, "
        "and the store is given them another time. The run goes on without it.",
        "warning: one: steps.parquet could not be kept: full. See that the folder is there and that you may "
        "write in it; TMPDIR names the one for a moment. The run goes on without it.",
    ]


def test_a_name_that_no_store_takes_is_a_mistake_and_no_loss(tracker: Tracker) -> None:
    with tracker.run("one", params={}, tags={}) as run:
        with pytest.raises(ValueError, match="metric name"):
            run.metrics("a=b", ONE, ONE, ONE)
        assert not run.lacks_metrics


def test_a_run_that_diverged_and_lost_its_metrics_has_diverged(refusing: MlflowTracker, client: Any) -> None:
    opened, error = refusing.run("one", params={}, tags={}), Diverged(17)
    run = opened.__enter__()
    run.metrics("a", ONE, ONE, ONE)
    assert opened.__exit__(Diverged, error, None) is False
    assert run.lacks_metrics
    stored = client.get_run(run.id)
    assert stored.info.status == "FAILED"
    assert (stored.data.tags["diverged_step"], stored.data.tags["not_kept"]) == ("17", "metrics")
    assert stored.data.tags["error"] == "Diverged: the loss is not finite at step 17"


@pytest.mark.parametrize("refused", [["set_tag"], ["set_tag", "set_terminated"]], ids=["tag", "all"])
def test_that_metrics_are_lost_is_told_to_the_store_as_soon_as_it_takes_it(
    refusing: MlflowTracker, client: Any, monkeypatch: pytest.MonkeyPatch, refused: list[str]
) -> None:
    """It takes nothing when they are lost, and all again when the run ends, or when the program does."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fail(*_: Any, **__: Any) -> None:
        raise MlflowException("(sqlite3.OperationalError) database or disk is full\n[SQL: ...]")

    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    opened = refusing.run("one", params={}, tags={})
    run = opened.__enter__()
    with monkeypatch.context() as full:
        for name in refused:
            full.setattr(MlflowClient, name, fail)
        run.metrics("a", ONE, ONE, ONE)
        assert isinstance(run, MlflowRun)
        run._store_metrics()
        assert run.lacks_metrics
        if "set_terminated" in refused:
            with pytest.raises(StoreError):
                opened.__exit__(None, None, None)
    assert "not_kept" not in client.get_run(run.id).data.tags
    if "set_terminated" in refused:
        refusing._client.end_runs()
    else:
        opened.__exit__(None, None, None)
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.tags["not_kept"]) == ("FINISHED", "metrics")


def test_a_child_knows_its_parent_and_the_parent_fails_only_if_told(tracker: Tracker, client: Any) -> None:
    with tracker.run("sweep", params={}, tags={}) as parent:
        for number in range(2):
            try:
                with tracker.run(f"job {number}", params={}, tags={}, parent_id=parent.id) as child:
                    raise ValueError(f"job {number} broke")
            except ValueError as error:
                parent.fail(str(error), f"Traceback: {error}")
        with tracker.run("job 2", params={}, tags={}, parent_id=parent.id) as last:
            assert last.id != parent.id
    assert client.get_run(child.id).data.tags["mlflow.parentRunId"] == parent.id
    assert [client.get_run(run.id).info.status for run in (parent, child, last)] == [
        "FAILED",
        "FAILED",
        "FINISHED",
    ]
    assert client.get_run(parent.id).data.tags["error"] == "job 1 broke"
    text = artifact(client, parent.id, "traceback.txt")
    assert "job 0 broke" in text
    assert "job 1 broke" in text


def test_runs_in_the_environment_do_not_matter(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    with (
        tracker.run("parent", params={}, tags={}) as parent,
        tracker.run("child", params={}, tags={}, parent_id=parent.id) as child,
    ):
        assert child.id != parent.id
    assert (
        client.get_run(child.id).info.experiment_id == client.get_experiment_by_name("ratelab").experiment_id
    )
    assert client.get_run(child.id).data.tags["mlflow.parentRunId"] == parent.id


def test_long_texts_and_odd_names_are_changed_where_it_shows_and_kept_in_full(
    tracker: Tracker, client: Any
) -> None:
    params = {"long": "x" * 7000, "a=b": 1, "a@b": 2, "": "empty", "../up": "up", "n" * 300: "name", "ü": "ß"}
    with tracker.run("odd", params=params, tags={"tag=": "t" * 9000}) as run:
        assert run.name == "odd"
    stored = client.get_run(run.id).data
    assert stored.params["long"] == "x" * 5984 + "... bad0f0b22623"  # of its digest
    assert [stored.params[key] for key in ("a_b", "a_b_2", "_", "_../up", "ü")] == [
        "1",
        "2",
        "empty",
        "up",
        "ß",
    ]
    assert len(stored.params) == len(params)
    assert stored.tags["tag_"] == clip_apart("t" * 9000, 8000)
    full = json.loads(artifact(client, run.id, "params_full.json"))
    assert full == {key: str(value) for key, value in params.items() if key != "ü"}
    assert json.loads(artifact(client, run.id, "tags_full.json")) == {"tag=": "t" * 9000}


def test_texts_that_fit_are_left_alone() -> None:
    assert safe_texts({"a.b/c d:e-f_1": "text"}, 4) == ({"a.b/c d:e-f_1": "text"}, {})


def test_many_trackers_make_one_experiment(tracker: Tracker) -> None:
    ids = []

    def open_it() -> None:
        with open_tracker(tracker.uri, "raced for", Path.cwd()) as another:
            assert isinstance(another, MlflowTracker)
            ids.append(another.experiment_id)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_a_deleted_experiment_says_what_to_do(tracker: Tracker, client: Any) -> None:
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(
        UserError, match=r"tracking\.experiment: 'gone' was deleted.*mlflow experiments restore"
    ):
        open_tracker(tracker.uri, "gone", Path.cwd())


def public_methods(kind: type) -> dict[str, list[inspect.Parameter]]:
    """The methods that a class defines itself, and their parameters."""
    own = {name: method for name, method in vars(kind).items() if inspect.isfunction(method)}
    return {
        name: list(inspect.signature(method).parameters.values())
        for name, method in own.items()
        if not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("interface", "implementation"),
    [(Tracker, MlflowTracker), (Tracker, NullTracker), (Run, MlflowRun), (Run, NullRun)],
)
def test_what_stands_behind_an_interface_offers_that_and_no_more(
    interface: type, implementation: type
) -> None:
    assert public_methods(implementation) == public_methods(interface)


def test_a_tracker_that_is_off_keeps_nothing(tmp_path: Path) -> None:
    with open_tracker(None, "ratelab", tmp_path) as tracker:
        with tracker.run("run", params={"a": 1}, tags={}) as run:
            run.metrics("a", np.arange(1), np.arange(1), np.arange(1))
            run.fail("reason", "traceback")
            run.leave()
        assert (tracker.uri, run.id, tracker.links([run.id], None), tracker.find_runs("abc")) == (
            "",
            "",
            [],
            None,
        )
        with pytest.raises(ValueError, match="mine"), tracker.run("run", params={}, tags={}):
            raise ValueError("mine")
        tracker.give_up()
    assert not any(tmp_path.iterdir())


def test_telemetry_is_off(tracker: Tracker) -> None:
    assert tracker.uri
    assert (os.environ["MLFLOW_DISABLE_TELEMETRY"], os.environ["DO_NOT_TRACK"]) == ("true", "true")


def test_a_tracker_says_where_its_runs_are_seen_and_reads_them_back(tracker: Tracker) -> None:
    with tracker.run("one", params={}, tags={"sweep_id": "abc", "schedule": "fixed", "job": "0"}) as run:
        run.metrics("a", np.arange(3), np.arange(3), np.arange(3))
        found = tracker.find_runs("abc")
    assert found is not None
    assert [(one.name, one.metrics) for one in found.runs] == [("one", {"a": 2.0})]
    [link] = comparison_links("http://127.0.0.1:5000", found.experiment_id, [run.id])
    elsewhere = f"ratelab ui --uri {tracker.uri}"
    assert [line.plain for line in tracker.links([run.id], None)] == [
        f"See it in MLflow: {elsewhere}, then open",
        f"  its charts: {link.address}",
    ]
    assert [line.plain for line in tracker.links([run.id] * 2, "abc")] == [
        f"See them side by side in MLflow: {elsewhere} --sweep abc"
    ]


def test_the_clock_counts_milliseconds() -> None:
    assert 1_700_000_000_000 < now_ms() < 10_000_000_000_000


def test_a_store_that_was_prepared_is_opened_again(tracker: Tracker, tmp_path: Path) -> None:
    assert prepare_store(tracker.uri, tmp_path) == tracker.uri


def test_a_status_that_the_store_did_not_take_is_given_again_at_the_end(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when two runs end, and has room again when the program does."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    full = True

    def refuse_or(call: Any) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            if full:
                raise MlflowException("(sqlite3.OperationalError) database or disk is full\n[SQL: ...]")
            return call(*args, **kwargs)

        return called

    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    ids = []
    with open_tracker(tracker.uri, "ratelab", Path.cwd()) as other:
        for name in ("log_batch", "set_tag", "set_terminated", "log_text"):
            monkeypatch.setattr(MlflowClient, name, refuse_or(getattr(MlflowClient, name)))
        full = False
        for error in (ValueError("mine"), KeyboardInterrupt(), None):
            opened = other.run("run", params={}, tags={})
            ids.append(opened.__enter__().id)
            full = True
            with contextlib.suppress(StoreError):
                assert opened.__exit__(type(error) if error else None, error, None) is False
            assert client.get_run(ids[-1]).info.status == "RUNNING"
            full = False
    stored = [client.get_run(run_id) for run_id in ids]
    assert [run.info.status for run in stored] == ["FAILED", "KILLED", "FINISHED"]
    assert [run.data.tags.get("error") for run in stored] == ["ValueError: mine", None, None]


def test_a_run_has_none_of_its_tags_before_its_params(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after MLflow has made the run, it is none that anybody takes for one that trained."""

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "log_texts", die)
    monkeypatch.setattr(Client, "set_status", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        tracker.run("half", params={"a": 1}, tags={"schedule": "fixed"}, parent_id="f" * 32).__enter__()
    [half] = [run for run in client.search_runs(["0", "1", "2"]) if run.info.run_name == "half"]
    assert half.data.params == {}
    assert "schedule" not in half.data.tags
    assert half.data.tags["mlflow.parentRunId"] == "f" * 32


def test_a_run_that_was_made_while_a_signal_came_is_killed_and_not_left_running(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create = MlflowClient.create_run

    def stop_after(*args: Any, **kwargs: Any) -> Any:
        create(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "create_run", stop_after)
    with pytest.raises(KeyboardInterrupt):
        tracker.run("stopped", params={}, tags={}).__enter__()
    [stopped] = [run for run in client.search_runs(["0", "1", "2"]) if run.info.run_name == "stopped"]
    assert stopped.info.status == "KILLED"


def test_a_run_can_be_marked_as_killed_at_once_as_long_as_it_may_be_running(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it is being ended, which takes as long as its store lets it wait."""
    seen: list[str] = []

    def end(run: MlflowRun, error: BaseException) -> None:
        [word] = signals._state.last_words
        word()
        seen.append(client.get_run(run.id).info.status)

    monkeypatch.setattr(MlflowRun, "_end_by", end)

    def interrupt() -> None:
        with tracker.run("run", params={}, tags={}):
            assert len(signals._state.last_words) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert (seen, signals._state.last_words) == (["KILLED"], [])


def test_a_run_that_is_left_stays_as_it_is_and_goes_on_when_it_is_opened_by_its_key(
    tracker: Tracker, client: Any
) -> None:
    with tracker.run("run", params={"a": 1}, tags={"schedule": "fixed"}, key="left") as run:
        run.metrics("a", np.arange(3), np.arange(3), np.arange(3))
        run.leave()
    assert client.get_run(run.id).info.status == "RUNNING"
    opened = tracker.run("run", params={"a": 1}, tags={"schedule": "fixed"}, key="left", is_resumed=True)
    with opened as again:
        assert again.id == run.id
        again.metrics("a", np.arange(5), np.arange(5), np.arange(5))
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"a": 4.0})
    assert [point.step for point in client.get_metric_history(run.id, "a")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), Diverged(17)], ids=repr)
def test_a_run_that_is_left_is_not_told_what_ends_its_block(
    tracker: Tracker, client: Any, error: BaseException
) -> None:
    opened = tracker.run("run", params={}, tags={})
    run = opened.__enter__()
    run.leave()
    assert opened.__exit__(type(error), error, None) is False
    stored = client.get_run(run.id)
    assert stored.info.status == "RUNNING"
    assert {"error", "diverged_step"}.isdisjoint(stored.data.tags)


def test_a_run_that_is_left_waits_for_nothing(tracker: Tracker, client: Any) -> None:
    with open_tracker(tracker.uri, "ratelab", Path.cwd()) as held:
        assert isinstance(held, MlflowTracker)
        sink, released = held._writer._sink, threading.Event()

        class Slow(Whole):
            """Stores nothing before it is released."""

            def store(self, batch: Any) -> None:
                assert released.wait(30)
                sink.store(batch)

        held._writer._sink = Slow()
        with held.run("run", params={}, tags={}) as run:
            run.metrics("a", ONE, ONE, ONE)
            run.leave()
        released.set()
        held.flush()
    assert client.get_run(run.id).data.metrics == {"a": 0.0}
    assert client.get_run(run.id).info.status == "RUNNING"


def test_a_run_that_was_left_without_its_metrics_gets_all_of_them_when_it_is_opened_again(
    refusing: MlflowTracker, client: Any
) -> None:
    with refusing.run("run", params={}, tags={}, key="lost") as run:
        run.metrics("a", ONE, ONE, ONE)
        with contextlib.suppress(StoreError):
            refusing._writer.flush(run.id)
        run.metrics("a", ONE, ONE, ONE)
        assert run.lacks_metrics
        run.leave()
    assert client.get_run(run.id).data.tags["not_kept"] == "metrics"
    refusing._writer._sink = sink_for(open_client(refusing.uri))
    with refusing.run("run", params={}, tags={}, key="lost", is_resumed=True) as again:
        again.metrics("a", np.arange(2), np.arange(2), np.arange(2))
    assert (again.id, again.lacks_metrics) == (run.id, False)
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"a": 1.0})
    assert "not_kept" not in stored.data.tags


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()], ids=["well", "stopped"])
def test_a_tracker_that_has_given_up_ends_no_run_and_waits_for_no_metrics(
    tracker: Tracker, client: Any, error: BaseException | None
) -> None:
    """The database is locked by another program while this one goes."""
    given_up = open_tracker(tracker.uri, "ratelab", Path.cwd())
    assert isinstance(given_up, MlflowTracker)
    opened = given_up.run("run", params={}, tags={})
    run = opened.__enter__()
    kind = type(error) if error else None
    with contextlib.closing(sqlite3.connect(sqlite_path(tracker.uri, Path.cwd()))) as other:
        other.execute("BEGIN EXCLUSIVE")
        run.metrics("a", ONE, ONE, ONE)
        given_up.give_up()
        assert opened.__exit__(kind, error, None) is False
        given_up.__exit__(kind, error, None)
        assert given_up._writer._held == 1  # nothing was stored before it went
        other.rollback()
    given_up._writer._thread.join()
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("RUNNING", {"a": 0.0})


def test_a_tracker_that_has_given_up_asks_the_store_for_nothing_that_a_run_still_says(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the run of a sweep that is stopped, which is told at its end what failed: it would wait again."""
    from mlflow import MlflowClient

    asked: list[str] = []
    with open_tracker(tracker.uri, "ratelab", Path.cwd()) as given_up:
        opened = given_up.run("run", params={}, tags={})
        run = opened.__enter__()
        for name in ("set_tag", "log_text", "set_terminated"):
            monkeypatch.setattr(MlflowClient, name, lambda *_, name=name, **__: asked.append(name))
        given_up.give_up()
        run.fail("reason", "traceback")
        assert opened.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None) is False
    assert asked == []
    assert client.get_run(run.id).info.status == "RUNNING"
    assert capfd.readouterr().err == ""


def test_a_tracker_that_has_given_up_does_not_give_the_store_again_what_it_did_not_take(
    tracker: Tracker, client: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("(sqlite3.OperationalError) database or disk is full\n[SQL: ...]")

    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    with open_tracker(tracker.uri, "ratelab", Path.cwd()) as given_up:
        opened = given_up.run("run", params={}, tags={})
        run = opened.__enter__()
        with monkeypatch.context() as full:
            full.setattr(MlflowClient, "set_terminated", refuse)
            with pytest.raises(StoreError):
                opened.__exit__(None, None, None)
        given_up.give_up()
    assert client.get_run(run.id).info.status == "RUNNING"
    assert capfd.readouterr().err == ""
