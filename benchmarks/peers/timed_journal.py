"""`src/train.py`, which says at its end how many seconds its journal's file took: to write, sync and read."""

import atexit
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratelab.runtime.journal_file import JournalFile

TRAIN = Path(__file__).parents[2] / "src" / "train.py"
taken: list[float] = []


def timed(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same, and notes how long it takes; also in the thread of the feed."""

    def measure(*words: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call(*words, **named)
        finally:
            taken.append(time.perf_counter() - begin)

    return measure


if __name__ == "__main__":
    for name in ("__init__", "append", "read_at", "sync", "close"):
        setattr(JournalFile, name, timed(getattr(JournalFile, name)))
    atexit.register(lambda: print(f"seconds_in_the_journal {sum(taken):.6f}"))
    sys.argv[0] = str(TRAIN)
    runpy.run_path(str(TRAIN), run_name="__main__")
