"""What was probably meant by an option that a config group does not have."""

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import MissingConfigException

__all__ = ["suggest_at_exit", "suggest_option"]


def suggest_option(error: BaseException | None) -> str:
    """Return the nearest option as a question; empty if there is none, or the error is another one.

    >>> suggest_option(MissingConfigException("", "schedule/exponental", ["cosine", "exponential"]))
    'Did you mean schedule=exponential?'
    """
    if not isinstance(error, MissingConfigException) or error.missing_cfg_file is None:
        return ""
    group, _, option = error.missing_cfg_file.rpartition("/")
    near = difflib.get_close_matches(option, error.options or [], n=1)
    return f"Did you mean {group}={near[0]}?" if near else ""


@contextmanager
def suggest_at_exit() -> Iterator[None]:
    """Add the question to what Hydra prints when it ends the program for an option that does not exist."""
    try:
        yield
    except SystemExit as end:
        # Hydra has printed the error and passes only its status on; what it was handling is kept by Python
        if question := suggest_option(end.__context__):
            sys.stderr.write(f"{question}\n")
        raise
