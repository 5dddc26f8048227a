"""The paired test and the interval that may be looked at again whenever seeds were added.

Under the null hypothesis the signs of the differences are fair coins, whatever their sizes. So what all
looks would show together is known from the sizes alone: some ten thousand choices of signs are followed
from look to look, the observed one among them, and at each look those that lie farthest from zero have
crossed. How many of them may have crossed by then is fixed before the first look.

References:
    Lan & DeMets 1983, doi 10.1093/biomet/70.3.659 (spending of a level over looks); Mathieu et al. 2023,
    arXiv 2306.10882 (permutations at several looks).
"""

import itertools
from collections.abc import Sequence
from functools import cache, lru_cache, partial

import numpy as np
import numpy.typing as npt

from ratelab.comparison.statistics import CONFIDENCE, Interval, Numbers, pairs_needed

CHOICES = 2**14  # of signs; the observed one is among them, so the level is exact for any number
FIRST = 6  # seeds; fewer cannot decide anything
RATIO = 5 / 4  # of the seeds of a look to those of the one before
RESERVE = 0.01  # of the level, for who goes on behind the last look
_NEXT = 1e-6  # of the largest difference: as far from a mean as the one next to it
_STEPS, _HALVINGS = 64, 10  # in which an end of an interval is looked for, from a mean inside to the farthest
_SEARCH = 50  # halvings in which a mean inside is looked for: down to the rounding of the differences
_USUAL = 1 - CONFIDENCE  # levels above it are tried only where nothing is shown at it
_KEPT = 3  # means whose ranks are kept: 0 and those next to it
_LEVELS = [1 / 1.25**power for power in range(1, 40)]  # at which a test is tried: down to 0.0002

_METHOD = "sign flips at all looks"

Ranked = tuple[npt.NDArray[np.intp], Numbers]  # choices of signs, and how far from zero their sums lie


def list_looks(planned: int, most: int) -> list[int]:
    """Return after how many seeds one looks: from 6 on a quarter more each time; also after both of these.

    Args:
        planned: the most seeds that there were to be before the first look.
        most: the most that there are to be now; no fewer.

    >>> list_looks(60, 60), list_looks(25, 40)
    ([6, 8, 10, 12, 15, 19, 24, 30, 38, 48, 60], [6, 8, 10, 12, 15, 19, 25, 31, 40])
    """
    looks = [min(FIRST, planned)]
    for end in (planned, most):
        while looks[-1] < end:
            after = max(round(looks[-1] * RATIO), looks[-1] + 1)
            looks.append(end if after * RATIO**0.5 > end else after)  # not twice within half a step
    return looks


