"""How many seeds it takes to show a difference of a given size, where a pilot has told the spread."""

from bisect import bisect_left

import numpy as np

from ratelab.comparison.statistics import CONFIDENCE, pairs_needed

MOST = 100_000  # seeds; nobody trains more
_SPREADS = 400  # values, each as likely, that the true standard deviation may have after a pilot


def find_power(seeds: int, ratio: float, tests: int, pilot: int) -> float:
    """Return the chance that a pair with so many fresh seeds is called different.

    That of Student's paired t test at level 0.05 / `tests`, Holm's first step, by the noncentral t, with
    fewer seeds than there are: one fewer, since p-values of few seeds come in steps and the verdict asks the
    interval as well, and 1.5 for a single pair, where test and interval have the same level and both must
    show it. How far the pilot's standard deviation is from the true one is not known: the mean over all that
    it may be, sd sqrt(v / chi2_v) with v = `pilot` - 1. benchmarks/calibration.py holds it against our test.

    Args:
        seeds: of each of the two groups.
        ratio: the true difference in units of the standard deviation that the pilot's differences have.
        tests: how many pairs share the level.
        pilot: how many seeds the pilot has, at least two.

    References:
        Cohen 1988, Statistical Power Analysis for the Behavioral Sciences (power of the t test);
        O'Hagan et al. 2005, doi 10.1002/pst.175 (the mean over what is not known).

    >>> round(find_power(20, 1.0, tests=1, pilot=1_000_000), 2), round(find_power(20, 1.0, 1, pilot=6), 2)
    (0.98, 0.89)
    """
    from scipy import stats  # half a second: not before there is something to plan

    if seeds < pairs_needed(tests):
        return 0.0
    counted = seeds - (1.5 if tests == 1 else 1.0)
    critical = stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * tests), counted - 1)
    chi2 = stats.chi2.ppf((np.arange(_SPREADS) + 0.5) / _SPREADS, pilot - 1)
    shifts = ratio * np.sqrt(counted * chi2 / (pilot - 1))
    # whatever lies farther away is shown, and the distribution is hard to compute there
    return float(stats.nct.sf(critical, counted - 1, np.minimum(shifts, 100.0)).mean())


def find_seeds(power: float, ratio: float, tests: int, pilot: int) -> int | None:
    """Return the fewest fresh seeds that show a difference with that chance; None: more than 100,000.

    >>> [find_seeds(0.8, 1.0, tests=1, pilot=seeds) for seeds in (3, 6, 20, 1_000_000)]
    [24, 15, 13, 12]
    """
    choices = range(MOST + 1)
    found = bisect_left(choices, power, key=lambda seeds: find_power(seeds, ratio, tests, pilot))
    return found if found in choices else None


def find_ratio(power: float, tests: int, pilot: int) -> float | None:
    """Return which difference as many fresh seeds as the pilot has show with that chance.

    Returns:
        In units of the standard deviation of the pilot's differences; None: so few seeds show nothing.

    >>> find_ratio(0.8, tests=1, pilot=5) is None
    True
    >>> round(find_ratio(0.8, tests=1, pilot=20), 2)
    0.72
    """
    from scipy import optimize

    if pilot < pairs_needed(tests):
        return None
    return float(optimize.brentq(lambda ratio: find_power(pilot, ratio, tests, pilot) - power, 0.0, 1e3))
