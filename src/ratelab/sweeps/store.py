"""The store of a sweep while that runs: the way to it, the sweep's own run, the thread that feeds it."""

import contextlib
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ratelab.comparison import Result
from ratelab.runs import description
from ratelab.runs.feed import Feed
from ratelab.runs.journal import Journal
from ratelab.runs.planned import PlannedRun
from ratelab.runs.storing import Storing
from ratelab.runtime import lost_metrics, provenance
from ratelab.runtime.program_identity import this_program
from ratelab.runtime.signals import held_back
from ratelab.tracking import Run, StoreError, Tracker, open_tracker
from ratelab.tracking.recorded import PROGRAM
from ratelab.tracking.uris import is_served

_SERVER_ROWS = (2_000, 7_000)  # a second, that servers of MLflow were seen to take, whatever is done
_TOLD = 1.0  # minutes; of less nothing is said


@dataclass(frozen=True)
class SweepRun:
    """What the run of a sweep as a whole says about itself.

    Attributes:
        sweep_id: of the sweep.
        name: what people see.
        params: of that run.
        failures: reason and traceback of what has failed in the sweep, which it is told at its end.
    """

    sweep_id: str
    name: str
    params: Mapping[str, Any]
    failures: list[tuple[str, str]] = field(default_factory=list)

    def note_failure(self, error: Exception) -> None:
        """Let the sweep be marked as failed at its end."""
        self.failures.append((str(error), "".join(traceback.format_exception(error))))


@dataclass(frozen=True)
class SweepStore:
    """The store of a sweep, as `open_store` has opened it.

    Attributes:
        tracker: of the store.
        parent: the run of the sweep as a whole.
        feed: gives the store what the journal has of the runs.
    """

    tracker: Tracker
    parent: Run
    feed: Feed

    def complete(self, number: int, result: Result) -> Result:
        """Return the result of a run with what the store has of it."""
        run_id = self.feed.id_of(number) or result.run_id
        return replace(result, run_id=run_id, lacks_metrics=self.feed.lacks(number))


def describe_wait(runs: Sequence[PlannedRun]) -> list[str]:
    """Return what to say of runs whose rows take a tracking server minutes; nothing of others."""
    uri = runs[0].config.tracking.uri
    rows = sum(_count_rows(run) for run in runs)
    longest, shortest = (rows / pace / 60 for pace in _SERVER_ROWS)
    if uri is None or not is_served(uri) or longest < _TOLD:
        return []
    return [
        f"{rows:,} rows, for which a tracking server takes {shortest:.1f} to {longest:.1f} minutes. It is "
        "waited for as long as training takes; `ratelab sync` gives it the rest.",
        "Faster: tracking.learning_rate_every=100 (steps.parquet has every step all the same), or the "
        "database of the server as tracking.uri.",
    ]


def _count_rows(run: PlannedRun) -> int:
    """Return how many rows its rates and losses have, which are nearly all of a run."""
    tracking = run.config.tracking
    return run.steps // tracking.learning_rate_every + run.steps // tracking.train_loss_every


def open_store(stack: contextlib.ExitStack, own: SweepRun, journal: Journal, first: PlannedRun) -> SweepStore:
    """Open store and parent run.

    Args:
        stack: closes them.
        own: the parent run.
        journal: of the sweep.
        first: of its runs; all of them have one store.

    Raises:
        Exception: it cannot be opened.
    """
    tracking = first.config.tracking
    tracker = stack.enter_context(open_tracker(tracking.uri, tracking.experiment, first.directory))
    opened = _open_parent(own, tracker, journal, first)
    with held_back():
        parent = stack.enter_context(opened)
    storing = Storing(tracker, journal, parent.id)
    feed = stack.enter_context(Feed(storing, tracker, journal.path.parent))
    return SweepStore(tracker, parent, feed)


@contextlib.contextmanager
def _open_parent(own: SweepRun, tracker: Tracker, journal: Journal, first: PlannedRun) -> Iterator[Run]:
    """Open the run of the sweep as a whole for the block; that it cannot be ended is a warning."""
    program = this_program(journal.path).write()
    tags = {"sweep_id": own.sweep_id, "kind": "sweep", PROGRAM: program, **provenance.collect().tags}
    journal.note_sweep(description.store_of(first), own.name, own.params, tags)
    with contextlib.ExitStack() as stack:
        parent = stack.enter_context(
            tracker.run(
                own.name,
                params=own.params,
                tags=tags,
                key=journal.key(),
                is_resumed=journal.is_resumed,
            )
        )
        try:
            yield parent
        finally:
            for reason, trace in own.failures:
                parent.fail(reason, trace)
        try:
            stack.close()
        except StoreError as error:
            sys.stderr.write(f"warning: {error}\n")
            lost_metrics.note_run(parent.id, True, journal.path.parent)
        else:
            if not tracker.is_lost:  # else it may not even have been asked
                journal.note_sweep_stored()