def spent_by(seeds: npt.ArrayLike, most: int) -> Numbers:
    """Return which share of the level may have been spent after so many seeds.

    0.99 ln(1 + (e - 1) seeds / most) up to `most`; who goes on behind that spends what is left.

    Args:
        seeds: at looks.
        most: seeds that were planned at first, whatever was decided later.

    >>> spent_by([6, 30, 60, 90], 60).round(2).tolist()
    [0.16, 0.61, 0.99, 0.99]
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


class Looks:
    """Paired differences seen again and again as they come, and what else their signs could have shown.

    Args:
        differences: float[n], one for each seed, in the order in which they came.
        looks: after how many of them one looked, ascending; the last is at most n.
        most: seeds that were planned at first.
    """

    def __init__(self, differences: npt.ArrayLike, looks: Sequence[int], most: int) -> None:
        self._data = np.asarray(differences, np.float64)[: looks[-1]]
        self._looks, self._shares = looks, spent_by(looks, most)
        signs = _draw_signs(looks[-1])
        sums, counts = self._add_up(self._data, signs), self._add_up(np.ones(looks[-1]), signs)
        self._choices = sums.shape[1]
        self._rank = lru_cache(_KEPT * len(looks))(partial(_rank, sums, counts))  # asked at many levels

    def _add_up(self, data: Numbers, signs: Numbers) -> Numbers:
        """Return float[looks, choices]: the sum up to each look, that of the observed signs first."""
        parts = [
            np.append(data[a:b].sum(), data[a:b] @ signs[a:b])
            for a, b in itertools.pairwise([0, *self._looks])
        ]
        sums: Numbers = np.cumsum(parts, 0)
        return sums

    def mean_at(self, look: int) -> float:
        """Return the mean of the differences up to a look, the first of which is 0."""
        return float(self._data[: self._looks[look]].mean())

    def find_crossing(self, level: float, mean: float = 0.0) -> int | None:
        """Return at which look, from 0, the test at a level has shown that this is not the mean; None: never.

        Under the null hypothesis the differences less the mean have any signs. At each look those choices of
        signs cross whose sum lies farthest from zero, among them that have not crossed before: as many as
        the level allows by then, or fewer, where several lie equally far.
        """
        # equal up to the rounding of sums in another order
        margins = 1e-12 * np.cumsum(np.abs(self._data - mean))[np.array(self._looks) - 1]
        alive, crossed = np.ones(self._choices, bool), 0
        number = self._choices - 1 if level > _USUAL else int(_USUAL * self._choices)
        for look, share in enumerate(self._shares):
            allowed = int(level * share * self._choices) - crossed
            if allowed <= 0:
                continue
            order, far = self._rank(look, mean, number)
            is_alive = alive[order]
            boundary = far[is_alive][allowed]
            new = order[is_alive & (far > boundary + margins[look])]
            if 0 in new:
                return look
            alive[new] = False
            crossed += len(new)
        return None

    def find_difference(self, level: float) -> int | None:
        """Return at which look, from 0, the test at a level has shown a difference; None: never.

        So that no verdict contradicts the interval, the means next to 0 must be excluded as well, on either
        side. It matters where differences are tied, as those of times are: one of exactly 0 has no sign to be
        flipped, but it has beside 0.
        """
        near = _NEXT * float(np.abs(self._data).max())
        latest = 0
        for mean in (0.0, near, -near):
            look = self.find_crossing(level, mean)
            if look is None:
                return None
            latest = max(latest, look)
        return latest

    def crosses(self, level: float) -> bool:
        """Say whether the test at a level has shown a difference at one of the looks."""
        return self.find_difference(level) is not None

    def crosses_at(self, levels: Sequence[float]) -> list[bool]:
        """Say for each level whether the test at it, and at every higher one, has shown a difference.

        So a test at a higher level shows whatever one at a lower level shows, which sharing a level among
        several tests rests on.
        """
        lowest = np.inf
        for level in sorted(levels, reverse=True):
            if not self.crosses(level):
                break
            lowest = level
        return [level >= lowest for level in levels]

    def p(self, tests: int = 1) -> float:
        """Return the smallest level at which the test shows a difference, of some fifty that are tried.

        Args:
            tests: how many pairs share the level: p is at most 0.05 / r, r = 1 to tests, just where
                `crosses_at` says so of the levels 0.05 / 1 to 0.05 / tests.
        """
        shared = [(1 - CONFIDENCE) / left for left in range(1, tests + 1)]
        shown = dict(zip(shared, self.crosses_at(shared), strict=True))
        above = min((level for level, is_shown in shown.items() if is_shown), default=1.0)
        below = max((level for level, is_shown in shown.items() if not is_shown), default=0.0)
        return min([*(one for one in _LEVELS if below < one < above and self.crosses(one)), above])

    def excludes(self, mean: float) -> bool:
        """Say whether the test at level 0.05 has shown that this is not the mean."""
        return self.find_crossing(1 - CONFIDENCE, mean) is not None

    def interval(self) -> Interval:
        """Return the interval from the smallest to the largest mean that is not excluded.

        It holds the true mean at all looks together in at least 95 of 100 cases, if the differences lie
        symmetrically about it. Where a seed lies so far from all others that no mean is left, since what one
        look leaves another excludes, nothing follows from them, and it has no ends.
        """
        inside = self._find_inside()
        if inside is None:
            return Interval(-np.inf, np.inf, _METHOD)
        low, high = (self._find_end(inside, side) for side in (-1, 1))
        return Interval(low, high, _METHOD)

    def _find_inside(self) -> float | None:
        """Return a mean that is not excluded, that of all differences if possible; None: there is none.

        The differences up to the look that excludes a mean lie on the side of it where such a mean must be.
        """
        mean, low, high = (float(end) for end in (self._data.mean(), self._data.min(), self._data.max()))
        for _ in range(_SEARCH):
            look = self.find_crossing(1 - CONFIDENCE, mean)
            if look is None:
                return mean
            low, high = (mean, high) if self.mean_at(look) > mean else (low, mean)
            mean = (low + high) / 2
        return None

    def _find_end(self, inside: float, side: int) -> float:
        """Return the largest mean that is not excluded, or, on the side -1, the smallest.

        Beyond the farthest of the differences all have one sign: either every mean there is excluded or none.
        """
        farthest = side * float((side * self._data).max())
        beyond = farthest + side * (float(np.ptp(self._data)) or 1.0)
        if not self.excludes(beyond):
            return side * np.inf
        if np.ptp(self._data) == 0:
            return farthest
        grid = np.linspace(inside, farthest, _STEPS + 1).tolist()
        last = next(place for place in range(_STEPS, -1, -1) if not self.excludes(grid[place]))
        kept, out = grid[last], [*grid, beyond][last + 1]
        for _ in range(_HALVINGS):
            middle = (kept + out) / 2
            kept, out = (kept, middle) if self.excludes(middle) else (middle, out)
        return float(out)


def _rank(sums: Numbers, counts: Numbers, look: int, mean: float, number: int) -> Ranked:
    """Return the `number` + 1 choices of signs that lie farthest from zero at a look, the farthest first.

    No more than `number` of them can cross at a level of that share; the last is the boundary then.
    """
    far = np.abs(sums[look] - mean * counts[look])
    order = np.flatnonzero(far >= np.partition(far, -number - 1)[-number - 1])
    order = order[np.argsort(-far[order])]
    return order, far[order]


@cache
def _draw_signs(count: int) -> Numbers:
    """Return float[count, choices - 1] of -1 and 1; more seeds leave the first rows as they are."""
    rows = [np.random.default_rng([0, row]).integers(2, size=CHOICES - 1) for row in range(count)]
    return 1 - 2 * np.array(rows, np.float64)
