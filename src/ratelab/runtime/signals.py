"""How the program ends when it is told to stop, or when the user made a mistake.

A signal is raised once, as `Terminated`, and never again while what was computed is stored on the way out; a
thread of its own hears those that follow, also while the main thread is deep in a library. SIGQUIT, and
Ctrl-C behind another signal, end the program at once.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ExtensionFileLoader
from types import FrameType

from ratelab.runtime.lost_metrics import told_at_the_end
from ratelab.validation import UserError

# All that end a process by default: from a terminal, a service manager, a batch system, a limit on CPU time.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
SECONDS_OF_SILENCE = 10.0  # of storing, until a user is told that it goes on and how to end it
SECONDS_AT_ONCE = 3.0  # for the last words to the store when told to end at once
SECONDS_OF_ECHO = (
    0.25  # within which a second SIGINT is no other: programs that start us hand on what we got, too
)
SECONDS_OF_LOADING = 0.01  # of computing, until it is looked again whether an extension module is loaded
LOADING = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


class Terminated(KeyboardInterrupt):
    """A signal asks the program to end; everything computed is stored on the way out.

    A KeyboardInterrupt, so that `except Exception` lets it pass.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _State:
    """The process's own: the exception may be lost where a library catches everything, this is not."""

    told: int | None = None
    raised: bool = False
    held: int = 0
    last_words: list[Callable[[], object]] = field(default_factory=list)
    begun: bool = False  # whether a run of a store has been open: a command that reads has none


_state = _State()


@contextlib.contextmanager
def plain_endings() -> Iterator[None]:
    """Turn signals into `Terminated`; end with one message and a status instead of a traceback.

    The exit status is 128 + the number of the signal, as a shell counts; 1 after a mistake of the user's; 75
    where all is well but the store lacks metrics of a run.
    What was ignored when the program began stays ignored: `nohup` is respected. SIGQUIT ends at once, and so
    does a SIGINT that follows another signal.
    """
    handlers = {**dict.fromkeys(STOPS, _terminate), signal.SIGQUIT: _leave_to_the_thread}
    taken = [number for number in handlers if signal.getsignal(number) is not signal.SIG_IGN]
    with _hidden_leftovers(), _listening():
        try:
            # Inside of all: until here a signal ends the program as it ends any other one.
            for number in taken:
                signal.signal(number, handlers[number])
            with told_at_the_end():
                yield
            raise_if_told_to_stop()  # it may have been swallowed, and status 0 would be a lie
        except BaseException as error:
            if (status := _tell(error)) is None:
                raise
            sys.exit(status)
        finally:
            # While the interpreter is taken down a signal would end it with a status of its own; should that
            # hang, SIGQUIT still ends it.
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            for number in taken:
                signal.signal(number, signal.SIG_DFL if number == signal.SIGQUIT else signal.SIG_IGN)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C, or the interrupt of a notebook's kernel, end the block as a signal ends a program of ours.

    What was computed is stored, and the program that called goes on. Its own handler is back after the block,
    whatever came. Outside of the main thread nothing is changed: Python gives signals to that one alone.

    Raises:
        KeyboardInterrupt: an interrupt came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state
    before, outer = signal.signal(signal.SIGINT, _terminate), _state
    _state = _State()
    try:
        yield
        raise_if_told_to_stop()  # it may have been swallowed
    except Terminated:
        runs = ": a run that had begun is KILLED, with what it had computed" if _state.begun else ""
        raise KeyboardInterrupt(f"interrupted{runs}") from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGINT, before)
        _state = outer


def raise_if_told_to_stop() -> None:
    """Raise `Terminated` if a signal came: it was held back, or a library has swallowed the exception.

    To be called where work begins or is waited for, never on the way out: it raises every time.
    """
    if _state.told is not None:
        _state.raised = True
        raise Terminated(_state.told)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let no signal be raised in the middle of the block: `raise_if_told_to_stop` does it there, or the end.

    For what must be done whole, such as a message that is half read from a pipe. Python raises signals in the
    main thread alone, so in others this is nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.held += 1
    try:
        yield
    finally:
        _state.held -= 1
    if not (_state.raised or _state.held):
        raise_if_told_to_stop()


