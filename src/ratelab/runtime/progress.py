"""Progress of a run or a sweep: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from ratelab.runtime.pace import Epoch, Pace

SECONDS_BETWEEN_LINES = 5.0  # a log of an hour stays below a thousand lines


class Reporter(Protocol):
    """What is said about the progress of training.

    `begin` once, then for each stack of runs of a worker `start`, any number of `advance`, and an `end` for
    each of its runs; `close` at last, whatever happened.
    """

    def begin(self, runs: Sequence[tuple[Hashable, int]]) -> None:
        """Say what comes: of each run its kind, equal where runs cost the same, and its updates."""

    def start(self, worker: int, name: str, kind: Hashable, steps: int) -> None:
        """Say that a worker begins with a run or a stack of runs of one kind, `steps` updates in all."""

    def advance(self, worker: int, epoch: Epoch, look: str) -> None:
        """Say that a run of a worker came an epoch further, and what it is like now, in a word or two."""

    def end(self, worker: int, missing: int) -> None:
        """Say that a run of a worker ended, `missing` updates early."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Bars:
    """A bar for all runs, with steps a second and the time left; in a sweep, one below it for each worker."""

    def __init__(self, console: Console) -> None:
        # Numbers have their width; names and bars share the rest, where names are cut at their end.
        name = Column(ratio=2, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=name),  # names hold brackets
            BarColumn(None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[look]}", justify="right", markup=False),
            TextColumn("{task.fields[speed]}", justify="right"),
            _TimeLeft(),
            console=console,
            expand=True,
            transient=True,  # what is said at the end takes the place of the bars
        )
        self._progress.start()
        self._pace = Pace([])
        self._all = self._progress.add_task("", total=None, speed="starting", look="", end=None)
        self._workers: dict[int, TaskID] = {}

    def begin(self, runs: Sequence[tuple[Hashable, int]]) -> None:
        """Show how much there is to do."""
        self._pace = Pace(runs)
        self._progress.update(self._all, total=self._pace.steps, description=self._describe_runs())

    def start(self, worker: int, name: str, kind: Hashable, steps: int) -> None:
        """Show what the worker does; a single run has its name at its only bar."""
        self._pace.start(worker, kind, steps)
        self._progress.update(self._all, **self._describe_pace())
        if self._pace.runs == 1:
            self._progress.update(self._all, description=name)
            return
        fields = {"look": "", **self._describe_pace(worker)}
        if worker not in self._workers:
            self._workers[worker] = self._progress.add_task("", **fields)
        words = f"{worker + 1}: {name}"
        self._progress.reset(self._workers[worker], total=steps, description=words, **fields)

    def advance(self, worker: int, epoch: Epoch, look: str) -> None:
        """Move the bars."""
        self._pace.advance(worker, epoch)
        self._move(worker, advance=len(epoch.train_loss))
        # In a sweep at the bar of its worker: those of many runs make no number for all.
        self._progress.update(self._workers.get(worker, self._all), look=look)

    def end(self, worker: int, missing: int) -> None:
        """Count the run; what it leaves out will not be waited for."""
        self._pace.end(worker, missing)
        # A run that diverged leaves out updates both of the sweep and of its worker's stack.
        for task in self._progress.tasks:
            if missing and task.id in {self._all, self._workers.get(worker)}:
                self._progress.update(task.id, total=(task.total or 0) - missing)
        self._move(worker, advance=0)
        if self._pace.runs > 1:
            self._progress.update(self._all, description=self._describe_runs())

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def _describe_runs(self) -> str:
        return f"{self._pace.ended}/{self._pace.runs} runs"

    def _move(self, worker: int, advance: int) -> None:
        """Move the bars of all and of the worker; show how fast they are and when they will be through."""
        self._progress.update(self._all, advance=advance, **self._describe_pace())
        if worker in self._workers:
            self._progress.update(self._workers[worker], advance=advance, **self._describe_pace(worker))

    def _describe_pace(self, worker: int | None = None) -> dict[str, Any]:
        """Return the fields of a bar: the speed in words, and when its end is to be expected.

        A moment and not a duration, so that it runs down between two epochs, which may take minutes.
        """
        pace = self._pace
        left = pace.seconds_left(worker)
        words = "compiling" if pace.is_compiling(worker) else write_speed(pace.speed(worker))
        return {"speed": words, "end": None if left is None else time.monotonic() + left}


class Lines:
    """A line at the beginning, then at most one every five seconds: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pace = Pace([])
        self._last = 0.0

    def begin(self, runs: Sequence[tuple[Hashable, int]]) -> None:
        """Print how much there is to do, and that nothing will be heard for a while."""
        self._pace = Pace(runs)
        self._last = time.monotonic()
        number = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
        self._print(f"{number}, {self._pace.steps:,} steps; compiling first")

    def start(self, worker: int, name: str, kind: Hashable, steps: int) -> None:
        """Print the name of a single run; note what a worker begins."""
        self._pace.start(worker, kind, steps)
        if self._pace.runs == 1:
            self._print(name)

    def advance(self, worker: int, epoch: Epoch, look: str) -> None:
        """Print runs, steps, the look, speed and time left if the last line is old enough."""
        self._pace.advance(worker, epoch)
        if time.monotonic() - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        self._print(", ".join([*self._describe_work(), look, *self._describe_pace()]))

    def end(self, worker: int, missing: int) -> None:
        """Count the run; what it leaves out will not be waited for."""
        self._pace.end(worker, missing)

    def close(self) -> None:
        """Do nothing: lines stay."""

    def _describe_work(self) -> list[str]:
        pace = self._pace
        steps = f"{pace.done:,}/{pace.steps:,} steps"
        return [f"{pace.ended}/{pace.runs} runs", steps] if pace.runs > 1 else [steps]

    def _describe_pace(self) -> list[str]:
        pace = self._pace
        speed, left = pace.speed(), pace.seconds_left()
        words = [] if speed is None else [write_speed(speed)]
        if left is not None:
            words.append(f"{write_seconds(left)} left")
        elif pace.unmeasured and pace.kinds > 1:
            words.append(
                f"time left not known: {pace.unmeasured} of {pace.kinds} kinds of run not measured yet"
            )
        return words

    def _print(self, line: str) -> None:
        # As it is: in a file a line must not be broken, and brackets are no markup.
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class _TimeLeft(ProgressColumn):
    """The time until the moment in the field `end`."""

    def render(self, task: Task) -> Text:
        end = task.fields["end"]
        left = None if end is None else max(0, round(end - time.monotonic()))
        return Text("-:--:--" if left is None else str(timedelta(seconds=left)))


def write_speed(speed: float | None) -> str:
    """Return a number of updates a second in words; None where it is not known yet."""
    return "- steps/s" if speed is None else f"{speed:,.0f} steps/s"


def write_seconds(seconds: float) -> str:
    """Return a duration in its largest unit of which there are two at least.

    >>> write_seconds(0.2), write_seconds(119.6), write_seconds(5_000), write_seconds(40_032)
    ('0 s', '2 min', '83 min', '11 h')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if round(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def for_terminal(console: Console) -> Reporter:
    """Return bars where the console is a terminal, lines elsewhere."""
    return Bars(console) if console.is_terminal else Lines(console)
