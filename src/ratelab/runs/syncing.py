"""Giving a store what a journal has and it lacks, whenever and as often as one likes; nothing is trained."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ratelab.runs.description import Description, write_members
from ratelab.runs.journal import Journal, RunJournal
from ratelab.runs.past import Past, PastRun
from ratelab.runs.stored import StoredRun
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import Diverged, StoreError, Tracker, open_tracker, prepare_store
from ratelab.tracking.recorded import ENDED_BY, PROGRAM


@dataclass(frozen=True)
class Synced:
    """What a store was given.

    Attributes:
        uri: of the store; "" if nothing was to be given, or nothing is tracked.
        runs: how many runs it was given, whole.
        steps: how many updates these have.
        lacking: how many others it was given, and has not taken all of them.
    """

    uri: str = ""
    runs: int = 0
    steps: int = 0
    lacking: int = 0


def lacking(past: Past) -> list[int]:
    """Return the numbers of the runs of which the store may lack something."""
    return [number for number, run in past.runs.items() if run.begun is not None and not run.is_stored]


def sync(folder: Path, past: Past, uri: str | None = None) -> Synced:
    """Give the store all that the journal in a folder has of runs of which it may lack something.

    What the store has already stays as it is, and comes a second time nowhere. A run that has not been
    trained to its end becomes KILLED, or FAILED if it was that; it may go on later.

    Args:
        folder: of the run or sweep.
        past: what its journal holds.
        uri: of the store; None: as the journal has it, without a password.

    Raises:
        UserError: a living program writes the journal, or the store cannot be opened.
    """
    if not lacking(past):
        return Synced()
    with contextlib.closing(Journal(folder, past.program, is_resumed=True)) as journal:
        runs = [journal.of(number) for number in lacking(journal.past)]
        store = _store_of(journal.past)
        directory = Path(store["directory"])
        ready = prepare_store(uri or store["uri"] or None, directory, store["experiment"])
        with (
            open_tracker(ready, store["experiment"], directory) as tracker,
            _open_sweep(tracker, journal) as parent_id,
        ):
            whole = [run for run in runs if _give(tracker, run, parent_id)]
    return Synced(ready, len(whole), sum(run.steps for run in whole), len(runs) - len(whole))


def _store_of(past: Past) -> Mapping[str, str]:
    """Return where the runs are recorded: all of a program have one store."""
    store: Mapping[str, str] = next(run.begun["store"] for run in past.runs.values() if run.begun)
    return store


@contextlib.contextmanager
def _open_sweep(tracker: Tracker, journal: Journal) -> Iterator[str | None]:
    """Open the run of the sweep as a whole for the block, which gets its id; it ends as its runs have."""
    past = journal.past
    if past.sweep is None:
        yield None
        return
    opened = tracker.run(
        past.sweep["name"],
        params=past.sweep["params"],
        tags={**past.sweep["tags"], PROGRAM: this_program(journal.path).write()},
        key=journal.key(),
        is_resumed=True,
    )
    with contextlib.suppress(_LeftError), opened as parent:
        yield parent.id
        left = [run for run in past.runs.values() if run.ended is None]
        for run in left:
            if run.stopped is not None and run.stopped["status"] == "FAILED":
                parent.fail(run.stopped["reason"], run.stopped["traceback"])
                return
        if left:
            raise _LeftError


class _LeftError(KeyboardInterrupt):
    """Ends a run as KILLED: something of it is left to train."""


def _give(tracker: Tracker, journal: RunJournal, parent_id: str | None) -> bool:
    """Give the store all of one run; say whether it has taken all."""
    past = journal.past
    assert past is not None  # noqa: S101 - it has begun
    described = _describe(past, journal.path)
    try:
        stored = StoredRun(tracker, described, journal.key, parent_id, is_resumed=True)
    except StoreError as error:
        sys.stderr.write(f"warning: {described.name}: {error}\n")
        return False
    try:
        for chunk in journal.chunks():
            stored.add(chunk)
        if past.ended is None and past.stopped is None:
            stored.tag(ENDED_BY, "the program that recorded it died")
        _end(stored, past)
    except BaseException as error:
        stored.close(error)
        if isinstance(error, StoreError):
            sys.stderr.write(f"warning: {described.name}: {error}\n")
            return False
        if not isinstance(error, _LeftError | Diverged):
            raise
    if stored.lacks_metrics:
        return False
    journal.note_stored()
    return True


def _describe(past: PastRun, journal: Path) -> Description:
    """Return what a run says about itself, but that this program records it now."""
    begun = past.begun
    assert begun is not None  # noqa: S101 - only such ones are given
    tags = {**begun["tags"], PROGRAM: this_program(journal).write()}
    if past.members:
        tags["stack"] = write_members(past.members)
    return Description(begun["name"], past.params, tags, begun["files"], begun["loss_every"])


def _end(stored: StoredRun, past: PastRun) -> None:
    """End a run as the journal says.

    Raises:
        Diverged: as it has.
        _LeftError: it has not come to its end.
    """
    if past.ended is not None and past.ended["status"] == "diverged":
        raise Diverged(int(past.ended["step"]))
    if past.ended is not None:
        if past.tested_at is not None:
            stored.add_test(past.ended["test"], past.tested_at)
        stored.finish()
    elif past.stopped is not None and past.stopped["status"] == "FAILED":
        stored.fail(past.stopped["reason"], past.stopped["traceback"])
    else:
        raise _LeftError
