"""What the runs of one program share: the tracker, the parent run of a sweep, the progress, the results."""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from ratelab.comparison import Result, Study, study
from ratelab.config import Config
from ratelab.report import make_report, print_study
from ratelab.runtime import provenance
from ratelab.runtime.progress import Reporter, Silence, for_terminal
from ratelab.runtime.quick_imports import quick_imports
from ratelab.tracking import NullTracker, Run, Tracker, open_tracker

__all__ = ["Plan", "Session", "awaited", "awaiting", "print_links"]

Awaited = Callable[[int], Result]
_awaited: Awaited | None = None


@dataclass(frozen=True)
class Plan:
    """What a session is to do.

    Attributes:
        jobs: how many runs will come; None: that is not known yet.
        varied: the override keys whose values differ between the jobs.
        sweep_id: names the sweep in MLflow; None for a single run.
        folder: of the jobs of a sweep.
        directory: what relative paths start from.
    """

    directory: Path
    jobs: int | None = 1
    varied: frozenset[str] = frozenset()
    sweep_id: str | None = None
    folder: Path | None = None


class Session:
    """Opened at the first run, closed after the last; use it as a context manager.

    Attributes:
        plan: what it is to do.
        console: where results go.
        tracker: the store; keeps nothing until the session is open.
        progress: says nothing until the session begins.
        parent: the run of the sweep as a whole, if there is one.
        results: of the runs that ended.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.console = plan, Console()
        self.tracker: Tracker = NullTracker()
        self.progress: Reporter = Silence()
        self.parent: Run | None = None
        self.results: list[Result] = []
        self._opened = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begin(self, runs: int, steps: int) -> None:
        """Show the progress of `runs` runs with `steps` updates in all."""
        self.progress.close()
        self.progress = for_terminal(self.console)
        self._stack.callback(self.progress.close)
        self.progress.begin(runs, steps)

    def open(self, config: Config) -> None:
        """Open store and parent run, at the first call."""
        if self._opened:
            return
        self._opened = True
        with quick_imports():
            tracker = open_tracker(config.tracking.uri, config.tracking.experiment, self.plan.directory)
        self._stack.enter_context(tracker)
        self.tracker = tracker
        if self.plan.sweep_id is not None:
            self.parent = self._stack.enter_context(self._open_parent(self.plan.sweep_id))

    @property
    def parent_id(self) -> str | None:
        """The id of the sweep's run."""
        return None if self.parent is None else self.parent.id

    def fail_parent(self, error: Exception) -> None:
        """Mark the sweep as failed while it goes on."""
        if self.parent is not None:
            self.parent.fail(str(error), "".join(traceback.format_exception(error)))

    def finish(self) -> None:
        """Print what the results of a sweep say, and where MLflow shows this comparison."""
        self.progress.close()
        found = study(self.results) if self.plan.sweep_id is not None and self.results else None
        if found is not None:
            print_study(self.console, found)
        run_ids = [result.run_id for result in self.results if result.run_id]
        print_links(self.console, self.tracker.links(run_ids, self.plan.sweep_id))
        if found is not None:
            self._report(found)

    def _report(self, found: Study) -> None:
        """Keep the report beside the jobs and with the parent run; a sweep does not fail because of it."""
        if self.plan.folder is None or self.plan.sweep_id is None or self.parent is None:
            return
        path = self.plan.folder.absolute() / "report.html"
        try:
            runs = self.tracker.recorded(self.plan.sweep_id)
            if runs is None:
                return
            make_report(found, runs, self.tracker.uri, path)
            self.parent.artifact(path)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self.console.print(f"warning: no report was made: {reason}", highlight=False, markup=False)
        else:
            self.console.print(f"report: {path}", highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def _open_parent(self, sweep_id: str) -> Iterator[Run]:
        tags = {"sweep_id": sweep_id, "kind": "sweep", **provenance.collect().tags}
        params: dict[str, Any] = {"varied": ", ".join(sorted(self.plan.varied))}
        if self.plan.jobs is not None:
            params["jobs"] = self.plan.jobs
        with self.tracker.run(f"sweep {sweep_id}", params=params, tags=tags) as parent:
            yield parent


def awaited() -> Awaited | None:
    """Return what gives the result of a job of the sweep that runs in this process, if one does."""
    return _awaited


@contextlib.contextmanager
def awaiting(results: Awaited) -> Iterator[None]:
    """Let the jobs inside the block get their results, by their numbers, from `results`."""
    global _awaited
    _awaited = results
    try:
        yield
    finally:
        _awaited = None


def print_links(console: Console, lines: list[str]) -> None:
    """Print what `Tracker.links` returned."""
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
