"""Answers which learning-rate schedule to use, and whether the difference is real."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratelab.api import Run, Study, UserError, compare, run, schedule, sweep

__all__ = ["Run", "Study", "UserError", "compare", "run", "schedule", "sweep"]


def __getattr__(name: str) -> Any:
    """Import what is called from Python when it is first asked for: the command line has no use for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("ratelab.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
