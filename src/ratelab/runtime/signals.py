"""How the program ends when it is told to stop, or when the user made a mistake."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from ratelab.validation import UserError

__all__ = ["Terminated", "plain_endings", "raise_if_told_to_stop"]

# Kept for the whole process: the exception may be lost where a library catches everything, the number is not.
_told: int | None = None


class Terminated(KeyboardInterrupt):
    """A signal asks the program to end; everything computed is stored on the way out.

    A KeyboardInterrupt, so that `except Exception` lets it pass.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def plain_endings() -> Iterator[None]:
    """Turn signals into `Terminated`; end with one message and a status instead of a traceback.

    The exit status is 128 + the number of the signal, as a shell counts; 1 after a mistake of the user's.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        yield
    except Terminated as stop:
        sys.stderr.write(f"Stopped by {stop}. A run that had begun is KILLED, with what it had computed.\n")
        sys.exit(128 + stop.number)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def raise_if_told_to_stop() -> None:
    """Raise `Terminated` again if a signal came: a library may have swallowed the exception."""
    if _told is not None:
        raise Terminated(_told)


def _terminate(number: int, _frame: FrameType | None) -> None:
    global _told
    _told = number
    raise Terminated(number)
