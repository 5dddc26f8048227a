"""How a value is written for a reader: one form for each kind of value, whichever page or table shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ratelab.comparison import Digits
from ratelab.comparison.sentences import write_p

NONE = "-"  # for what there is not


@dataclass(frozen=True)
class Form:
    """How a kind of value is written.

    Attributes:
        text: the function from the values of a cell to its text.
        is_words: whether these are words, which may fold and stand left; numbers stand right.
        may_break: whether its column may break in a narrow terminal: a short number below several words.
    """

    text: Callable[..., str]
    is_words: bool = False
    may_break: bool = False

    def write(self, *values: Any) -> str:
        """Return the text of a cell with these values, a dash where one of them is None.

        >>> RUNS.write(10, 1), COUNT.write(27_500), SECONDS.write(None)
        ('10 (1 diverged)', '27,500', '-')
        """
        return NONE if None in values else self.text(*values)


def _write_runs(count: int, diverged: int) -> str:
    return f"{count} ({diverged} diverged)" if diverged else f"{count}"


def _write_best_rate(rate: float, edge: str) -> str:
    return f"{rate:.3g} ({edge} tried)" if edge else f"{rate:.3g}"


def _write_pair(first: str, second: str) -> str:
    return f"{first} - {second}" if second else first


def _write_edge(edge: str) -> str:
    return f"yes, the {edge}" if edge else "no"


class Values:
    """The forms of what is measured in one metric, and of differences of it.

    Args:
        digits: how its values are written.

    Attributes:
        value: one of them.
        rough: one where a row has many, a digit shorter.
        interval: the ends of an interval.
        span: the same where room is scarce.
        of_seed: a value, and the seed that it is of.
        difference: of two of them.
        differences: the ends of an interval of differences.

    >>> Values(Digits(2)).interval.write(53.2, 54.0), Values(Digits(2)).difference.write(-0.8)
    ('53.20 to 54.00', '-0.80')
    """

    def __init__(self, digits: Digits) -> None:
        def write_interval(low: float, high: float, between: str = " to ", sign: str = "") -> str:
            return f"{digits.write(low, sign)}{between}{digits.write(high, sign)}"

        self.value = Form(digits.write)
        self.rough = Form(digits.fewer.write, may_break=True)
        self.interval = Form(write_interval)
        self.span = Form(partial(write_interval, between="-"))
        self.of_seed = Form(lambda value, seed: f"{digits.write(value)} ({seed})")
        self.difference = Form(partial(digits.write, sign="+"))
        self.differences = Form(partial(write_interval, sign="+"))


PAIR = Form(_write_pair, is_words=True)
TEXT = Form(str, is_words=True)  # words that may fold
COUNT = Form("{:,.0f}".format)
RUNS = Form(_write_runs)
P = Form(write_p)
SHARE = Form("{:.2f}".format)
EFFECT = Form("{:+.2f}".format)
SECONDS = Form("{:.2f}".format, may_break=True)
TARGET = Form("{:.10g}".format)
RATE = Form("{:.3g}".format, may_break=True)
BASE_RATE = Form("{:.4g}".format)  # grids are finer than what three digits tell apart
BEST_RATE = Form(_write_best_rate, may_break=True)
EDGE = Form(_write_edge, is_words=True)
