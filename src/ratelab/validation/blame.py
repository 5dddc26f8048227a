"""Whatever a function of the user's raises becomes one message: who, what, and where in his file."""

import contextlib
import math
import re
import signal
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from ratelab.validation import UserError

LONGEST = 200  # characters of what an error says: Keras' own go on for a page
TOO_LARGE = re.compile(r"OOM when allocating tensor with shape ?\[([\d,]+)\] and type (\w+)")
SIZES = {"double": 8, "int64": 8, "half": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1}  # else 4 bytes
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Keras writes in them
# Where no code of the user's lies: Python's own modules and ours.
OTHERS = (sysconfig.get_path("stdlib"), str(Path(__file__).parents[1]))
INSTALLED = {"site-packages", "dist-packages"}


@contextlib.contextmanager
def blame(what: str, kind: type[UserError] = UserError) -> Iterator[None]:
    """Turn whatever a user's function raises in the block into one message: who, what, and where in his file.

    Exits and warnings that are errors count as well; a UserError and a signal pass.

    Args:
        what: the function and what it was given.
        kind: of the error that is raised.

    >>> with blame("halve(steps=0)"):
    ...     1 / 0
    Traceback (most recent call last):
    ratelab.validation.UserError: halve(steps=0) raised ZeroDivisionError: division by zero
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if _is_signal(error):
            raise
        raise kind(f"{what} raised {_words_of(error)}{_place_of(error)}") from error


def _is_signal(error: BaseException) -> bool:
    """Say whether an exception came from outside: a signal, not the function that was just running."""
    if type(error) is not KeyboardInterrupt:
        return isinstance(error, KeyboardInterrupt)  # of another kind: raised by a handler of the program's
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _words_of(error: BaseException) -> str:
    """Return the kind of an error and what it says, in one line."""
    try:
        text = " ".join(COLOURS.sub("", str(error)).split())
    except Exception:  # it is the user's, too
        text = ""
    if asked := TOO_LARGE.search(text):  # TensorFlow's own words name an operation of its inside
        sides, kind = [int(side) for side in asked[1].split(",")], asked[2]
        needed = math.prod(sides) * SIZES.get(kind, 4) / 2**30
        text = f"an array of {sides}, {kind}, needs {needed:,.0f} GiB, more than there is"
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame in code of the user's; "" if there is none."""
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in places if _is_users(file)]
    if not own:
        return ""
    file, line = own[-1]
    path = Path(file)
    return f" ({path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line})"


def _is_users(file: str) -> bool:
    return not (file.startswith(("<", *OTHERS)) or INSTALLED & set(Path(file).parts))