@contextlib.contextmanager
def at_once(action: Callable[[], object]) -> Iterator[None]:
    """Do `action`, in a thread, if the program is told to end at once while the block runs.

    For the few words that a store must have even then, of a run that is open: it has three seconds, together
    with all others.
    """
    _state.begun = True
    _state.last_words.append(action)
    try:
        yield
    finally:
        _state.last_words.remove(action)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Raise at the first signal; what follows must not break off what is being stored."""
    if _state.told is None:
        _state.told = number
        _raise_outside_of_loading(number, frame)


def _raise_outside_of_loading(_number: int, frame: FrameType | None) -> None:
    """Raise, or come again while an extension module is loaded, whose C code loses what is raised there."""
    if _state.held or _state.raised:
        return
    while frame is not None and frame.f_code not in LOADING:
        frame = frame.f_back
    if frame is None:
        raise_if_told_to_stop()
    signal.signal(signal.SIGVTALRM, _raise_outside_of_loading)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_OF_LOADING)


def _leave_to_the_thread(number: int, frame: FrameType | None) -> None:
    """Do nothing here: the main thread may be anywhere, and the thread that listens ends the process."""


def _tell(error: BaseException) -> int | None:
    """Say why the program ends and return its status; None for what Python tells by itself."""
    if _state.told is not None:
        name = signal.Signals(_state.told).name
        runs = " A run that had begun is KILLED, with what it had computed." if _state.begun else ""
        _say(f"Stopped by {name}.{runs}")
        # Python 3.11 makes a RuntimeError of what is raised while a class names its attributes
        if not any(isinstance(one, KeyboardInterrupt | SystemExit) for one in (error, error.__cause__)):
            reason = str(error).strip().partition("\n")[0]
            _say(f"On the way out: {type(error).__name__}: {reason}")
        return 128 + _state.told
    if isinstance(error, UserError):
        _say(str(error))
        return error.status
    return None


def _say(message: str) -> None:
    # The terminal may be gone, which must not change how the program ends.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{message}\n")


@contextlib.contextmanager
def _hidden_leftovers() -> Iterator[None]:
    """Print no traceback of a `Terminated` that was raised where Python ignores it, as in `__del__`."""
    before = sys.unraisablehook

    def show(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, Terminated):
            before(unraisable)

    sys.unraisablehook = show
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Let a thread hear every signal as it comes; the main thread does so between two steps of Python."""
    heard, told = socket.socketpair()
    told.setblocking(False)
    threading.Thread(target=_listen, args=(heard,), name="signals", daemon=True).start()
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()


def _listen(heard: socket.socket) -> None:
    """Answer those who send a second signal or wait long after the first; this is the thread."""
    first, answered, came = "", False, 0.0
    with heard:
        while number := _next_signal(heard, SECONDS_OF_SILENCE if first and not answered else None):
            is_interrupted = first and number == signal.SIGINT and time.monotonic() > came + SECONDS_OF_ECHO
            if number == signal.SIGQUIT or is_interrupted:
                _end_at_once(number)
            if number == signal.SIGVTALRM:
                continue  # our own
            if first and not answered:
                answered = True
                what = ": what was computed is being stored" if _state.begun else ""
                _say(f"Stopping, as {first} asked{what}. Ctrl-C (SIGINT) ends at once.")
            elif number in STOPS:
                first, came = first or signal.Signals(number).name, came or time.monotonic()


def _next_signal(heard: socket.socket, seconds: float | None) -> int:
    """Return the next signal, SIGALRM if none came in so many seconds, 0 when no more will come."""
    heard.settimeout(seconds)
    try:
        number = heard.recv(1)
    except TimeoutError:
        return signal.SIGALRM
    return number[0] if number else 0


def _end_at_once(number: int) -> None:
    """End the process; only the last words are waited for, and not long."""
    end = time.monotonic() + SECONDS_AT_ONCE
    said: list[bool] = []

    def say(word: Callable[[], object]) -> None:
        with contextlib.suppress(Exception):
            word()
            said.append(True)

    threads = [threading.Thread(target=say, args=(word,), daemon=True) for word in list(_state.last_words)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    runs = "KILLED" if len(said) == len(threads) else "left RUNNING, for the store did not answer"
    lost = f" A run that had begun is {runs}; what waited to be stored is in its journal." if threads else ""
    _say(f"Ended at once by {signal.Signals(number).name}.{lost}")
    os._exit(128 + number)
