"""What could not be kept of runs that go on without it: told once, with what to do."""

import contextlib
import errno
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ratelab.runtime.clipping import clip
from ratelab.tracking.recorded import METRICS
from ratelab.tracking.troubles import StoreError

if TYPE_CHECKING:
    from ratelab.tracking.interface import Run

_REASON_LENGTH = 300


class Losses:
    """Prints a warning for the first loss of each kind, and at the end how many more there were."""

    def __init__(self) -> None:
        self._runs: dict[str, set[str]] = {}  # names, by what could not be kept of them

    def add(self, what: str, name: str, error: Exception) -> None:
        """Tell of one.

        Args:
            what: could not be kept.
            name: of the run.
            error: why.
        """
        is_known = what in self._runs
        self._runs.setdefault(what, set()).add(name)
        if is_known:
            return
        reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        if not isinstance(error, OSError | ValueError):
            reason = f"{type(error).__name__}: {reason}"
        words = [
            f"warning: {name}: {what} could not be kept: {clip(reason, _REASON_LENGTH)}.",
            _advice(what, error),
            "The run goes on without it.",
        ]
        sys.stderr.write(" ".join(word for word in words if word) + "\n")

    def close(self) -> None:
        """Say how many more there were of each kind."""
        for what, names in self._runs.items():
            if len(names) > 1:
                others = "another run" if len(names) == 2 else f"{len(names) - 1} other runs"
                sys.stderr.write(f"warning: {what} could not be kept of {others}.\n")
        self._runs.clear()


def _advice(what: str, error: Exception) -> str:
    """Return what to do, where the error does not say it."""
    if isinstance(error, OSError):
        # a write to a full disk does not say which: artifacts are put together in TMPDIR, then copied
        where = "there" if error.filename else "on its disk, or set TMPDIR to a folder with room"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"Make room {where}."
        return "See that the folder is there and that you may write in it; TMPDIR names the one for a moment."
    if what == METRICS:
        return "They are in its journal, and the store is given them another time."
    if what == "the model" and not isinstance(error, StoreError):
        return "Give it what Keras needs to save it (get_config), or set tracking.log_model=false."
    return ""


@contextlib.contextmanager
def warn_of_loss(run: "Run", what: str) -> Iterator[None]:
    """Let a run go on without what the block would keep, with a warning: it has trained all the same."""
    try:
        yield
    except Exception as error:
        run.warn(what, error)
