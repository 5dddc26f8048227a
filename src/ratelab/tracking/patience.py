"""Waiting for a store that another program holds, that is full, or that does not answer for the moment."""

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from ratelab.runtime.connections import break_connections, brief_locks
from ratelab.runtime.passwords import without_password
from ratelab.tracking.environment import brief_requests
from ratelab.tracking.troubles import StoreError, explain_trouble, will_pass

R = TypeVar("R")

_SECONDS = 120.0
_LONGEST_PAUSE = 5.0
_BRIEF_SECONDS = 5.0  # as `brief_requests` gives a server
_LONG_CALL = 1.0  # what fails sooner costs a sweep nothing, however many runs it has
_SILENT_SECONDS = 10.0  # what passes sooner is not worth a word


def wait_patiently(
    call: Callable[[], R], will_pass: Callable[[BaseException], bool], pause: float, seconds: float
) -> R:
    """Return what a call returns, which is made again while its error is one that will pass.

    Args:
        call: changes nothing if it fails.
        will_pass: says of an error whether to call again; any other is raised at once.
        pause: seconds between the first two calls; each is twice as long as the one before, 5 s at most.
        seconds: between the first call and the last, at most; the calls themselves may take longer.

    Raises:
        BaseException: the error of the last call.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

    attempts = Retrying(
        retry=retry_if_exception(will_pass),
        wait=wait_exponential(pause, max=_LONGEST_PAUSE),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    return attempts(call)


class Patience:
    """The patience with one store, shared by all threads that use it.

    Who waits for longer than some seconds says so, once. Where waiting was in vain, nobody waits for a call
    of that kind again until one of it succeeds, and then half as long, until waiting pays; nor for any other
    within two minutes, for what fails in them fails for the same reason; nor as long as the store takes
    nothing at all, whoever has found that out. One that then still lets a call wait is not asked again for as
    long as that was. So a store that is gone for good, or that takes some things only, or those of some runs,
    ends a sweep of many runs after minutes, not days.

    Args:
        uri: of the store.

    Attributes:
        is_lost: whether the store has taken nothing since waiting was in vain.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._lock = threading.Lock()
        self._brief, self._brief_calls = contextlib.ExitStack(), 0
        self._failing: set[str] = set()  # kinds of calls
        self._vain: Counter[str] = Counter()  # waits, by the kind of call, since one of them paid
        self._ended: dict[str, float] = {}  # the last of these: who waited beside it is not counted
        self._hasty_until = self._rests_until = 0.0
        self._taken = 0  # how many calls have changed the store
        self._begun: dict[object, float] = {}  # when each call began that goes on
        self.is_lost = self._is_told = False
        self._reason = ""

    @property
    def seconds_asked(self) -> float:
        """For how long the oldest of the calls goes on that have no answer yet; 0 if there is none."""
        now = time.monotonic()
        return now - min(self._begun.copy().values(), default=now)

    def ask(self, kind: str, call: Callable[[], R], pause: float, is_read: bool = False) -> R:
        """Return what a call returns, made again as long as the store takes it for the moment only not.

        Args:
            kind: of the call: those of one kind succeed and fail together.
            call: asks MLflow's client or the database; done twice it changes no more than once.
            pause: seconds between two calls, at first.
            is_read: that it succeeds does not show that the store takes anything: a full disk can be read.

        Raises:
            StoreError: the store refuses, or waiting was in vain.
            Exception: whatever else the call raises.
        """
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        is_brief, taken, begun = self._is_hasty(kind), self._taken, time.monotonic()
        seconds = 0.0 if is_brief else _SECONDS * 0.5 ** self._vain[kind]
        tries = 0

        def try_once() -> R:
            nonlocal tries
            tries += 1
            return call()

        def is_worth_waiting(error: BaseException) -> bool:
            return self._will_pass(error) and not self.is_lost

        if self.is_lost and begun < self._rests_until:
            raise StoreError(self._reason)
        with self.watched(seconds):
            try:
                with self._briefly() if is_brief else contextlib.nullcontext():
                    result = wait_patiently(try_once, is_worth_waiting, pause, seconds)
            except (MlflowException, SQLAlchemyError) as error:
                if will_pass(self._uri, error):
                    self._note_failure(kind, is_brief, taken, begun)
                raise StoreError(explain_trouble(self._uri, error)) from error
        self._note_success(kind, is_read, has_waited=tries > 1)
        return result

    @contextlib.contextmanager
    def watched(self, seconds: float | None = None) -> Iterator[None]:
        """Say that the block is waited for when it lasts; let nothing in it wait for a database any longer.

        Args:
            seconds: after which connections are ended, and 5 s after that those that were made since; None:
                two minutes.
        """
        over = threading.Event()
        self._begun[over] = time.monotonic()
        limit = max(_SECONDS if seconds is None else seconds, _BRIEF_SECONDS)
        steps: list[tuple[float, Callable[[], None]]] = [
            (_SILENT_SECONDS, self._tell),
            (limit, break_connections),
        ]

        def watch() -> None:
            passed = 0.0
            for after, step in sorted(steps, key=lambda one: one[0]):
                if over.wait(after - passed):
                    return
                step()
                passed = after
            while not over.wait(_BRIEF_SECONDS):
                break_connections()

        # a thread, for drivers and MLflow's client wait for answers by themselves and say nothing meanwhile
        threading.Thread(target=watch, daemon=True, name="patience").start()
        try:
            yield
        finally:
            over.set()
            del self._begun[over]

    def _is_hasty(self, kind: str) -> bool:
        return self.is_lost or kind in self._failing or time.monotonic() < self._hasty_until

    def _note_failure(self, kind: str, is_brief: bool, taken: int, begun: float) -> None:
        now = time.monotonic()
        with self._lock:
            self._failing.add(kind)
            if is_brief and now - begun > _LONG_CALL:
                self._rests_until = now + (now - begun)
            if not is_brief:
                self._vain[kind] += begun > self._ended.get(kind, 0.0)
                self._ended[kind], self._hasty_until = now, now + _SECONDS
                if taken == self._taken:  # else it has taken what others gave it while this one waited
                    self.is_lost = True

    def _note_success(self, kind: str, is_read: bool, has_waited: bool) -> None:
        with self._lock:
            if has_waited:
                self._vain[kind] = 0
            if kind in self._failing:
                self._failing.remove(kind)
                self._hasty_until = 0.0
            if not is_read:
                self._taken += 1
                self.is_lost = self._is_told = False
                self._reason = ""

    @contextlib.contextmanager
    def _briefly(self) -> Iterator[None]:
        """Let no request last long in the block: one limit for all threads, the last of which ends it."""
        with self._lock:
            if self._brief_calls == 0:
                self._brief.enter_context(brief_requests())
                self._brief.enter_context(brief_locks())
            self._brief_calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._brief_calls -= 1
                if self._brief_calls == 0:
                    self._brief.close()

    def _will_pass(self, error: BaseException) -> bool:
        passes = will_pass(self._uri, error)
        if passes:
            self._reason = explain_trouble(self._uri, error)
        return passes

    def _tell(self) -> None:
        with self._lock:
            is_told, self._is_told = self._is_told, True
        if not is_told:
            reason = self._reason or f"tracking.uri: {without_password(self._uri)} does not answer."
            sys.stderr.write(f"warning: {reason} It is waited for, two minutes at most.\n")
