"""From the losses of a range test to base rates: what other rate finders suggest, on smoother ground."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from ratelab.commands.lr_find.range_test import RangeTest
from ratelab.validation import UserError

Floats = npt.NDArray[np.float64]

SMOOTHED = 0.1  # the standard deviation of the smoothing, in decades of the rate
LEAST_GAIN = 0.05  # of the first loss; less is no descent
TINY = 1e-30  # in place of a loss of 0, which has no logarithm
LOST = 0.5  # of what was gained: beyond, training has broken
BELOW_DIVERGENCE = 10.0


@dataclass(frozen=True)
class Suggestion:
    """A base rate.

    Attributes:
        name: of the rule that gives it.
        rate: from all seeds.
        lowest: of the rates that the rule gives when one seed is left out; None with fewer than 3 seeds.
        highest: of the same.
        rule: in a few words.
    """

    name: str
    rate: float
    lowest: float | None
    highest: float | None
    rule: str


@dataclass(frozen=True, eq=False)
class LossCurve:
    """The loss at each rate, up to where it diverges.

    Attributes:
        rates: float64[n], rising in equal ratios.
        losses: float64[n], smoothed.
        raw: float64[n], the geometric mean over the seeds: one that breaks early does not hide the others.
        diverged: whether that came before the highest rate tried.
    """

    rates: Floats
    losses: Floats
    raw: Floats
    diverged: bool


def loss_curve(rates: npt.NDArray[np.floating], losses: Floats) -> LossCurve:
    """Average over the seeds and over neighbouring rates; end where training has broken.

    The weights of the mean are Gaussian, of 0.1 decades, on both sides, so that nothing is shifted to higher
    rates as it is by a running average; losses are mirrored at the ends, so that the first ones are not drawn
    to 0. Training has broken where, behind its smallest value, the loss has lost half of what it had gained.

    Args:
        rates: [steps], rising in equal ratios.
        losses: [seeds, steps], NaN from where the loss of a seed was not finite.

    Raises:
        UserError: if the loss is not finite at the lowest rate, or does not fall.

    >>> losses = np.array([[2.0, 1.9, 1.5, 1.0, 1.2, 9.0, np.nan]])
    >>> curve = loss_curve(np.geomspace(0.001, 1000, 7), losses)
    >>> len(curve.rates), curve.diverged
    (5, True)
    """
    finite = np.isfinite(losses).all(axis=0)
    end = len(rates) if finite.all() else int(np.argmin(finite))
    if end < 2:
        raise UserError("lr-find: the loss is not finite at --lowest; give a smaller one.")
    raw = np.exp(np.log(np.maximum(losses[:, :end], TINY)).mean(axis=0))
    steps_of_decade = (len(rates) - 1) / np.log10(float(rates[-1]) / float(rates[0]))
    smooth = gaussian_filter1d(raw, SMOOTHED * steps_of_decade, mode="mirror")
    best = int(np.argmin(smooth))
    gained = smooth[0] - smooth[best]
    if gained < LEAST_GAIN * smooth[0]:
        raise UserError(
            f"lr-find: the loss does not fall from {rates[0]:g}, --lowest, to {rates[-1]:g}, --highest; "
            "try other ends or more --steps."
        )
    broken = smooth[best:] > smooth[best] + LOST * gained
    if broken.any():
        end = best + int(np.argmax(broken))
    return LossCurve(np.asarray(rates[:end], np.float64), smooth[:end], raw[:end], end < len(rates))


def steepest(curve: LossCurve) -> float:
    """Return the rate at which the loss falls fastest per decade of the rate.

    References:
        fast.ai's `steep`; PyTorch Lightning's `lr_find().suggestion()`.

    >>> rates = np.geomspace(0.001, 1, 7)
    >>> losses = np.array([3, 3, 2.9, 2, 0.9, 0.8, 2])
    >>> round(steepest(LossCurve(rates, losses, losses, True)), 4)
    0.0316
    """
    slopes = np.gradient(curve.losses, np.log(curve.rates))
    return float(curve.rates[int(np.argmin(slopes[: int(np.argmin(curve.losses)) + 1]))])


def valley(curve: LossCurve) -> float:
    """Return the rate in the middle of the longest descent of the loss that was not smoothed.

    The descent is a subsequence whose losses fall; it counts as being as long as it has members.

    References:
        fast.ai's `valley`, its default.

    >>> losses = np.array([3.0, 3.1, 3.0, 2.5, 2.0, 1.0, 1.1, 5.0])
    >>> float(valley(LossCurve(np.arange(1.0, 9.0), losses, losses, True)))
    3.0
    """
    start, end = _find_longest_descent(curve.raw)
    third = (end - start) / 3
    return float(curve.rates[start + int(third) + int(third / 2)])


def divergence(curve: LossCurve) -> float:
    """Return a tenth of the rate beyond which the loss has broken, or of the highest rate tried."""
    return float(curve.rates[-1] / BELOW_DIVERGENCE)


RULES: dict[str, tuple[Callable[[LossCurve], float], str]] = {
    "steepest": (steepest, "where the loss falls fastest"),
    "valley": (valley, "the middle of its longest descent"),
    "divergence": (divergence, "a tenth of where it breaks"),
}


def suggestions(test: RangeTest) -> list[Suggestion]:
    """Apply each rule to all seeds, and to all but one, which shows how far to trust it.

    Raises:
        UserError: if the loss is not finite at the lowest rate, or does not fall.
    """
    curve, seeds = loss_curve(test.rates, test.losses), len(test.seeds)
    others = [np.delete(test.losses, left_out, axis=0) for left_out in range(seeds)] if seeds > 2 else []
    less = [loss_curve(test.rates, losses) for losses in others]
    found = []
    for name, (rule, words) in RULES.items():
        own = [rule(one) for one in less]
        found.append(Suggestion(name, rule(curve), min(own, default=None), max(own, default=None), words))
    return found


def _find_longest_descent(losses: Floats) -> tuple[int, int]:
    """Return the first and the last place of the longest falling subsequence."""
    lengths = np.ones(len(losses), int)
    for place in range(1, len(losses)):
        higher = losses[:place] > losses[place]
        lengths[place] = 1 + (lengths[:place][higher].max() if higher.any() else 0)
    end = int(np.argmax(lengths))
    return end - int(lengths[end]) + 1, end
