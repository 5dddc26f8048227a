"""Training in a thread of its own, so that the main thread records meanwhile and hears signals at once."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ratelab.runtime.signals import raise_if_told_to_stop

T = TypeVar("T")

# Seconds that a caller who stops early waits for the item in the making. A thread cannot be ended from
# outside, and a compilation may take minutes: then it is left to end with the process, as daemons do.
PATIENCE = 2.0
LOOK_AROUND = 0.5  # seconds between two looks for a signal


@contextlib.contextmanager
def prefetch(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Let a thread make `items`, at most `depth` more than were taken; the block takes them in order.

    The compiled loop leaves Python's lock alone, so what the main thread does meanwhile is free; and it stays
    free for signals even while one item takes minutes. What the thread raises is raised where the items are
    taken, after those that it made before. At the end of the block the thread stops after the item that it is
    making.

    Args:
        items: iterated by the thread alone.
        depth: >= 1.

    >>> with prefetch(range(3), depth=1) as numbers:
    ...     list(numbers)
    [0, 1, 2]
    """
    # The queue is bounded: a store that is slower than training must not let the memory grow.
    made: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | _End) -> None:
        # A put without a timeout would wait for ever once nobody takes items any more.
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                made.put(item, timeout=0.1)
                break

    def make() -> None:
        error = None
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as raised:  # whatever it is: the caller would wait for ever for a silent thread
            error = raised
        put(_End(error))

    thread = threading.Thread(target=make, name="training", daemon=True)
    thread.start()
    try:
        yield _take(made)
    finally:
        stopped.set()
        thread.join(PATIENCE)


@dataclass(frozen=True)
class _End:
    """Nothing more comes; `error` is what ended it early, if anything."""

    error: BaseException | None


def _take(made: "queue.Queue[T | _End]") -> Iterator[T]:
    """Yield what was made, as it comes, to the end; raise what ended it early, or a signal that was lost."""
    while True:
        raise_if_told_to_stop()
        try:
            item = made.get(timeout=LOOK_AROUND)
        except queue.Empty:
            continue
        if isinstance(item, _End):
            break
        yield item
    if item.error is not None:
        raise item.error
