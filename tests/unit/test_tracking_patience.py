"""A store that is held is waited for, two minutes at most; any other error is raised at once."""

import os
import threading
import time

import pytest

from ratelab.tracking import StoreError, patience
from ratelab.tracking.environment import silence_mlflow
from ratelab.tracking.patience import Patience, wait_patiently
from ratelab.tracking.troubles import explain_trouble, will_pass

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


class BusyError(Exception):
    """An error that will pass."""


class Calls:
    """Raises one error after the other, then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.made = 0

    def __call__(self) -> int:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.made


def is_busy(error: BaseException) -> bool:
    return isinstance(error, BusyError)


def test_a_call_is_made_again_while_its_error_will_pass() -> None:
    assert wait_patiently(Calls(BusyError(), BusyError()), is_busy, pause=0, seconds=9) == 3


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_any_other_error_is_raised_at_once_and_as_it_is(error: BaseException) -> None:
    call = Calls(BusyError(), error)
    with pytest.raises(type(error)) as raised:
        wait_patiently(call, is_busy, pause=0, seconds=9)
    assert raised.value is error
    assert call.made == 2


def test_patience_ends_with_the_error_of_the_last_call() -> None:
    errors = [BusyError(number) for number in range(100)]
    call = Calls(*errors)
    with pytest.raises(BusyError) as raised:
        wait_patiently(call, is_busy, pause=0.02, seconds=0.05)
    assert raised.value is errors[call.made - 1]
    assert 2 <= call.made < 10


def test_a_locked_store_is_waited_for_when_a_run_is_made(tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    create = MlflowClient.create_run
    errors = [MlflowException("(sqlite3.OperationalError) database is locked")]

    def create_at_second_try(*args, **kwargs):
        if errors:
            raise errors.pop()
        return create(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_run", create_at_second_try)
    with tracker.run("waited", params={}, tags={}) as run:
        assert MlflowClient(tracker.uri).get_run(run.id).info.status == "RUNNING"
    assert errors == []


def locked():
    from mlflow.exceptions import MlflowException

    return MlflowException("(sqlite3.OperationalError) database is locked\n[SQL: INSERT ...]")


def test_who_has_waited_in_vain_waits_no_more_until_the_store_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.05)
    with_store = Patience("sqlite:////a/b.db")
    call = Calls(*[locked() for _ in range(1000)])
    with pytest.raises(StoreError) as raised:
        with_store.ask("write", call, 0.01)
    advice = "End the program that holds it (`fuser` names it)."
    assert str(raised.value) == f"tracking.uri: /a/b.db: database is locked. {advice}"
    assert call.made > 2
    assert with_store.is_lost
    for _ in range(2):
        made = call.made
        with pytest.raises(StoreError):
            with_store.ask("write", call, 0.01)
        assert call.made == made + 1
    assert with_store.ask("read", lambda: "read", 0.01, is_read=True) == "read"
    assert with_store.is_lost  # a full disk can be read
    assert with_store.ask("write", lambda: "well", 0.01) == "well"
    assert not with_store.is_lost
    patient = Calls(locked(), locked())
    assert with_store.ask("write", patient, 0.01) == 3


def lose(with_store: Patience, kind: str) -> int:
    """Ask what the store never takes; return how often it was tried."""
    call = Calls(*[locked() for _ in range(1000)])
    with pytest.raises(StoreError):
        with_store.ask(kind, call, 0.01)
    return call.made


def test_each_kind_of_call_is_waited_for_in_vain_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes some things only, for ever, costs its sweep two minutes, not two for each run."""
    monkeypatch.setattr(patience, "_SECONDS", 0.4)
    with_store = Patience("sqlite:////a/b.db")
    assert lose(with_store, "metrics") > 2
    assert lose(with_store, "status") == 1  # nothing has been taken since
    for _ in range(2):
        assert with_store.ask("artifact", lambda: "kept", 0.01) == "kept"
        assert not with_store.is_lost
        assert [lose(with_store, kind) for kind in ("metrics", "status", "tags")] == [1, 1, 1]
        assert not with_store.is_lost
    time.sleep(0.41)
    assert with_store.ask("artifact", Calls(locked(), locked()), 0.01) == 3  # a short outage loses nothing
    assert [lose(with_store, kind) for kind in ("metrics", "status", "tags")] == [1, 1, 1]
    assert with_store.ask("metrics", lambda: "back", 0.01) == "back"
    assert with_store.ask("metrics", Calls(locked(), locked()), 0.01) == 3
    assert lose(with_store, "status") == 1


