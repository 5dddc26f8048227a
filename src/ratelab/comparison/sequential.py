"""The paired test and the interval that may be looked at again whenever seeds were added.

Under the null hypothesis the signs of the differences are fair coins, whatever their sizes. So what all
looks would show together is known from the sizes alone: some ten thousand choices of signs are followed
from look to look, the observed one among them, and at each look those that lie farthest from zero have
crossed. How many of them may have crossed by then is fixed before the first look.
"""

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from ratelab.comparison.statistics import CONFIDENCE, Interval, Numbers, pairs_needed

CHOICES = 2**14  # of signs; the observed one is among them, so the level is exact for any number
FIRST = 6  # seeds; fewer cannot decide anything
RATIO = 4 / 3  # of the seeds of a look to those of the one before
RESERVE = 0.05  # of the level, for who goes on behind the last look
_LEVELS = [1 / 1.25**power for power in range(1, 40)]  # at which a test is tried: down to 0.0002


def list_looks(planned: int, most: int) -> list[int]:
    """Return after how many seeds one looks: from 6 on a third more each time; also after both of these.

    Args:
        planned: the most seeds that there were to be before the first look.
        most: the most that there are to be now; no fewer.

    >>> list_looks(60, 60), list_looks(25, 40)
    ([6, 8, 11, 15, 20, 27, 36, 48, 60], [6, 8, 11, 15, 20, 25, 33, 40])
    """
    looks = [min(FIRST, planned)]
    while looks[-1] < planned:
        looks.append(min(round(looks[-1] * RATIO), planned))
    while looks[-1] < most:
        looks.append(min(round(looks[-1] * RATIO), most))
    return looks


def spent_by(seeds: npt.ArrayLike, most: int) -> Numbers:
    """Return which share of the level may have been spent after so many seeds.

    0.95 ln(1 + (e - 1) seeds / most) up to `most`; who goes on behind that spends what is left.

    Args:
        seeds: at looks.
        most: seeds that were planned at first, whatever was decided later.

    >>> spent_by([6, 30, 60, 90], 60).round(2).tolist()
    [0.15, 0.59, 0.95, 0.97]
    """
    n = np.asarray(seeds, np.float64)
    within = (1 - RESERVE) * np.log1p((np.e - 1) * np.minimum(n, most) / most)
    return within + RESERVE * -np.expm1(-np.maximum(n - most, 0) / most)


def seeds_needed(tests: int) -> int:
    """Return how many seeds at least can decide a pair, where that many pairs share the level.

    >>> seeds_needed(1), seeds_needed(6)
    (6, 8)
    """
    return pairs_needed(tests / (1 - RESERVE))


def crosses(
    differences: npt.ArrayLike, looks: Sequence[int], levels: Sequence[float], most: int
) -> list[bool]:
    """Say at which levels the test has shown by the last look that the differences are not symmetric about 0.

    Args:
        differences: float[n], one for each seed, in the order in which they came.
        looks: after how many of them one looked, ascending; the last is at most n.
        levels: of the test, over all looks that there ever will be.
        most: seeds that were planned at first.

    Returns:
        For each level whether the boundary was crossed at a look, and that of every higher level as well: so
        a test at a higher level shows whatever one at a lower level shows.

    References:
        Lan & DeMets 1983, doi 10.1093/biomet/70.3.659 (spending of the level over looks); Mathieu et al.
        2023, arXiv 2306.10882 (looks at permutations).
    """
    distances, shares = _follow(np.asarray(differences, np.float64), looks), spent_by(looks, most)
    lowest = np.inf
    for level in sorted(levels, reverse=True):
        if not _cross(distances, shares, level):
            break
        lowest = level
    return [level >= lowest for level in levels]


