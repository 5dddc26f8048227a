"""What a call from Python shows while it goes on, and what it keeps for its answer."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ratelab import comparison
from ratelab.comparison import Result
from ratelab.runs.display import Places
from ratelab.runtime.notebook_bar import NotebookBar, is_notebook
from ratelab.runtime.progress import Reporter, for_terminal
from ratelab.training import Chunk
from ratelab.validation import UserError


class Kept:
    """Shows a bar, prints only what must be known, keeps all else.

    Args:
        many: whether it is a sweep.

    Attributes:
        result: of a single run that ended.
        study: the comparison of the runs; None before it, and where there is none.
        lack: why there is none.
        chunks: of a single run, every epoch.
        places: where it is recorded; None before that is known.
        report: of a sweep, the file.
    """

    def __init__(self, *, many: bool) -> None:
        self._many = many
        self.result: Result | None = None
        self.study: comparison.Study | None = None
        self.lack = UserError("no run gave a value that counts: there is nothing to compare.")
        self.chunks: list[Chunk] = []
        self.places: Places | None = None
        self.report: Path | None = None

    @property
    def has_answer(self) -> bool:
        """Whether a run gave a value."""
        results = [self.result] if self.study is None else self.study.results
        return any(result is not None and result.is_outcome for result in results)

    def begin(self) -> Reporter:
        """Return a bar, in a notebook as well; lines on standard error where there is no place for one."""
        return NotebookBar() if is_notebook() else for_terminal(Console(stderr=True))

    def keep_chunk(self, chunk: Chunk) -> None:
        """Keep it, but for those of a sweep, which are too many."""
        if not self._many:
            self.chunks.append(chunk)

    def compare(self, results: Sequence[Result]) -> comparison.Study | None:
        """Compare, and keep what was found."""
        try:
            self.study = comparison.study(results)
        except UserError as error:  # that the runs were made is no mistake
            self.lack = error
        return self.study

    def show_result(self, line: str) -> None:
        """Leave it to the answer."""

    def show_places(self, places: Places) -> None:
        """Keep them."""
        self.places = places

    def show_report(self, path: Path) -> None:
        """Keep it."""
        self.report = path

    def say(self, *lines: str) -> None:
        """Print what must be known, or was asked for."""
        sys.stdout.write("".join(f"{line}\n" for line in lines))
