"""How a run or a sweep is shown while it goes on and at its end: in the terminal, unless told otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.text import Text

from ratelab.comparison import Result, Study
from ratelab.runtime.progress import Reporter, for_terminal
from ratelab.training import Chunk


@dataclass(frozen=True)
class Places:
    """Where a run or a sweep is recorded.

    Attributes:
        uri: of the store; empty where nothing is tracked.
        sweep_id: None for a single run.
        ways: links, paths and commands that lead there, one a line.
    """

    uri: str
    sweep_id: str | None
    ways: Sequence[str | Text]


class Display(Protocol):
    """What shows a run or a sweep; the function under `@hydra.main` may carry one as its attribute `display`.

    That function is all that Hydra hands from the program to its launchers and sweepers.
    """

    def begin(self) -> Reporter:
        """Return what is told how far training is."""

    def keep_chunk(self, chunk: Chunk) -> None:
        """Take an epoch of a single run; a sweep has too many."""

    def compare(self, results: Sequence[Result]) -> Study | None:
        """Compare the runs that ended; return what they say, None where they cannot be compared."""

    def show_result(self, line: str) -> None:
        """Show what a run gave, in a line."""

    def show_places(self, places: Places) -> None:
        """Show where what was recorded can be seen."""

    def show_report(self, path: Path) -> None:
        """Show where the report of a sweep lies."""

    def say(self, *lines: str) -> None:
        """Say what was asked for, or must be known."""


class Terminal:
    """Prints everything to standard output."""

    def __init__(self) -> None:
        self._console = Console()

    def begin(self) -> Reporter:
        """Return bars, or lines where standard output is no terminal."""
        return for_terminal(self._console)

    def keep_chunk(self, chunk: Chunk) -> None:
        """Do nothing: the bar shows it."""

    def compare(self, results: Sequence[Result]) -> Study | None:
        """Print the tables and the verdicts."""
        from ratelab.report import print_results  # no sweep waits for it before its first line

        return print_results(self._console, results)

    def show_result(self, line: str) -> None:
        """Print it."""
        self.say(line)

    def show_places(self, places: Places) -> None:
        """Print the ways as they are: links and paths must not be broken."""
        for line in places.ways:
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def show_report(self, path: Path) -> None:
        """Print it."""
        self.say(f"report: {path}")

    def say(self, *lines: str) -> None:
        """Print them."""
        self._console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
