"""Equal tuning: which base rate is best for each schedule, by runs that never saw the test split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratelab.comparison.groups import names_of
from ratelab.comparison.outcomes import find_shared
from ratelab.comparison.results import Result, find_worst
from ratelab.tasks import Outcome

RATE = "learning_rate"


@dataclass(frozen=True)
class Tuned:
    """One schedule over the grid of base rates.

    Attributes:
        name: of the schedule, as in a comparison.
        rates: float[k], ascending.
        values: for each rate that of each tuning seed on the validation split, diverged runs as `worst`.
        diverged: how many runs of each rate.
        outcome: the metric that judges.
        worst: what a diverged run counts as.
    """

    name: str
    rates: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    diverged: tuple[int, ...]
    outcome: Outcome
    worst: float

    @property
    def means(self) -> tuple[float, ...]:
        """The mean value at each rate."""
        return tuple(float(np.mean(values)) for values in self.values)

    @property
    def place(self) -> int:
        """Where in the grid the best rate is."""
        best = np.argmax if self.outcome.higher_is_better else np.argmin
        return int(best(self.means))  # the first of equals, and rates ascend

    @property
    def best(self) -> float:
        """The rate with the best mean value; of equals the lowest."""
        return self.rates[self.place]

    @property
    def at_edge(self) -> str:
        """Where the best rate is an end of the grid: "lowest" or "highest"; else ""."""
        if self.place == len(self.rates) - 1:
            return "highest"
        return "lowest" if self.place == 0 else ""

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
    found: dict[str, dict[float, list[Result]]] = {}
    for name, result in zip(names_without_rate(results), results, strict=True):
        rates = found.setdefault(name, {})
        rates.setdefault(float(result.settings[RATE]), []).append(result)
    return [
        Tuned(
            name=name,
            rates=tuple(sorted(rates)),
            values=tuple(tuple(run.counts_as(worst) for run in rates[rate]) for rate in sorted(rates)),
            diverged=tuple(sum(run.status == "diverged" for run in rates[rate]) for rate in sorted(rates)),
            outcome=outcome,
            worst=worst,
        )
        for name, rates in found.items()
    ]


def names_without_rate(results: Sequence[Result]) -> list[str]:
    """Return the name of each run's group, in the order of the runs, as if all had the same base rate."""
    return names_of([_drop_rate(result) for result in results])


def _drop_rate(result: Result) -> Result:
    """Return the run without its base rate, so that runs at all rates of a grid are one group."""
    return replace(result, settings={k: v for k, v in result.settings.items() if k != RATE})
