"""What of a sweep is left to train: all of it, or, where it goes on, what its journal lacks."""

from collections.abc import Sequence

from ratelab.comparison import Result
from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.feed import Feed
from ratelab.runs.journal import Journal
from ratelab.runs.planned import PlannedRun
from ratelab.runs.record import restore
from ratelab.runs.resuming import check_runs, plan_runs
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.stacks import Stack


def cut_left(
    runs: Sequence[PlannedRun], resources: Resources, journal: Journal, checkpoints: Checkpoints
) -> list[Stack]:
    """Return the stacks that are left to train.

    What was begun is cut as it was, with the runs that have ended since: another cut would give other bits.

    Args:
        runs: that the sweep is to have now, all new to the journal or none.
        resources: cut what is new, which is noted.
        journal: of the sweep.
        checkpoints: of the sweep, from which they go on.

    Raises:
        UserError: the runs are to do something else than what was noted.
    """
    if not check_runs(journal, runs):
        stacks = resources.cut(runs)
        plan_runs(journal, runs, [stack.numbers for stack in stacks])
        return stacks
    by_number = {run.number: run for run in runs}
    past = journal.past.runs
    groups = dict.fromkeys(past[run.number].members or _untouched(journal, run.number) for run in runs)
    stacks = []
    for group in groups:
        going = [past[number] for number in group if past[number].ended is None]
        if going:
            start = checkpoints.load(group, min(len(run.places) for run in going))
            stacks.append(Stack(tuple(by_number[number] for number in group), start))
    return stacks


def describe_resumed(runs: Sequence[PlannedRun], journal: Journal) -> list[str]:
    """Return the lines that say what the journal has of these runs; none if it has nothing."""
    past = [journal.past.runs[run.number] for run in runs if run.number in journal.past.runs]
    if not past:
        return []
    ended = sum(one.ended is not None for one in past)
    steps, whole = sum(one.steps for one in past), sum(run.steps for run in runs)
    return [
        f"{ended} of {len(runs)} runs had ended, {steps:,} of {whole:,} steps are kept; the rest goes on."
    ]


def restore_ended(runs: Sequence[PlannedRun], feed: Feed, journal: Journal) -> dict[int, Result]:
    """Return by their numbers the results of the runs that have ended; give the store all of them."""
    found = {}
    for run in runs:
        own = journal.of(run.number)
        if own.past is not None and own.past.ended is not None:
            found[run.number] = restore(run, feed, own)
    return found


def _untouched(journal: Journal, number: int) -> tuple[int, ...]:
    """Return the part of the stack of a run of which no run has begun."""
    past = journal.past.runs
    return tuple(other for other in past[number].stack if past[other].members is None)