def _follow(data: Numbers, looks: Sequence[int]) -> Numbers:
    """Return float[looks, choices]: how far from zero each choice of signs is, that of the data first."""
    signs = _draw_signs(looks[-1])
    ends = [0, *looks]
    parts = [np.abs(data[a:b]) @ signs[a:b] for a, b in itertools.pairwise(ends)]
    observed = [data[a:b].sum() for a, b in itertools.pairwise(ends)]
    sums = np.cumsum(np.concatenate([np.array(observed)[:, None], np.array(parts)], 1), 0)
    scale = np.cumsum([np.abs(data[a:b]).sum() for a, b in itertools.pairwise(ends)])
    # equal up to the rounding of sums in another order
    far: Numbers = np.round(np.abs(sums) / np.where(scale, scale, 1)[:, None], 12)
    return far


@cache
def _draw_signs(count: int) -> Numbers:
    """Return float[count, choices - 1] of -1 and 1; more seeds leave the first rows as they are."""
    rows = [np.random.default_rng([0, row]).integers(2, size=CHOICES - 1) for row in range(count)]
    return 1 - 2 * np.array(rows, np.float64)


def _cross(distances: Numbers, shares: Numbers, level: float) -> bool:
    """Say whether the first choice is among those that cross at one of the looks."""
    alive, crossed = np.ones(distances.shape[1], bool), 0
    for far, share in zip(distances, shares, strict=True):
        allowed = int(level * share * distances.shape[1]) - crossed
        values = far[alive]
        if allowed <= 0 or allowed >= len(values):
            continue
        boundary = -np.partition(-values, allowed)[allowed]
        new = alive & (far > boundary)
        if new[0]:
            return True
        alive &= ~new
        crossed += int(new.sum())
    return False


def p_at_looks(differences: npt.ArrayLike, looks: Sequence[int], most: int, tests: int = 1) -> float:
    """Return the smallest level at which the test crosses at one of the looks.

    Args:
        differences: as in `crosses`.
        looks: as there.
        most: as there.
        tests: how many pairs share the level: p is at most 0.05 / r, r = 1 to tests, where `crosses` says so
            of the levels 0.05 / 1 to 0.05 / tests.

    Returns:
        One of some fifty levels, so p is a little larger than it could be; 1 if it crosses at none.
    """
    data = np.asarray(differences, np.float64)
    distances, shares = _follow(data, looks), spent_by(looks, most)
    shared = [(1 - CONFIDENCE) / left for left in range(1, tests + 1)]
    shown = crosses(data, looks, shared, most)
    above = min((level for level, is_shown in zip(shared, shown, strict=True) if is_shown), default=1.0)
    below = max((level for level, is_shown in zip(shared, shown, strict=True) if not is_shown), default=0.0)
    between = [level for level in _LEVELS if below < level < above and _cross(distances, shares, level)]
    return min([*between, above])


def excludes(differences: npt.ArrayLike, mean: float, looks: Sequence[int], most: int) -> bool:
    """Say whether the interval of `interval_at_looks` leaves out this mean."""
    data = np.asarray(differences, np.float64)
    return _cross(_follow(data - mean, looks), spent_by(looks, most), 1 - CONFIDENCE)


def interval_at_looks(differences: npt.ArrayLike, looks: Sequence[int], most: int) -> Interval:
    """Return the means that the test at level 0.05 has not excluded by the last look.

    It holds the true mean at all looks together in at least 95 of 100 cases, if the differences lie
    symmetrically about it.

    Args:
        differences: as in `crosses`.
        looks: as there.
        most: as there.
    """
    data = np.asarray(differences, np.float64)
    mean, spread = float(data[: looks[-1]].mean()), float(np.ptp(data[: looks[-1]]))
    low, high = (_find_end(data, looks, most, mean, side * max(spread, 1e-300)) for side in (-1, 1))
    return Interval(low, high, "sign flips at all looks")


def _find_end(data: Numbers, looks: Sequence[int], most: int, mean: float, step: float) -> float:
    """Return the mean farthest from the observed one that is not excluded; by halving."""
    inside, outside = mean, mean + step
    while not excludes(data, outside, looks, most):
        if abs(outside - mean) > 1e6 * abs(step):
            return float(np.copysign(np.inf, step))
        inside, outside = outside, mean + 2 * (outside - mean)
    for _ in range(20):
        middle = (inside + outside) / 2
        if excludes(data, middle, looks, most):
            outside = middle
        else:
            inside = middle
    return outside
