"""Giving a store what a journal has and it lacks, whenever and as often as one likes; nothing is trained."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.journal import Journal
from ratelab.runs.models import Models
from ratelab.runs.past import Past, read_past
from ratelab.runs.storing import Storing
from ratelab.runtime.passwords import without_password
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import Run, Tracker, open_tracker, prepare_store
from ratelab.tracking.recorded import ENDED_BY, PROGRAM
from ratelab.validation import UserError

_DIED = "the program that recorded it died"


@dataclass(frozen=True)
class Synced:
    """What a store was given.

    Attributes:
        uri: of the store; "" if nothing was to be given, or nothing is tracked.
        runs: how many runs it was given, whole.
        steps: how many updates these have.
        lacking: how many others it was given, and has not taken all of them.
        models: how many models it has not been given, which takes TensorFlow.
    """

    uri: str = ""
    runs: int = 0
    steps: int = 0
    lacking: int = 0
    models: int = 0


def lacking(past: Past, uri: str | None = None) -> list[int]:
    """Return the numbers of the runs of which, by what the journal says, a store may lack something.

    Args:
        past: what the journal holds.
        uri: of the store, absolute and without a password; None: that in which the runs were begun.
    """
    store = _store_of(past)
    copy = _copy_of(store, uri) if store and uri else ""
    return [
        number
        for number, run in past.runs.items()
        if run.begun is not None and not (copy in run.copies if copy else run.is_stored)
    ]


def is_lacking(past: Past, uri: str | None = None) -> bool:
    """Say whether, by what the journal says, a store may lack something; the arguments are as above."""
    is_ended = past.sweep is None or past.sweep_is_stored
    return bool(lacking(past, uri)) or not (uri or is_ended)


def sync(folder: Path, past: Past, uri: str | None = None) -> Synced:
    """Give a store all that the journal in a folder has of runs of which it may lack something.

    Those are also runs that it had, and has no more. What it has already stays as it is, and comes a second
    time nowhere. A run that has not been trained to its end becomes KILLED, or FAILED if it was that; it may
    go on later.

    Args:
        folder: of the run or sweep.
        past: what its journal holds.
        uri: of the store, absolute; None: as the journal has it, without a password.

    Raises:
        UserError: a living program writes the journal, or it or the store cannot be opened.
    """
    if _store_of(past) is None:
        return Synced()
    with contextlib.closing(Journal(folder, past.program, is_resumed=True)) as journal:
        store = _store_of(journal.past)
        if store is None:
            raise UserError(f"{journal.path}: it cannot be read and written; get permission for both.")
        directory, copy = Path(store["directory"]), _copy_of(store, uri)
        ready = prepare_store(uri or store["uri"] or None, directory, store["experiment"])
        with open_tracker(ready, store["experiment"], directory) as tracker:
            numbers = _list_missing(journal, tracker, uri)
            missing = _give(numbers, tracker, journal, copy)
        if not copy:
            _note_end(folder, journal)
    steps = sum(journal.past.runs[number].steps for number in numbers - missing)
    return Synced(ready, len(numbers - missing), steps, len(missing), _count_models(journal))


def _store_of(past: Past) -> Mapping[str, str] | None:
    """Return where the runs are recorded, all of a program in one store; None if none has begun."""
    if past.sweep is not None:
        return cast("Mapping[str, str]", past.sweep["store"])
    return next((run.begun["store"] for run in past.runs.values() if run.begun), None)


def _copy_of(store: Mapping[str, str], uri: str | None) -> str:
    """Return the URI of a store, without a password, if it is not that in which the runs were begun."""
    bare = without_password(uri or "")
    return "" if bare == store["uri"] else bare


def _list_missing(journal: Journal, tracker: Tracker, uri: str | None) -> set[int]:
    """Return the numbers of those runs of which the store lacks something, or has nothing any more."""
    known = set(lacking(journal.past, uri))
    begun = [number for number, run in journal.past.runs.items() if run.begun is not None]
    return {number for number in begun if number in known or not tracker.has_run(journal.key(number))}


def _give(numbers: set[int], tracker: Tracker, journal: Journal, copy: str) -> set[int]:
    """Give the store all of these runs; return those of which it has not taken all."""
    if not numbers and (copy or journal.past.sweep is None or journal.past.sweep_is_stored):
        return set()
    with _open_sweep(tracker, journal, copy) as parent_id:
        storing = Storing(tracker, journal, parent_id, copy)
        storing.owe(numbers)
        try:
            storing.catch_up(is_last=True)
            storing.end_left(_DIED)
        except BaseException as error:
            storing.end(error)
            raise
    return set(storing.lacking)


def _note_end(folder: Path, journal: Journal) -> None:
    """Note in the journal, if it is so, that nothing is left to train or to store."""
    past = read_past(folder)
    assert past is not None  # noqa: S101 - it is open
    is_done = past.is_trained and not (is_lacking(past) or _count_models(journal))
    if is_done and not past.has_finished:
        journal.finish()
        Checkpoints(folder, journal).clear()


def _count_models(journal: Journal) -> int:
    """Return how many runs have their models beside the journal: the store may lack them."""
    models = Models(journal.path.parent)
    return sum(models.has(journal.key(number)) for number in journal.past.runs)


@contextlib.contextmanager
def _open_sweep(tracker: Tracker, journal: Journal, copy: str) -> Iterator[str | None]:
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
        _end_sweep(parent, past)
    if not copy:
        journal.note_sweep_stored()


def _end_sweep(parent: Run, past: Past) -> None:
    """Say at the end of a sweep what its runs say.

    Raises:
        _LeftError: the program did not come to its end.
    """
    left = [run for run in past.runs.values() if run.ended is None]
    for run in left:
        if (failure := run.failure) is not None:
            parent.fail(failure["reason"].partition(": ")[2], failure["traceback"])
    if any(run.begun is not None and run.stopped is None for run in left):
        parent.tag(ENDED_BY, _DIED)
    if not past.is_over:
        raise _LeftError


class _LeftError(KeyboardInterrupt):
    """Ends a run as KILLED: something of it is left to train."""
