"""A store that is held is waited for, two minutes at most; any other error is raised at once."""

import pytest

from ratelab.tracking import patience
from ratelab.tracking.patience import wait_patiently

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
    assert wait_patiently(Calls(BusyError(), BusyError()), is_busy, pause=0) == 3


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_any_other_error_is_raised_at_once_and_as_it_is(error: BaseException) -> None:
    call = Calls(BusyError(), error)
    with pytest.raises(type(error)) as raised:
        wait_patiently(call, is_busy, pause=0)
    assert raised.value is error
    assert call.made == 2


def test_patience_ends_with_the_error_of_the_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.05)
    errors = [BusyError(number) for number in range(100)]
    call = Calls(*errors)
    with pytest.raises(BusyError) as raised:
        wait_patiently(call, is_busy, pause=0.02)
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
