"""The numbers of a comparison: means, intervals, tests. Arrays in, numbers out; the same every time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ratelab.validation import UserError

CONFIDENCE = 0.95
RESAMPLES = 9_999
EXACT_PAIRS = 16  # up to here every one of the 2^n sign flips is counted
FEWEST_FOR_INTERVAL = 3  # values
FEWEST_FOR_BOOTSTRAP = 6  # values; below, resamples of equal values are too frequent for a studentized one

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and how it was computed."""

    low: float
    high: float
    method: str

    def holds(self, value: float) -> bool:
        """Say whether `value` lies in it, its ends included."""
        return self.low <= value <= self.high


def interquartile_mean(values: npt.ArrayLike) -> float:
    """Return the mean of the middle half: a quarter of the values, rounded down, is left out at each end.

    Args:
        values: float[n], n >= 1.

    References:
        Agarwal et al. 2021, arXiv 2108.13264; scipy.stats.trim_mean.

    >>> interquartile_mean([0.0, 0.5, 0.7, 1.0])
    0.6
    """
    data = np.asarray(values, np.float64)
    cut = len(data) // 4
    # the library's own function has the same lines, and is imported in most of a second
    return float(np.partition(data, (cut, len(data) - cut - 1))[cut : len(data) - cut].mean())


def mean_interval(values: npt.ArrayLike) -> Interval | None:
    """Return a 95 % interval of a mean, of values or of paired differences: the studentized bootstrap.

    t* = (mean* - mean) / (sd* / sqrt(n)) over resamples gives quantiles in the place of Student's:
    [mean - t*_high sd / sqrt(n), mean - t*_low sd / sqrt(n)]. Unlike BCa it covers the truth as often as it
    says also for ten values and skewed noise (docs/protocol.md).

    Args:
        values: float[n], one for each seed; their order does not matter.

    Returns:
        The interval, its method "studentized bootstrap", "Student's t" for fewer than six values, or
        "all equal"; None for fewer than three: that of two reaches thirteen times as far as they differ.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 12.5.

    >>> mean_interval([0.25, 0.25, 0.25])
    Interval(low=0.25, high=0.25, method='all equal')
    >>> mean_interval([0.5, 0.6]) is None
    True
    """
    data = np.asarray(values, np.float64)
    n = len(data)
    if n < FEWEST_FOR_INTERVAL:
        return None
    mean, error = float(data.mean()), float(data.std(ddof=1)) / np.sqrt(n)
    if np.ptp(data) == 0:
        return Interval(float(data[0]), float(data[0]), "all equal")
    if n < FEWEST_FOR_BOOTSTRAP:
        from scipy.special import stdtrit  # where scipy.stats has it from, in a third of the time

        reach = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error
        return Interval(mean - reach, mean + reach, "Student's t")
    low, high = _bootstrap_quantiles(data)
    return Interval(float(mean - high * error), float(mean - low * error), "studentized bootstrap")


