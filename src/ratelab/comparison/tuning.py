"""Equal tuning: which base rate is best for each schedule, by runs that never saw the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ratelab.comparison.groups import names_of
from ratelab.comparison.outcomes import find_shared, sign_of
from ratelab.comparison.results import Result, find_worst
from ratelab.tasks import Outcome

RATE = "learning_rate"
FEWEST_FOR_ERROR = 2  # seeds; one has no spread


@dataclass(frozen=True)
class Tuned:
    """One schedule over the grid of base rates.

    Attributes:
        name: of the schedule, as in a comparison.
        rates: float[k], ascending.
        seeds: for each rate the tuning seeds that have a value there, ascending.
        values: of each of these on the validation split, diverged runs as `worst`.
        diverged: how many runs of each rate.
        outcome: the metric that judges.
        worst: what a diverged run counts as.
    """

    name: str
    rates: tuple[float, ...]
    seeds: tuple[tuple[int, ...], ...]
    values: tuple[tuple[float, ...], ...]
    diverged: tuple[int, ...]
    outcome: Outcome
    worst: float

    @cached_property
    def means(self) -> tuple[float, ...]:
        """The mean value at each rate."""
        return tuple(float(np.mean(values)) for values in self.values)

    @cached_property
    def peak(self) -> int:
        """Where in the grid the best mean is; of equals the first, and rates ascend."""
        best = np.argmax if self.outcome.higher_is_better else np.argmin
        return int(best(self.means))

    @cached_property
    def as_good(self) -> tuple[float, ...]:
        """The rates that no other beats by more than a standard error of the mean difference, seed by seed.

        The one with the best mean is among them, also where seeds that failed at another leave that in doubt.
        Where two rates have not two seeds in common, the better mean beats the other.
        """
        places = range(len(self.rates))
        others = [self.peak, *places]  # the peak first, for it beats most of them
        unbeaten = [place for place in places if not any(self._beats(other, place) for other in others)]
        return tuple(self.rates[place] for place in sorted({self.peak, *unbeaten}))

    def _beats(self, one: int, other: int) -> bool:
        ours, theirs = (dict(zip(self.seeds[at], self.values[at], strict=True)) for at in (one, other))
        shared = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
        if len(shared) < FEWEST_FOR_ERROR:
            return self.outcome.is_better(self.means[one], self.means[other])
        lead = sign_of(self.outcome) * np.mean(shared)
        return bool(lead > np.std(shared, ddof=1) / np.sqrt(len(shared)))

    @property
    def best(self) -> float:
        """The rate to take: the lowest of those that are as good.

        It is the one-standard-error rule. Too high a rate fails for some seeds only, and three may not show
        it; it is better than to take the best mean (docs/protocol.md).

        References:
            Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, section 3.4.3.
        """
        return self.as_good[0]

    @property
    def place(self) -> int:
        """Where in the grid the rate to take is."""
        return self.rates.index(self.best)

    @property
    def at_edge(self) -> str:
        """Where the best mean is at an end of the grid: "lowest" or "highest"; else "".

        The mean and not the rate to take, which is lower: what counts is whether the grid holds the peak.
        """
        if self.peak == len(self.rates) - 1:
            return "highest"
        return "lowest" if self.peak == 0 else ""

    @property
    def edges(self) -> tuple[str, ...]:
        """For each rate whether it has the best mean and is an end of the grid, as `at_edge`."""
        return tuple(self.at_edge if place == self.peak else "" for place in range(len(self.rates)))

    @property
    def runs(self) -> int:
        """How many runs the choice cost."""
        return sum(len(values) for values in self.values)


def tune(results: Sequence[Result], worst: float | None = None) -> list[Tuned]:
    """Return each schedule's results over the base rates, in the order in which the schedules appear.

    Args:
        results: tuning runs that finished or diverged.
        worst: what a run without a value counts as; None: what `find_worst` says of these.

    Returns:
        Nothing where no run has a value, and the worst there can be is not known.

    Raises:
        UserError: if they are judged by different metrics.

    >>> from ratelab.comparison.results import Measured
    >>> runs = [Result(0, {"schedule": "fixed"}, {"learning_rate": rate, "test": "False"}, status="finished",
    ...                validation=(Measured(99, a, 1.0, 2400),)) for rate, a in (("0.1", 0.5), ("1.0", 0.75))]
    >>> tune(runs)[0].best, tune(runs)[0].at_edge
    (1.0, 'highest')
    """
    # one for all schedules, so that a run which diverged costs each of them the same
    worst = find_worst(results) if worst is None else worst
    if worst is None or not results:
        return []
    outcome = find_shared(result.outcome for result in results)
    found: dict[str, dict[float, dict[int, Result]]] = {}
    for name, result in zip(names_without_rate(results), results, strict=True):
        rates = found.setdefault(name, {})
        # results come oldest first: of runs that repeat others the newest counts
        rates.setdefault(float(result.settings[RATE]), {})[result.seed] = result
    return [_make(name, sorted(rates.items()), outcome, worst) for name, rates in found.items()]


def _make(
    name: str, tried: Sequence[tuple[float, Mapping[int, Result]]], outcome: Outcome, worst: float
) -> Tuned:
    """Return the choice of one schedule; `tried` has the runs of each rate by their seeds."""
    runs = [[by_seed[seed] for seed in sorted(by_seed)] for _, by_seed in tried]
    return Tuned(
        name=name,
        rates=tuple(rate for rate, _ in tried),
        seeds=tuple(tuple(run.seed for run in own) for own in runs),
        values=tuple(tuple(run.counts_as(worst) for run in own) for own in runs),
        diverged=tuple(sum(run.status == "diverged" for run in own) for own in runs),
        outcome=outcome,
        worst=worst,
    )


def names_without_rate(results: Sequence[Result]) -> list[str]:
    """Return the name of each run's group, in the order of the runs, as if all had the same base rate."""
    return names_of([_drop_rate(result) for result in results])


def _drop_rate(result: Result) -> Result:
    """Return the run without its base rate, so that runs at all rates of a grid are one group."""
    return replace(result, settings={k: v for k, v in result.settings.items() if k != RATE})
