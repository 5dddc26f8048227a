"""Progress in a notebook: one bar in the output of the cell, which stays there with the time that it took."""

import sys
import time
from collections.abc import Hashable, Sequence
from typing import Any

from ratelab.runtime.pace import Epoch, Pace
from ratelab.runtime.progress import write_seconds, write_speed

SECONDS_BETWEEN_LOOKS = 0.25


def is_notebook() -> bool:
    """Say whether this is the kernel of a notebook, or of another front end that shows HTML."""
    # IPython has been imported wherever it runs; where it has not, nobody waits for it.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A bar for all runs, with steps a second and the time left; a `Reporter`."""

    def __init__(self) -> None:
        self._pace = Pace([])
        self._begin = self._shown = time.monotonic()
        self._handle: Any = None

    def begin(self, runs: Sequence[tuple[Hashable, int]]) -> None:
        """Show how much there is to do."""
        from IPython.display import display

        self._pace = Pace(runs)
        self._handle = display(self._draw("starting"), display_id=True)

    def start(self, worker: int, name: str, kind: Hashable, steps: int) -> None:  # noqa: ARG002 - a Reporter
        """Note what a worker begins."""
        self._pace.start(worker, kind, steps)
        self._show()

    def advance(self, worker: int, epoch: Epoch, look: str) -> None:  # noqa: ARG002 - a Reporter
        """Move the bar."""
        self._pace.advance(worker, epoch)
        self._show()

    def end(self, worker: int, missing: int) -> None:
        """Count the run; what it leaves out will not be waited for."""
        self._pace.end(worker, missing)
        self._show()

    def close(self) -> None:
        """Leave how many runs ended, and how long that took."""
        if self._handle is not None:
            self._handle.update(self._draw(write_seconds(time.monotonic() - self._begin)))

    def _show(self) -> None:
        """Show how far training is, unless that was shown just now: each picture is a message to the page."""
        now = time.monotonic()
        if now - self._shown < SECONDS_BETWEEN_LOOKS:
            return
        self._shown = now
        left = self._pace.seconds_left()
        words = ["compiling" if self._pace.speed() is None else write_speed(self._pace.speed())]
        if left is not None:
            words.append(f"{write_seconds(left)} left")
        self._handle.update(self._draw(", ".join(words)))

    def _draw(self, words: str) -> Any:
        from IPython.display import HTML

        pace = self._pace
        runs = f"{pace.ended} of {pace.runs} runs, " if pace.runs > 1 else ""
        text = f"{runs}{pace.done:,} of {pace.steps:,} steps, {words}"
        bar = f'<progress value="{pace.done}" max="{max(pace.steps, 1)}" aria-label="training"></progress>'
        return HTML(f"<div>{bar} {text}</div>")