def test_what_was_waited_for_in_vain_is_waited_for_half_as_long_until_waiting_pays(monkeypatch) -> None:
    """As where a server takes the metrics of every other run, for ever: minutes in all, and not for each."""
    waited = []

    def wait(call, will_pass, pause, seconds):
        waited.append(seconds)
        return wait_patiently(call, will_pass, pause, min(seconds, 0.02))

    monkeypatch.setattr(patience, "wait_patiently", wait)
    with_store = Patience("sqlite:////a/b.db")
    for _ in range(8):
        lose(with_store, "metrics")
        assert with_store.ask("metrics", lambda: "of another run", 0) == "of another run"
    assert waited[::2] == [120 / 2**number for number in range(8)]
    assert set(waited[1::2]) == {0.0}
    assert sum(waited) < 240
    with_store.ask("tags", lambda: None, 0)
    assert waited[-1] == 120  # of another kind
    for expected in (120 / 2**8, 120):
        assert with_store.ask("metrics", Calls(locked()), 0.001) == 2
        assert waited[-1] == expected
    with_store._vain["metrics"] = 10_000  # runs of a sweep
    assert lose(with_store, "metrics") == 1


def test_those_who_wait_in_vain_at_the_same_time_have_waited_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waited, together = [], threading.Barrier(4)

    def wait(call, will_pass, pause, seconds):
        waited.append(seconds)
        together.wait(30)
        return call()

    monkeypatch.setattr(patience, "wait_patiently", wait)
    with_store = Patience("sqlite:////a/b.db")
    threads = [threading.Thread(target=lose, args=(with_store, "metrics")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waited == [120] * 4
    assert with_store._vain["metrics"] == 1


def test_a_lost_store_that_is_silent_is_not_asked_by_one_run_after_the_other(monkeypatch) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    monkeypatch.setattr(patience, "_LONG_CALL", 0.1)
    with_store = Patience("sqlite:////a/b.db")
    lose(with_store, "metrics")

    def keep_silent() -> None:
        time.sleep(0.2)
        raise locked()

    with pytest.raises(StoreError, match="database is locked"):
        with_store.ask("status", keep_silent, 0)
    call = Calls()
    with pytest.raises(StoreError, match="database is locked"):
        with_store.ask("status", call, 0)
    assert call.made == 0
    time.sleep(0.4)
    assert with_store.ask("status", call, 0) == 1
    assert with_store.ask("status", call, 0) == 2


def test_a_store_that_has_taken_something_meanwhile_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    with_store = Patience("sqlite:////a/b.db")

    def fail_while_others_succeed() -> None:
        with_store.ask("metrics", lambda: None, 0)
        raise locked()

    with pytest.raises(StoreError):
        with_store.ask("artifact", fail_while_others_succeed, 0)
    assert not with_store.is_lost


def test_requests_are_brief_while_a_store_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    with_store = Patience("sqlite:////a/b.db")
    limits = []

    def note_limit(*inner) -> None:
        for ask in inner:
            with_store.ask("inner", ask, 0)  # as from another thread
        limits.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])

    note_limit()
    with pytest.raises(StoreError):
        with_store.ask("write", Calls(locked()), 0)
    with_store.ask("read", lambda: note_limit(note_limit), 0, is_read=True)
    note_limit()
    assert limits == ["77", "5", "5", "77"]


def test_who_waits_waits_no_more_once_another_thread_has_waited_in_vain() -> None:
    with_store, call = Patience("sqlite:////a/b.db"), Calls()

    def fail_while_another_gives_up() -> None:
        with_store.is_lost = call() == 3
        raise locked()

    with pytest.raises(StoreError, match="database is locked"):
        with_store.ask("status", fail_while_another_gives_up, 0)
    assert call.made == 3


