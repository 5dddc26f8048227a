"""Waiting for a store that another program holds, that is full, or that does not answer for the moment."""

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from ratelab.runtime.passwords import without_password
from ratelab.tracking.environment import brief_requests
from ratelab.tracking.troubles import StoreError, explain_trouble, will_pass

R = TypeVar("R")

_SECONDS = 120.0
_SILENT_SECONDS = 10.0  # what passes sooner is not worth a word


def wait_patiently(
    call: Callable[[], R],
    will_pass: Callable[[BaseException], bool],
    pause: float,
    seconds: float | None = None,
) -> R:
    """Return what a call returns, which is made again while its error is one that will pass.

    It blocks as long as the calls take, and two minutes at most between the first and the last of them.

    Args:
        call: changes nothing if it fails.
        will_pass: says of an error whether to call again; any other is raised at once.
        pause: seconds between two calls.
        seconds: between the first call and the last; two minutes by default.

    Raises:
        BaseException: the error of the last call.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    attempts = Retrying(
        retry=retry_if_exception(will_pass),
        wait=wait_fixed(pause),
        stop=stop_after_delay(_SECONDS if seconds is None else seconds),
        reraise=True,
    )
    return attempts(call)


class Patience:
    """The patience with one store, shared by all threads that use it.

    Who waits for longer than some seconds says so, once. Where waiting was in vain, nobody waits again until
    the store has answered: a store that is gone for good ends a sweep of many runs after minutes, not days.

    Args:
        uri: of the store.

    Attributes:
        is_lost: whether waiting has been in vain, last.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._brief = contextlib.ExitStack()
        self.is_lost = self._is_told = False
        self._reason = ""

    def ask(self, call: Callable[[], R], pause: float, is_read: bool = False) -> R:
        """Return what a call returns, made again as long as the store takes it for the moment only not.

        Args:
            call: asks MLflow's client or the database; done twice it changes no more than once.
            pause: seconds between two calls.
            is_read: that it succeeds does not show that the store takes anything: a full disk can be read.

        Raises:
            StoreError: the store refuses, or waiting was in vain.
            Exception: whatever else the call raises.
        """
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        # a timer, for MLflow's client repeats requests by itself and says nothing meanwhile
        timer = threading.Timer(_SILENT_SECONDS, self._tell)
        timer.daemon = True
        timer.start()
        try:
            result = wait_patiently(call, self._will_pass, pause, 0.0 if self.is_lost else None)
        except (MlflowException, SQLAlchemyError) as error:
            if will_pass(self._uri, error):
                self._set_lost(True)
            raise StoreError(explain_trouble(self._uri, error)) from error
        finally:
            timer.cancel()
        if not is_read:
            self._set_lost(False)
        return result

    def forget(self) -> None:
        """Begin anew: what comes next is waited for again."""
        self._set_lost(False)

    def _will_pass(self, error: BaseException) -> bool:
        passes = will_pass(self._uri, error)
        if passes:
            self._reason = explain_trouble(self._uri, error)
        return passes

    def _set_lost(self, is_lost: bool) -> None:
        with self._lock:
            if is_lost and not self.is_lost:
                self._brief.enter_context(brief_requests())
            elif not is_lost:
                self._brief.close()
                self._is_told, self._reason = False, ""
            self.is_lost = is_lost

    def _tell(self) -> None:
        with self._lock:
            is_told, self._is_told = self._is_told, True
        if not is_told:
            reason = self._reason or f"tracking.uri: {without_password(self._uri)} does not answer."
            sys.stderr.write(f"warning: {reason} It is waited for, two minutes at most.\n")
