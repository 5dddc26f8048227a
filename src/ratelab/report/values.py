"""How a value is written for a reader: one form for each kind of value, whichever page or table shows it."""

from collections.abc import Callable
from typing import Any, Literal

from ratelab.comparison.pairs import write_difference, write_p

Kind = Literal[
    "text",  # words that may fold
    "word",  # one that stays on its line
    "count",
    "runs",  # how many, and how many of them diverged
    "accuracy",
    "accuracy in short",  # where a row has one for each base rate
    "accuracies",  # the ends of an interval
    "accuracies in short",
    "accuracy of a seed",
    "bootstrap",  # the method of an interval
    "difference",
    "differences",  # the ends of an interval
    "p",
    "share",
    "effect",
    "seconds",
    "rate",
    "base rate",  # a choice of the grid and not only its outcome: a digit more
    "best rate",  # and at which end of the grid it is
    "edge",
]
NONE = "-"  # for what there is not


def write(kind: Kind, *values: Any) -> str:
    """Return the text of one cell.

    Args:
        kind: of the value.
        values: one, or those that stand in the cell together, as the two ends of an interval.

    >>> write("accuracies", 0.91, 0.925), write("count", 27_500), write("seconds", None)
    ('0.9100 to 0.9250', '27,500', '-')
    """
    return NONE if None in values else _FORMS[kind](*values)


def _write_runs(count: int, diverged: int) -> str:
    return f"{count} ({diverged} diverged)" if diverged else f"{count}"


def _write_best_rate(rate: float, edge: str) -> str:
    return f"{rate:.3g} ({edge} tried)" if edge else f"{rate:.3g}"


def _write_edge(edge: str) -> str:
    return f"yes, the {edge}" if edge else "no"


def _write_differences(low: float, high: float) -> str:
    return f"{write_difference(low)} to {write_difference(high)}"


_FORMS: dict[Kind, Callable[..., str]] = {
    "text": str,
    "word": str,
    "count": "{:,.0f}".format,
    "runs": _write_runs,
    # four digits: the test splits have 10,000 examples at most
    "accuracy": "{:.4f}".format,
    "accuracy in short": "{:.3f}".format,
    "accuracies": "{:.4f} to {:.4f}".format,
    "accuracies in short": "{:.4f}-{:.4f}".format,
    "accuracy of a seed": "{:.4f} ({})".format,
    "bootstrap": "{} bootstrap".format,
    "difference": write_difference,
    "differences": _write_differences,
    "p": write_p,
    "share": "{:.2f}".format,
    "effect": "{:+.2f}".format,
    "seconds": "{:.2f}".format,
    "rate": "{:.3g}".format,
    "base rate": "{:.4g}".format,
    "best rate": _write_best_rate,
    "edge": _write_edge,
}
