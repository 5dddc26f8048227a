"""How much depends on the base rate, from the grid in which it was chosen, without further training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ratelab.comparison.comparing import choose_pairs
from ratelab.comparison.outcomes import sign_of
from ratelab.comparison.results import is_number
from ratelab.comparison.statistics import Interval, Numbers, mean_interval
from ratelab.comparison.tuning import Tuned
from ratelab.tasks import ACCURACY

NEAR = 0.002  # of an accuracy; of another metric that part of all there is to gain
FEWEST_RATES = 2


@dataclass(frozen=True)
class Sensitivity:
    """A schedule, or the first of two minus the second, over the rates at which all were tried.

    Attributes:
        first: the name of a schedule.
        second: of another one, which is subtracted seed by seed; "" where there is none.
        seeds: those that have a value at each of the rates.
        lost: what is lost at a rate of the grid, on average over the rates.
        lost_interval: 95 %, of the mean over seeds; None for fewer than three.
        width: for how many decades of rates nearly nothing is lost.
        width_interval: as the other.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    lost: float
    lost_interval: Interval | None
    width: float
    width_interval: Interval | None


def measure_sensitivities(tuned: Sequence[Tuned]) -> list[Sensitivity]:
    """Return the sensitivity of each schedule to its base rate, then the differences of pairs.

    Lost, for each seed: the mean over the rates of min(value, start) less the value at the rate with the best
    mean, for a loss; for what is better the more, the value there less the mean of max(value, start). `start`
    is what a model that has learned nothing gives, `Outcome.worst`, of accuracies 0; where it is not known,
    what a diverged run counts as. No run records what its untrained model gives.

    Width, for each seed: the length of that part of the axis log10(rate) where its curve, straight between
    the rates, is within `near` of its best.

    Returns:
        Nothing where fewer than two rates or no seed are common to a schedule and all others.

    References:
        Wortsman et al. 2023, arXiv 2309.14322, section 2.2.
    """
    rates = sorted(set.intersection(*(set(one.rates) for one in tuned))) if tuned else []
    if len(rates) < FEWEST_RATES:
        return []
    near = find_near(tuned)
    measured = {each.name: _measure(each, rates, near) for each in tuned}
    made = [_summarize(name, "", by_seed) for name, by_seed in measured.items()]
    names = [*measured]
    for one, other in choose_pairs(names):
        first, second = names[one], names[other]
        shared = [seed for seed in measured[first] if seed in measured[second]]
        paired = {seed: measured[first][seed] - measured[second][seed] for seed in shared}
        made.append(_summarize(first, second, paired))
    return [each for each in made if each.seeds]


def find_near(tuned: Sequence[Tuned]) -> float:
    """Return how far from the best is nearly as good, the same for all schedules.

    It is 0.002 for an accuracy, else 0.002 |start - best| with the best mean of any schedule.
    """
    outcome = tuned[0].outcome
    if outcome == ACCURACY:
        return NEAR
    best = max(sign_of(outcome) * one.means[one.peak] for one in tuned)
    return NEAR * abs(_find_start(tuned[0]) * sign_of(outcome) - best)


def _find_start(one: Tuned) -> float:
    known = one.outcome.worst
    return known if known is not None and is_number(known) else one.worst


def _measure(one: Tuned, rates: Sequence[float], near: float) -> dict[int, Numbers]:
    """Return what is lost and the width, float[2], for each seed with a value at all of the rates."""
    places = [one.rates.index(rate) for rate in rates]
    curves = [dict(zip(one.seeds[place], one.values[place], strict=True)) for place in places]
    seeds = sorted(set.intersection(*map(set, curves)))
    sign = sign_of(one.outcome)
    gains = {seed: sign * np.array([curve[seed] for curve in curves]) for seed in seeds}
    best = int(np.argmax([sign * one.means[place] for place in places]))
    start = sign * _find_start(one)
    return {
        seed: np.array([np.mean(gain[best] - np.maximum(gain, start)), _find_width(rates, gain, near)])
        for seed, gain in gains.items()
    }


def _find_width(rates: Sequence[float], gain: Numbers, near: float) -> float:
    """Return the length, in decades, where the curve is at most `near` below its highest point.

    >>> _find_width([0.1, 1.0, 10.0], np.array([0.5, 1.0, 0.75]), 0.25)
    1.5
    """
    above = gain - gain.max() + near
    low, high = np.minimum(above[:-1], above[1:]), np.maximum(above[:-1], above[1:])
    # of a piece between two rates that part which lies above: all, none, or from where it crosses
    share = np.where(low >= 0, 1.0, np.maximum(high, 0) / np.where(high > low, high - low, 1.0))
    return float(share @ np.diff(np.log10(rates)))


def _summarize(first: str, second: str, by_seed: Mapping[int, Numbers]) -> Sensitivity:
    both = np.array([*by_seed.values()]).reshape(-1, 2)
    lost, width = both.mean(0) if len(both) else (0.0, 0.0)
    return Sensitivity(
        first,
        second,
        tuple(by_seed),
        float(lost),
        mean_interval(both[:, 0]),
        float(width),
        mean_interval(both[:, 1]),
    )
