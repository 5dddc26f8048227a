"""Progress of a run or a sweep: a bar on a terminal, plain lines elsewhere."""

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 5.0

__all__ = ["Bar", "Lines", "Reporter", "Silence", "for_terminal"]


class Reporter(Protocol):
    """What the training side says about its progress."""

    def start(self, name: str, number: int, runs: int, epochs: int, steps: int) -> None:
        """Say that run `number` of `runs` begins; it has `steps` updates in `epochs`."""

    def advance(self, epoch: int, steps: int) -> None:
        """Say that an epoch of the present run ended, `steps` updates further."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Bar:
    """A bar with runs, epochs, steps a second and the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task("starting", total=None, epoch=0, epochs=0)

    def start(self, name: str, number: int, runs: int, epochs: int, steps: int) -> None:
        """Show the run; the bar counts the steps of all runs, taken as long as this one."""
        done = self._progress.tasks[self._task].completed  # less than all where an earlier run diverged
        self._progress.update(
            self._task,
            description=f"run {number}/{runs} {name}",
            total=done + (runs - number + 1) * steps,
            epoch=0,
            epochs=epochs,
        )

    def advance(self, epoch: int, steps: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=steps, epoch=epoch)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


class Lines:
    """A line when a run begins, then at most one every five seconds: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name, self._epochs, self._total, self._done = "", 0, 0, 0
        self._begin = self._last = time.monotonic()

    def start(self, name: str, number: int, runs: int, epochs: int, steps: int) -> None:
        """Print which run begins."""
        self._name, self._epochs, self._total, self._done = f"run {number}/{runs} {name}", epochs, steps, 0
        self._begin = self._last = time.monotonic()
        self._print(f"{self._name}: {epochs} epochs, {steps:,} steps")

    def advance(self, epoch: int, steps: int) -> None:
        """Print epochs, speed and time left if the last line is old enough."""
        self._done += steps
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        speed = self._done / (now - self._begin)
        left = (self._total - self._done) / speed
        self._print(
            f"{self._name}: epoch {epoch}/{self._epochs}, {speed:,.0f} steps/s, {left:.0f} s left in this run"
        )

    def close(self) -> None:
        """Nothing to take away."""

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class Silence:
    """Says nothing."""

    def start(self, name: str, number: int, runs: int, epochs: int, steps: int) -> None:
        """Say nothing."""

    def advance(self, epoch: int, steps: int) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Speed(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("- steps/s" if speed is None else f"{speed:,.0f} steps/s")


def for_terminal(console: Console) -> Reporter:
    """Return a bar where the console is a terminal, lines elsewhere."""
    return Bar(console) if console.is_terminal else Lines(console)