def test_a_locked_file_is_waited_for_briefly_while_a_store_is_lost(tmp_path, monkeypatch) -> None:
    """MLflow sets its 20 s anew for each session, and so do we for each transaction."""
    from sqlalchemy import NullPool, create_engine

    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    with_store = Patience("sqlite:////a/b.db")
    # its connections are closed at once
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}", poolclass=NullPool)

    def limit(text: str) -> int:
        with engine.connect() as connection:
            connection.exec_driver_sql(text)
            return connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()

    def both() -> list[int]:
        return [limit("PRAGMA busy_timeout = 20000;"), limit("PRAGMA busy_timeout = 20000")]

    assert with_store.ask("write", both, 0) == [20_000, 20_000]
    lose(with_store, "write")
    assert with_store.ask("read", both, 0, is_read=True) == [1000, 1000]
    assert both() == [20_000, 20_000]


@pytest.mark.parametrize(("given", "used"), [(None, "60"), ("9", "9")])
def test_a_request_of_mlflows_client_ends_within_our_patience(monkeypatch, given, used) -> None:
    """It is made twice; a pause that a server asks for may be an hour."""
    monkeypatch.setattr(os, "environ", {} if given is None else {"MLFLOW_HTTP_REQUEST_TIMEOUT": given})
    silence_mlflow()
    found = [os.environ[f"MLFLOW_HTTP_{name}"] for name in ("REQUEST_TIMEOUT", "REQUEST_MAX_RETRIES")]
    assert found == [used, "1"]
    assert os.environ["MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"] == "false"


def test_a_refusal_is_raised_at_once_and_does_not_end_the_patience() -> None:
    from mlflow.exceptions import MlflowException

    with_store = Patience("sqlite:////a/b.db")
    with pytest.raises(StoreError, match="no such column"):
        with_store.ask("write", Calls(MlflowException("no such column")), 0)
    assert not with_store.is_lost


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine"), OSError(28, "full")], ids=repr)
def test_what_is_not_the_stores_own_passes_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        Patience("sqlite:////a/b.db").ask("write", Calls(error), 0)
    assert raised.value is error


def test_long_waiting_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "_SILENT_SECONDS", 0.01)
    with_store = Patience("sqlite:////a/b.db")

    def slow(errors):
        time.sleep(0.05)
        if errors:
            raise errors.pop()

    errors = [locked(), locked()]
    with_store.ask("write", lambda: slow(errors), 0)
    first, *others = capfd.readouterr().err.splitlines()
    assert first.startswith("warning: tracking.uri: ")
    assert first.endswith("It is waited for, two minutes at most.")
    assert others == []


def test_it_is_known_for_how_long_the_oldest_call_has_no_answer() -> None:
    with_store, seen = Patience("sqlite:////a/b.db"), []

    def call():
        time.sleep(0.1)
        with_store.ask("younger", lambda: seen.append(with_store.seconds_asked), 0)
        time.sleep(0.1)
        seen.append(with_store.seconds_asked)

    begun = time.monotonic()
    with_store.ask("metrics", call, 0)
    passed = time.monotonic() - begun
    assert 0.1 <= seen[0] < seen[1] - 0.1 < passed
    assert with_store.seconds_asked == 0


def test_long_waiting_is_told_also_where_it_would_not_be_tried_again(monkeypatch, capfd) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    monkeypatch.setattr(patience, "_SILENT_SECONDS", 0.05)
    monkeypatch.setattr(patience, "_BRIEF_SECONDS", 0.01)
    with_store = Patience("sqlite:////a/b.db")
    lose(with_store, "metrics")
    assert capfd.readouterr().err == ""
    with_store.ask("metrics", lambda: time.sleep(0.2), 0)
    assert capfd.readouterr().err.count("It is waited for, two minutes at most.") == 1


