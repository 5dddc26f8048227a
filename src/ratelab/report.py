"""What the user reads at the end: tables for the terminal."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from ratelab.comparison import Group

__all__ = ["schedule_lines", "sweep_table"]


def sweep_table(groups: Iterable[Group]) -> Table:
    """Return the table of a sweep, a row for each group."""
    table = Table(title="Test accuracy, once, after the last step")
    table.add_column("schedule", overflow="fold")
    for heading in ("runs", "mean", "range", "final rate", "seconds"):
        table.add_column(heading, justify="right")
    for group in groups:
        table.add_row(
            Text(group.name), _counts(group), *_accuracy(group), _rate(group), f"{group.seconds:.2f}"
        )
    return table


def schedule_lines(rates: npt.NDArray[np.float32] | None) -> Sequence[str]:
    r"""Return one line a step: its number and its rate, in the fewest digits that give the float32 back.

    Args:
        rates: float32[steps]; None where they are decided while training.

    >>> print(*schedule_lines(np.float32([0.1, 0.05])), sep="\n")
    step   learning_rate
       0   0.1
       1   0.05
    """
    if rates is None:
        return ["The rates are decided while training, each epoch's from the validation losses before it."]
    width = max(4, len(str(len(rates))))
    rows = [f"{step:>{width}}   {rate!s}" for step, rate in enumerate(rates)]
    return [f"{'step':>{width}}   learning_rate", *rows]


def _counts(group: Group) -> str:
    extra = [f"{n} {word}" for n, word in ((group.diverged, "diverged"), (group.failed, "failed")) if n]
    return f"{group.runs}" + (f" ({', '.join(extra)})" if extra else "")


def _accuracy(group: Group) -> list[str]:
    if group.accuracy is None:
        return ["-", "-"]
    mean, lowest, highest = group.accuracy
    return [f"{mean:.4f}", f"{lowest:.4f} to {highest:.4f}"]


def _rate(group: Group) -> str:
    return "-" if group.final_rate is None else f"{group.final_rate:.6g}"
