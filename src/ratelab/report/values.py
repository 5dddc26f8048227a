"""How a value is written for a reader: one form for each kind of value, whichever page or table shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ratelab.comparison.pairs import write_difference, write_p

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

        >>> ACCURACIES.write(0.91, 0.925), COUNT.write(27_500), SECONDS.write(None)
        ('0.9100 to 0.9250', '27,500', '-')
        """
        return NONE if None in values else self.text(*values)


def _write_runs(count: int, diverged: int) -> str:
    return f"{count} ({diverged} diverged)" if diverged else f"{count}"


def _write_best_rate(rate: float, edge: str) -> str:
    return f"{rate:.3g} ({edge} tried)" if edge else f"{rate:.3g}"


def _write_edge(edge: str) -> str:
    return f"yes, the {edge}" if edge else "no"


def _write_differences(low: float, high: float) -> str:
    return f"{write_difference(low)} to {write_difference(high)}"


TEXT = Form(str, is_words=True)  # words that may fold
WORD = Form("{}".format)  # words that stay on their line
COUNT = Form("{:,.0f}".format)
RUNS = Form(_write_runs)
ACCURACY = Form("{:.4f}".format)  # the last digit is one example of MNIST's test split
ROUGH_ACCURACY = Form("{:.3f}".format, may_break=True)  # where a row has one for each base rate
ACCURACIES = Form("{:.4f} to {:.4f}".format)  # the ends of an interval
SPAN = Form("{:.4f}-{:.4f}".format)  # the same where room is scarce
ACCURACY_OF_SEED = Form("{:.4f} ({})".format)
BOOTSTRAP = Form("{} bootstrap".format)
DIFFERENCE = Form(write_difference)
DIFFERENCES = Form(_write_differences)
P = Form(write_p)
SHARE = Form("{:.2f}".format)
EFFECT = Form("{:+.2f}".format)
SECONDS = Form("{:.2f}".format, may_break=True)
RATE = Form("{:.3g}".format, may_break=True)
BASE_RATE = Form("{:.4g}".format)  # grids are finer than what three digits tell apart
BEST_RATE = Form(_write_best_rate, may_break=True)
EDGE = Form(_write_edge, is_words=True)
