"""With how many digits values are told: as many as tell runs apart, whatever the size of the metric."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ratelab.tasks import ACCURACY, Outcome

EXACT = 8  # decimals behind those that a value has by its size: what differs farther behind is rounding
_SIGNIFICANT = 4
_MOST_MORE = 4  # digits behind those; what differs farther behind is hardly more than rounding
_LARGEST_PLAIN = 1e9  # of larger numbers nobody counts the digits


@dataclass(frozen=True)
class Digits:
    """How the values of a metric are written in one comparison, so that they can be held beside each other.

    Attributes:
        decimals: the place of the last digit behind the point; below 0 that many before it.
        mantissa: digits behind the point of a number that is written with a power of ten; None: without.
        more: how many of them are there to show the spread.
    """

    decimals: int = 4  # of an accuracy: one example of MNIST's test split
    mantissa: int | None = None
    more: int = 0

    def write(self, value: float, sign: str = "") -> str:
        """Return a value for reading; with "+" as `sign` a difference.

        >>> Digits(2).write(53.2), Digits(4).write(-0.5, "+"), Digits(12, 3).write(1.5e-9)
        ('53.20', '-0.5000', '1.500e-09')
        """
        if self.mantissa is None and abs(value) < _LARGEST_PLAIN:
            return f"{value:{sign},.{max(0, self.decimals)}f}"
        return f"{value:{sign}.{3 if self.mantissa is None else self.mantissa}e}"

    @property
    def fewer(self) -> "Digits":
        """The same with a digit less."""
        return Digits(self.decimals - 1, None if self.mantissa is None else max(0, self.mantissa - 1))


FOR_ACCURACY = Digits()
FOR_COUNTS = Digits(0)


def digits_of(outcome: Outcome, values: Iterable[float], spread: float = 0.0) -> Digits:
    """Return with which digits values are written: four, or more where these do not show how they spread.

    Args:
        outcome: what they are of; accuracies have four decimals.
        values: of one comparison.
        spread: a small standard deviation among them; 0 where there is none.

    >>> digits_of(Outcome("rmse", False), [53.2, 48.1]).decimals
    2
    >>> digits_of(Outcome("rmse", False), [1234.5, 1234.6], spread=0.02).decimals
    3
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if outcome == ACCURACY or not sizes:
        return FOR_ACCURACY
    # the median, for one run that nearly diverged must not hide the digits of all others
    exponent = _find_exponent(float(np.median(sizes)))
    more, mantissa = 0, _SIGNIFICANT - 1
    if spread > 0:
        wanted = exponent + 1 - _find_exponent(spread)  # so that two digits of it show
        more = min(max(0, wanted - mantissa), _MOST_MORE)
    mantissa += more
    return Digits(mantissa - exponent, None if -5 < exponent < 7 else mantissa, more)


def _find_exponent(size: float) -> int:
    # as far as a float64 can be multiplied by ten again and again
    return min(250, max(-250, math.floor(math.log10(size))))


def write_value(outcome: Outcome, value: float | None) -> str:
    """Return one value for reading, by itself.

    >>> write_value(ACCURACY, 1.0), write_value(Outcome("rmse", False), 0.00123456)
    ('1.0000', '0.001235')
    """
    number = math.nan if value is None else value
    return digits_of(outcome, [number]).write(number)
