"""The thread that gives the store what the journal has, so that training does not wait for it."""

import shlex
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from ratelab.runs.journal import Noted
from ratelab.runs.storing import Storing
from ratelab.runtime import lost_metrics
from ratelab.runtime.signals import held_back
from ratelab.tracking import StoreError, Tracker, status_after

if TYPE_CHECKING:
    import keras

_PAUSE, _LONGEST_PAUSE = 15.0, 240.0  # seconds until a store is tried again that did not take something
_LOOK = 0.2  # seconds after which a wait looks whether the program is told to stop, or it has been too long
_STOPPING = 3.0  # seconds that a program which is told to stop waits for the store
_BRIEF = 10.0  # seconds that a store is waited for in any case; an answer that takes longer is not counted


class Feed:
    """Hands records over to a `Storing` in a thread of its own; a context manager.

    Records of one run are taken in their order, its beginning before all else that waits. What waits is in
    the journal; here are only places in it. A server may need hours for what is trained in minutes: in the
    end one that answers is waited for as long as it was fed until then, or ten seconds, if that is longer.

    Args:
        storing: takes them.
        tracker: of the store, which is waited for no more when the program is told to stop, or after that.
        folder: of the journal.
    """

    def __init__(self, storing: Storing, tracker: Tracker, folder: Path) -> None:
        self._storing, self._tracker, self._folder = storing, tracker, folder
        self._changed = threading.Condition()
        self._numbers: set[int] = set()  # of the runs that the store is given
        self._begins: deque[Callable[[], None]] = deque()
        self._steps: deque[Callable[[], None]] = deque()
        self._is_busy = self._is_closing = self._is_drained = self._is_too_slow = False
        self._begun, self._waited = time.monotonic(), 0.0
        self._pause, self._next_try = _PAUSE, float("inf")
        # a daemon: a program that is told to stop does not wait for a store that is gone
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def begin(self, number: int, noted: Noted) -> None:
        """Let a run be opened, before whatever else waits."""
        self._numbers.add(number)
        self._put(self._begins, partial(self._storing.take, number, noted))

    def take(self, number: int, noted: Noted) -> None:
        """Let a record of a run be handed over; return at once."""
        self._put(self._steps, partial(self._storing.take, number, noted))

    def check(self, number: int) -> None:
        """Raise what no store could take of a run, such as a metric of an impossible name."""
        error = self._storing.lacking.get(number)
        if error is not None and not isinstance(error, StoreError):
            raise error

    def take_model(self, number: int, model: "keras.Model", example: np.ndarray) -> None:
        """Let the model of a run be kept before its end."""
        self._put(self._steps, partial(self._storing.take_model, number, model, example))

    def warn(self, number: int, what: str, error: Exception) -> None:
        """Let it be said, also in the store, that `what` of a run cannot be kept."""
        self._put(self._steps, partial(self._storing.warn, number, what, error))

    def await_begin(self, number: int) -> str:
        """Return what the store calls a run, once it has been opened.

        Raises:
            Exception: why it cannot be.
        """
        self._wait(lambda: self._storing.has_begun(number) or number in self._storing.lacking)
        if not self._storing.has_begun(number):
            raise self._storing.lacking[number]
        return self._storing.id_of(number)

    def id_of(self, number: int) -> str:
        """Return what the store calls a run; "" if it has not been opened there yet."""
        return self._storing.id_of(number)

    def lacks(self, number: int) -> bool:
        """Say whether the store lacks something of a run, after all that could be done."""
        return number in self._storing.lacking or (self._is_too_slow and not self._storing.has_ended(number))

    def drain(self) -> None:
        """Return when the store has everything, does not take it after all patience, or is too slow."""
        if self._is_drained or self._is_too_slow:
            return
        self._put(self._steps, partial(self._storing.catch_up, is_last=True))
        seconds = max(_BRIEF, time.monotonic() - self._begun - self._waited)
        self._is_drained = self._wait_while_answered(seconds)
        if not self._is_drained:
            self._is_too_slow = True
            self._note_closing()
            self._tracker.give_up()
            sys.stderr.write(
                f"warning: the store has not taken all in {seconds:.0f} s after training, and is waited for "
                "no more.\n"
            )

    def _wait_while_answered(self, seconds: float) -> bool:
        """Say whether all is done within so many seconds of waiting, in all.

        An answer that was asked for in time is waited for. One that takes long is not counted, for there is a
        patience with a store that does not answer.
        """
        begun, silent, asked = time.monotonic() - self._waited, 0.0, 0.0
        while self._waited < seconds:
            if self._wait(self._is_idle, _LOOK):
                return True
            before, asked = asked, self._tracker.seconds_asked
            if asked < before and before > _BRIEF:
                silent += before
            self._waited = time.monotonic() - begun - silent - asked
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the store have what waits, but wait for seconds only if the program is told to stop."""
        if error is not None:
            self._put(self._steps, partial(self._storing.end, error))
        is_stopped = True
        try:
            if error is None or status_after(error) == "FAILED":
                self.drain()
                self._settle()
                is_stopped = False
        finally:  # it may be told to stop while it waits
            self._close(is_stopped)

    def _settle(self) -> None:
        """Begin nothing more; return when nothing goes on, or what goes on is too slow."""
        self._note_closing()
        if not self._is_too_slow:
            self._wait(self._is_idle)

    def _note_closing(self) -> None:
        with held_back(), self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def _close(self, is_stopped: bool) -> None:
        """End the thread, or leave it to a store that holds it; say what the store lacks."""
        is_done = not self._is_too_slow and self._wait(self._is_idle, _STOPPING)
        self._note_closing()
        if is_done:
            self._thread.join()
        else:
            self._tracker.give_up()
        if is_stopped and (self._storing.lacking or not is_done):
            command = shlex.join(["ratelab", "sync", str(self._folder)])
            sys.stderr.write(f"warning: the store has not taken all in time. Give it the rest: {command}\n")
        for number in sorted(self._numbers.union(self._storing.numbers)):
            run_id = self._storing.id_of(number) or f"{self._folder} {number}"  # if it was never opened
            lost_metrics.note_run(run_id, self.lacks(number), self._folder)

    def _put(self, steps: deque[Callable[[], None]], step: Callable[[], None]) -> None:
        with held_back(), self._changed:
            steps.append(step)
            self._is_drained = False
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], object], seconds: float = float("inf")) -> bool:
        """Say whether a condition holds within so many seconds; return as soon as it does.

        A signal is raised between two looks: in the middle of one it would leave the lock in a state that
        nobody expects.
        """
        end = time.monotonic() + seconds
        while True:
            with held_back(), self._changed:
                is_so = self._changed.wait_for(condition, max(0.0, min(_LOOK, end - time.monotonic())))
            if is_so or time.monotonic() >= end:
                return bool(is_so)

    def _is_idle(self) -> bool:
        return not (self._begins or self._steps or self._is_busy)

    def _run(self) -> None:
        """Take step after step until the end; this is the thread."""
        while step := self._next():
            step()
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next step and return it; None at the end. What is behind is tried now and then."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or not self._is_idle(), self._time_left())
            steps = self._begins or self._steps
            if self._is_closing:
                return None
            self._is_busy = True
            return self._try_again if time.monotonic() >= self._next_try or not steps else steps.popleft()

    def _time_left(self) -> float | None:
        """Return how many seconds may pass until what is behind is tried again; None if nothing is behind."""
        if not self._storing.lacking:
            self._next_try = float("inf")
            return None
        if self._next_try == float("inf"):
            self._next_try = time.monotonic() + self._pause
        return max(0.0, self._next_try - time.monotonic())

    def _try_again(self) -> None:
        """Give the store what it lacks; wait longer from one time that it does not take it to the next."""
        self._storing.catch_up()
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._storing.lacking else _PAUSE
        self._next_try = time.monotonic() + self._pause
