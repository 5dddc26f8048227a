"""The paired test and the interval that may be looked at again whenever seeds were added, as often as one likes.

Under the null hypothesis the signs of the differences are fair coins, whatever their sizes. So what all looks
would show together is known from the sizes alone: some ten thousand choices of signs are followed from look to
look, the observed one among them, and at each look those that lie farthest from zero have crossed. How many of
them may have crossed by then is fixed before the first look.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from ratelab.comparison.statistics import CONFIDENCE, Interval, Numbers

CHOICES = 2**14  # of signs; the observed one is among them, so the level is exact for any number
FIRST = 6  # seeds; fewer cannot decide anything
RATIO = 4 / 3  # of the seeds of a look to those of the one before
RESERVE = 0.05  # of the level, for who goes on behind the last look


def list_looks(most: int) -> list[int]:
    """Return after how many seeds one looks: from 6 on a third more each time, and at the last after `most`.

    >>> list_looks(60), list_looks(25)
    ([6, 8, 11, 15, 20, 27, 36, 48, 60], [6, 8, 11, 15, 20, 25])
    """
    looks, exact = [FIRST], float(FIRST)
    while round(exact * RATIO) < most:
        exact *= RATIO
        looks.append(round(exact))
    return [look for look in looks if look < most] + [most]


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


def crosses(
    differences: npt.ArrayLike, looks: Sequence[int], levels: Sequence[float], most: int
) -> list[bool]:
    """Say at which levels the test has shown by the last look that the differences are not symmetric about 0.

    Args:
        differences: float[n], one for each seed, in the order in which they came.
        looks: after how many of them one looked, ascending; the last is at most n.
        levels: of the test, over all looks that there ever will be.

    Returns:
        For each level whether the boundary was crossed at a look, and at that of every higher level as well: of
        two tests of one pair the one at the higher level then shows whatever the other one shows.

    References:
        Lan & DeMets 1983, doi 10.1093/biomet/70.3.659 (spending); Mathieu et al. 2023, arXiv 2306.10882 (signs).
    """
    distances = _follow(np.asarray(differences, np.float64), looks)
    found = {level: _cross(distances, spent_by(looks, most), level) for level in levels}
    return [all(found[other] for other in levels if other >= level) for level in levels]


def _follow(data: Numbers, looks: Sequence[int]) -> Numbers:
    """Return float[looks, choices]: how far from zero each choice of signs is; the first is that of the data."""
    signs = _draw_signs(looks[-1])
    ends = [0, *looks]
    parts = [np.abs(data[a:b]) @ signs[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    observed = [data[a:b].sum() for a, b in zip(ends, ends[1:], strict=False)]
    sums = np.cumsum(np.concatenate([np.array(observed)[:, None], np.array(parts)], 1), 0)
    scale = np.cumsum([np.abs(data[a:b]).sum() for a, b in zip(ends, ends[1:], strict=False)])
    # equal up to the rounding of sums in another order
    return np.round(np.abs(sums) / np.where(scale, scale, 1)[:, None], 12)


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


def interval_at_looks(differences: npt.ArrayLike, looks: Sequence[int], most: int) -> Interval:
    """Return the means that the test at level 0.05 has not excluded by the last look.

    It holds the true mean at all looks together in at least 95 of 100 cases, if the differences lie
    symmetrically about it.

    Args:
        differences: as in `crosses`.
        looks: as there.
    """
    data = np.asarray(differences, np.float64)
    mean, spread = float(data[: looks[-1]].mean()), float(np.ptp(data[: looks[-1]]))
    ends = [_find_end(data, looks, most, mean, side * max(spread, 1e-300)) for side in (-1, 1)]
    return Interval(*ends, "sign flips at all looks")


def _find_end(data: Numbers, looks: Sequence[int], most: int, mean: float, step: float) -> float:
    """Return the mean farthest from the observed one that is not excluded; by halving."""
    level = 1 - CONFIDENCE
    inside, outside = mean, mean + step
    while not crosses(data - outside, looks, [level], most)[0]:
        if abs(outside - mean) > 1e6 * abs(step):
            return float(np.copysign(np.inf, step))
        inside, outside = outside, mean + 2 * (outside - mean)
    for _ in range(20):
        middle = (inside + outside) / 2
        if crosses(data - middle, looks, [level], most)[0]:
            outside = middle
        else:
            inside = middle
    return outside
