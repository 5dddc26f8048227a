"""Progress of a run or a sweep: bars on a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 5.0  # a log of an hour stays below a thousand lines

__all__ = ["Bars", "Lines", "Reporter", "Silence", "for_terminal"]


class Reporter(Protocol):
    """What is said about the progress of training.

    `begin` once, then for each stack of runs of a worker `start`, any number of `advance`, and an `end` for
    each of its runs; `close` at last, whatever happened.
    """

    def begin(self, runs: int, steps: int) -> None:
        """Say that `runs` runs come, with `steps` updates in all."""

    def start(self, worker: int, name: str, steps: int) -> None:
        """Say that a worker begins with a run or a stack of runs of `steps` updates in all."""

    def advance(self, worker: int, steps: int) -> None:
        """Say that a worker came `steps` updates further."""

    def end(self, worker: int, missing: int) -> None:
        """Say that a run of a worker ended, `missing` updates early."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Bars:
    """A bar for all runs, with steps a second and the time left; in a sweep, one below it for each worker."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),  # the names of runs hold brackets
            BarColumn(),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            transient=True,  # what is said at the end takes the place of the bars
        )
        self._progress.start()
        self._all = self._progress.add_task("starting", total=None)
        self._workers: dict[int, TaskID] = {}
        self._runs = self._ended = 0

    def begin(self, runs: int, steps: int) -> None:
        """Show how much there is to do."""
        self._runs = runs
        self._progress.update(self._all, total=steps, description=self._describe_runs())

    def start(self, worker: int, name: str, steps: int) -> None:
        """Show what the worker does; a single run has its name at its only bar."""
        if self._runs == 1:
            self._progress.update(self._all, description=name)
            return
        if worker not in self._workers:
            self._workers[worker] = self._progress.add_task("")
        self._progress.reset(self._workers[worker], total=steps, description=f"worker {worker + 1}: {name}")

    def advance(self, worker: int, steps: int) -> None:
        """Move the bars."""
        self._progress.advance(self._all, steps)
        if worker in self._workers:
            self._progress.advance(self._workers[worker], steps)

    def end(self, worker: int, missing: int) -> None:
        """Count the run; what it leaves out will not be waited for."""
        self._ended += 1
        # A run that diverged leaves out updates both of the sweep and of its worker's stack.
        for task in self._progress.tasks:
            if missing and task.id in {self._all, self._workers.get(worker)}:
                self._progress.update(task.id, total=(task.total or 0) - missing)
        if self._runs > 1:
            self._progress.update(self._all, description=self._describe_runs())

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def _describe_runs(self) -> str:
        return f"{self._ended}/{self._runs} runs"


@dataclass
class _Work:
    """Updates to do, those done, and the pace since the first of them: what comes before is no measure."""

    steps: int
    done: int = 0
    first: int = 0
    begin: float = 0.0

    def advance(self, steps: int) -> None:
        # The clock starts when the first updates are done: what they took was mostly imports and compilation.
        if not self.done:
            self.first, self.begin = steps, time.monotonic()
        self.done += steps

    def speed(self) -> float:
        """Return updates a second, 0 where they are not known yet."""
        seconds = time.monotonic() - self.begin
        return (self.done - self.first) / seconds if self.done > self.first and seconds else 0.0

    def seconds_left(self) -> float:
        speed = self.speed()
        return (self.steps - self.done) / speed if speed else 0.0


class Lines:
    """A line at the beginning, then at most one every five seconds: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._runs = self._ended = 0
        self._all = _Work(0)
        self._workers: dict[int, _Work] = {}
        self._last = 0.0

    def begin(self, runs: int, steps: int) -> None:
        """Print how much there is to do."""
        self._runs, self._all = runs, _Work(steps)
        self._last = time.monotonic()
        self._print(f"{runs} run{'s' if runs > 1 else ''}, {steps:,} steps")

    def start(self, worker: int, name: str, steps: int) -> None:
        """Print the name of a single run; note what a worker begins."""
        self._workers[worker] = _Work(steps)
        if self._runs == 1:
            self._print(name)

    def advance(self, worker: int, steps: int) -> None:
        """Print runs, steps, speed and time left if the last line is old enough."""
        self._all.advance(steps)
        self._workers[worker].advance(steps)
        speed = self._all.speed()
        if not speed or time.monotonic() - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        words = [f"{self._ended}/{self._runs} runs"] if self._runs > 1 else []
        words.append(f"{self._all.done:,}/{self._all.steps:,} steps")
        words.append(f"{speed:,.0f} steps/s")
        words.append(f"{self._all.seconds_left():.0f} s left")
        if self._runs > 1:
            # The end of a sweep is the end of its slowest worker, which the mean speed does not tell.
            slowest = max(work.seconds_left() for work in self._workers.values())
            words.append(f"slowest worker {slowest:.0f} s with its stack")
        self._print(", ".join(words))

    def end(self, worker: int, missing: int) -> None:
        """Count the run; what it leaves out will not be waited for."""
        self._ended += 1
        self._all.steps -= missing
        self._workers[worker].steps -= missing

    def close(self) -> None:
        """Do nothing: lines stay."""

    def _print(self, line: str) -> None:
        # As it is: in a file a line must not be broken, and brackets are no markup.
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class Silence:
    """Says nothing."""

    def begin(self, runs: int, steps: int) -> None:
        """Say nothing."""

    def start(self, worker: int, name: str, steps: int) -> None:
        """Say nothing."""

    def advance(self, worker: int, steps: int) -> None:
        """Say nothing."""

    def end(self, worker: int, missing: int) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Speed(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("- steps/s" if speed is None else f"{speed:,.0f} steps/s")


def for_terminal(console: Console) -> Reporter:
    """Return bars where the console is a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)