def _bootstrap_quantiles(data: Numbers) -> tuple[float, float]:
    """Return the outer quantiles of t* over resamples, each of which is also taken from the other end.

    So neither the order of the seeds matters nor which of the two comes first: then all signs change.
    """
    n = len(data)
    places = np.random.default_rng(0).integers(n, size=((RESAMPLES + 1) // 2, n))
    drawn = np.sort(data)[np.concatenate([places, n - 1 - places])]
    spread = drawn.std(1, ddof=1)
    wide = np.ptp(drawn, 1) > 0  # a resample of one value has no t*
    t = np.sort((drawn[wide].mean(1) - data.mean()) / (spread[wide] / np.sqrt(n)))
    # the k-th of n ordered values is their quantile k / (n + 1); lists count from 0
    cut = int((len(t) + 1) * (1 - CONFIDENCE) / 2)
    return float(t[cut - 1]), float(t[-cut])


def sign_flip_test(differences: npt.ArrayLike) -> float:
    """Return the two-sided p-value of the paired permutation test on the mean difference.

    If the two are equal, each difference could as well have had the other sign. p is the share of all 2^n
    choices of signs that give a mean at least as far from zero; above 16 pairs that of 2^16 - 1 random
    choices and the observed one.

    Args:
        differences: float[n], one for each seed.

    Returns:
        p, at least 2 / 2^n; 1 for no pairs.

    References:
        Fisher 1935, The Design of Experiments; scipy.stats.permutation_test.

    >>> sign_flip_test([0.1, 0.2, 0.3])
    0.25
    """
    return float(sign_flip_tests(np.asarray(differences, np.float64)[None])[0])


def sign_flip_tests(differences: npt.ArrayLike) -> Numbers:
    """Return the p-value of `sign_flip_test` for each row of float[tests, n]."""
    data = np.asarray(differences, np.float64)
    n = data.shape[1]
    if n == 0:
        return np.ones(len(data))
    # neither the order of the seeds nor which of the two comes first matters
    sizes = np.sort(np.abs(data), 1)
    observed = np.abs(data.sum(1)) - 1e-12 * sizes.sum(1)  # up to the rounding of sums in another order
    as_far = (np.abs(sizes @ _signs(n)) >= observed[:, None]).sum(1)
    p: Numbers = as_far / 2 ** (n - 1) if n <= EXACT_PAIRS else (as_far + 1) / 2**EXACT_PAIRS
    return p


def _signs(n: int) -> Numbers:
    """Return float[n, choices] of -1 and 1: every choice but for its opposite, or random ones."""
    # the opposite of a choice is as far from zero, so one half of all choices has the same share
    if n <= EXACT_PAIRS:
        flipped = (np.arange(2 ** (n - 1))[None] >> np.arange(n)[:, None]) & 1
    else:
        flipped = np.random.default_rng(0).integers(2, size=(n, 2**EXACT_PAIRS - 1))
    return 1 - 2 * flipped.astype(np.float64)


def smallest_p(pairs: int) -> float:
    """Return the smallest p-value that `sign_flip_test` can give: 2 / 2^n, or 1 / 2^16.

    >>> smallest_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - pairs)) if pairs <= EXACT_PAIRS else 2.0**-EXACT_PAIRS


def pairs_needed(tests: float) -> int:
    """Return the number of pairs from which on the smallest of `tests` p-values can pass Holm's correction.

    >>> pairs_needed(1), pairs_needed(3), pairs_needed(15)
    (6, 7, 10)
    """
    # log2 of a power of two may come out a little above its exponent
    return int(np.ceil(1 + np.log2(tests / (1 - CONFIDENCE)) - 1e-9))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number: p_(i) becomes max over j <= i of (m - j + 1) p_(j).

    Whatever depends on whatever, the chance that one of the true null hypotheses falls below 0.05 is then
    at most 0.05.

    Args:
        p_values: each in [0, 1].

    Returns:
        Corrected values in the same order, at most 1.

    Raises:
        UserError: if a value is no probability.

    References:
        Holm 1979, A simple sequentially rejective multiple test procedure.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise UserError(f"holm: p_values must lie in [0, 1], got {list(p_values)}.")
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in corrected]


def probability_of_improvement(differences: npt.ArrayLike) -> float:
    """Return the share of pairs in which the first is larger, a tie counted as one half.

    >>> probability_of_improvement([0.1, 0.0, -0.1, 0.2])
    0.625
    """
    data = np.asarray(differences, np.float64)
    return float(np.mean((data > 0) + 0.5 * (data == 0)))


def effect_size(differences: npt.ArrayLike) -> float | None:
    """Return the mean difference in units of its standard deviation (Cohen's d of paired data).

    Returns:
        mean / sd; None for fewer than two pairs, or where all differences are equal.

    References:
        Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, section 2.3.5 (d_z).

    >>> effect_size([0.0, 2.0])
    0.7071067811865475
    """
    data = np.asarray(differences, np.float64)
    if len(data) < 2 or np.ptp(data) == 0:
        return None
    return float(data.mean() / data.std(ddof=1))
