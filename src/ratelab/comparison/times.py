"""Steps, examples or seconds until a target is reached: what a run is judged by in the place of a metric."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratelab.comparison.outcomes import COUNTS, Split, TimeName
from ratelab.comparison.results import Measured, Result
from ratelab.tasks import Outcome


@dataclass(frozen=True)
class Time:
    """How long runs take to reach a target, counted until an end that all of them have in common.

    A run that has not reached the target by then counts with the end: min(T, end), of which the mean is T's
    restricted mean (Royston & Parmar 2013). Nothing is assumed of what would have come later, for each run
    was seen until the end; but one that diverged, which reaches nothing any more.

    Attributes:
        name: what is counted.
        target: the value in validation to reach; None: there is none.
        end: as `find_end` returns it.
    """

    name: TimeName
    target: float | None
    end: float

    @property
    def length(self) -> str:
        """The end in words, as "250 steps"."""
        what = self.name.partition("_")[0]
        return f"{self.end:,.0f} {what}" if self.name in COUNTS else f"{self.end:.4g} {what}"

    @property
    def miss(self) -> str:
        """Why there is nothing to compare where no run reaches the target."""
        if self.target is None:
            return (
                "no mean gives a target, for a run of every group diverged or gave no number (give --target)"
            )
        return f"no run reached {self.target:.10g} on the validation split within {self.length}"

    def reaches(self, run: Result) -> bool:
        """Say whether a run reached the target before the end, or at it."""
        first = find_first(run, self.name, self.target)
        return first is not None and first <= self.end

    def of(self, run: Result) -> float:
        """Return what a run counts as.

        >>> run = Result(0, {}, validation=(Measured(9, 0.5, 1.0, 200), Measured(19, 0.75, 2.0, 400)))
        >>> [Time("steps_to_target", target, 30).of(run) for target in (0.5, 0.75, 0.9)]
        [10.0, 20.0, 30.0]
        """
        first = find_first(run, self.name, self.target)
        return float(self.end if first is None else min(first, self.end))


def count(look: Measured, name: TimeName) -> float:
    """Return how many steps, examples or seconds a run had behind it at a look."""
    return {
        "steps_to_target": look.step + 1,
        "examples_to_target": look.examples,
        "seconds_to_target": look.seconds,
    }[name]


def find_first(run: Result, name: TimeName, target: float | None) -> float | None:
    """Return how long a run took to reach the target; None if it never did."""
    look = None if target is None else run.first_look_at(target)
    return None if look is None else count(look, name)


def find_end(runs: Sequence[Result], name: TimeName, target: float | None) -> float:
    """Return how far all runs are known: the length of the shortest that finished without the target.

    Where each that finished has reached it, nothing is cut: the end is the last look of the longest run, with
    which those count that diverged.
    """
    lasts = [(run, count(run.validation[-1], name)) for run in runs if run.validation]
    short = [
        last for run, last in lasts if run.status == "finished" and find_first(run, name, target) is None
    ]
    return min(short) if short else max((last for _, last in lasts), default=0.0)


def name_judge(looked: Outcome, split: Split, time: str | None) -> str:
    """Return what judges, as the beginning of a title.

    >>> [name_judge(Outcome("loss", False), "test", time) for time in (None, "steps_to_target")]
    ['Test loss', 'Steps to a target in validation loss']
    """
    if time is None:
        return f"{split.capitalize()} {looked.metric}"
    return f"{time.partition('_')[0].capitalize()} to a target in validation {looked.metric}"