@pytest.mark.parametrize(
    ("uri", "text", "expected"),
    [
        ("sqlite:////a.db", "(sqlite3.OperationalError) database is locked", True),
        ("sqlite:////a.db", "(sqlite3.OperationalError) database or disk is full", True),
        ("sqlite:////a.db", "(sqlite3.OperationalError) disk I/O error", True),
        ("sqlite:////a.db", "(sqlite3.OperationalError) no such table: runs", False),
        ("sqlite:////a.db", "(sqlite3.IntegrityError) UNIQUE constraint failed", False),
        ("postgresql://h/d", "(psycopg.OperationalError) connection failed", True),
        ("postgresql://h/d", "(psycopg.errors.UniqueViolation) duplicate key", False),
        ("http://h", "API request to http://h/api failed with exception timed out", True),
        ("http://h", "API request to http://h/api failed with timeout exception read timed out", True),
        ("https://h", "API request to endpoint /api failed with error code 503 != 200", True),
        ("http://h", "API request to endpoint /api failed with error code 429 != 200", True),
        ("http://h", "API request to endpoint /api failed with error code 403 != 200", False),
        ("http://h", "(sqlite3.OperationalError) database is locked", True),
        ("http://h", "RESOURCE_DOES_NOT_EXIST: no such run", False),
    ],
)
def test_what_will_pass_is_told_from_what_will_not(uri: str, text: str, expected: bool) -> None:
    from mlflow.exceptions import MlflowException

    assert will_pass(uri, MlflowException(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "API request to http://h/api/x failed with exception HTTPConnectionPool(host='h', port=80): Max "
            "retries exceeded with url: /api/x (Caused by ResponseError('too many 503 error responses'))",
            "too many 503 error responses",
        ),
        (
            "API request to http://h/api/x failed with exception HTTPConnectionPool(host='h', port=80): Max "
            "retries exceeded with url: /api/x (Caused by ReadTimeoutError(\"HTTPConnectionPool(host='h', "
            'port=80): Read timed out. (read timeout=60)"))',
            "Read timed out. (read timeout=60)",
        ),
        (
            "API request to http://h/api/x failed with exception HTTPConnectionPool(host='h', port=80): Max "
            "retries exceeded with url: /api/x (Caused by ProtocolError('Connection aborted.', "
            "ConnectionResetError(104, 'Connection reset by peer')))",
            "Connection reset by peer",
        ),
        (
            "API request to http://h/api/x failed with exception HTTPConnectionPool(host='h', port=80): Max "
            "retries exceeded with url: /api/x (Caused by NewConnectionError(\"HTTPConnection(host='h', "
            'port=80): Failed to establish a new connection: [Errno 111] Connection refused"))',
            "Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (
            "API request to http://h/a failed with timeout exception HTTPSConnectionPool(host='h', port=9): "
            "Read timed out. (read timeout=5). To increase the timeout, set the environment variable X",
            "Read timed out. (read timeout=5)",
        ),
        (
            "API request to endpoint /api/x failed with error code 404 != 200. Response body: 'no'",
            "API request to endpoint /api/x failed with error code 404 != 200. Response body: 'no'",
        ),
    ],
)
def test_of_a_request_that_failed_the_reason_is_told_without_its_wrapping(text: str, reason: str) -> None:
    from mlflow.exceptions import MlflowException

    told = explain_trouble("http://h", MlflowException(text))
    assert told == f"tracking.uri: http://h: {reason}. Look whether it is there and sound."


def test_who_is_shut_out_of_an_experiment_is_told_what_would_let_him_in() -> None:
    from mlflow.exceptions import MlflowException

    text = (
        "API request to endpoint /api/x failed with error code 403 != 200. Response body: 'Permission denied'"
    )
    told = explain_trouble("http://h", MlflowException(text))
    assert told.endswith(
        "the permission EDIT on the experiment, or name one of your own: tracking.experiment=NAME."
    )


def test_a_full_disk_of_the_driver_and_a_lost_connection_will_pass() -> None:
    from sqlalchemy.exc import OperationalError, ProgrammingError

    class DiskFull(Exception):  # noqa: N818 - psycopg's name, which is all that is looked at
        """As psycopg.errors.DiskFull."""

    assert will_pass("postgresql://h/d", OperationalError("INSERT", {}, DiskFull("could not extend file")))
    assert not will_pass("postgresql://h/d", ProgrammingError("INSERT", {}, Exception("no such column")))
    lost = ProgrammingError("INSERT", {}, Exception("closed"), connection_invalidated=True)
    assert will_pass("postgresql://h/d", lost)
    assert not will_pass("postgresql://h/d", OSError(28, "No space left on device"))
