"""Curves in the terminal: in one chart while they can be told apart, then in one each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ratelab.commands.preview.rates import Curve

STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
LETTERS = "abcdef"
NARROWEST, WIDEST = 24, 100  # in fewer columns there is no room for one cell of a chart beside its numbers
MARGIN = 9
# The bit of each dot of a Braille cell, four rows of two.
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
BRAILLE = 0x2800


def show(curves: Sequence[Curve], console: Console) -> None:
    """Print the curves; more than six get a chart each, two beside each other."""
    width = min(max(console.width, NARROWEST), WIDEST)
    growing = [Curve(c.name, c.batch_sizes.astype(np.float32)) for c in curves if c.batch_sizes is not None]
    if len(curves) <= len(STYLES):
        console.print(*chart(curves, width - MARGIN, 15), sep="\n")
        console.print(_make_legend(curves))
    else:
        console.print(_draw_panels(curves, width))
    if growing:
        console.print()
        console.print(_draw_panels(growing, width, "batch size of "))


def _draw_panels(curves: Sequence[Curve], width: int, what: str = "") -> Table:
    """Draw a small chart for each curve, two beside each other."""
    grid = Table.grid(padding=(0, 2, 1, 0))
    panels = [
        Group(Text(what + curve.name, "bold", no_wrap=True), *chart([curve], width // 2 - MARGIN - 2, 4))
        for curve in curves
    ]
    for left in range(0, len(panels), 2):
        grid.add_row(*panels[left : left + 2])
    return grid


def chart(curves: Sequence[Curve], width: int, height: int) -> list[Text]:
    """Draw curves over their steps, from rate 0 up to the highest.

    Args:
        curves: at least one; all have the scale of the longest and of the highest.
        width: of the plot, in characters, without the numbers to its left.
        height: in lines, without the axis.

    Returns:
        Lines of text, the steps below them.
    """
    steps = max(len(curve.rates) for curve in curves)
    top = max(float(curve.rates.max()) for curve in curves) or 1.0
    widths = [max(1, width * len(curve.rates) // steps) for curve in curves]
    dots = [draw_dots(curve.rates / top, own, height) for curve, own in zip(curves, widths, strict=True)]
    cells = [[Text(" ") for _ in range(width)] for _ in range(height)]
    # A cell has one colour; where curves meet it is that of the first, as in the legend.
    for number, drawn in reversed(list(enumerate(dots))):
        for row, column in np.argwhere(drawn):
            cells[row][column] = Text(chr(BRAILLE + int(drawn[row, column])), STYLES[number])
    if len(curves) > 1:
        _letter(cells, dots)
    numbers = {0: f"{top:.4g}", height - 1: "0"}
    if height % 2:
        numbers[height // 2] = f"{top / 2:.4g}"
    lines = [Text.assemble(f"{numbers.get(row, ''):>{MARGIN - 2}} ", *cells[row]) for row in range(height)]
    return [*lines, Text(f"{0:>{MARGIN}}{steps - 1:>{width - 1}}")]


def draw_dots(heights: npt.NDArray[np.floating], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the Braille cells of a line through `heights`.

    Args:
        heights: 0 to 1, any number of them.
        width: in cells of two dots.
        height: in cells of four dots.

    Returns:
        The bits of each cell, uint8[height, width].

    >>> draw_dots(np.array([1.0, 1.0]), 1, 1)
    array([[9]], dtype=uint8)
    """
    rows = np.rint((1 - heights) * (4 * height - 1)).astype(int)
    cells = np.zeros((height, width), np.uint8)
    edges = np.arange(2 * width + 1) * len(rows) // (2 * width)
    for column in range(2 * width):
        before = max(edges[column] - 1, 0)  # joins the line to the column on its left
        part = rows[before : max(edges[column + 1], before + 1)]
        for row in range(part.min(), part.max() + 1):
            cells[row // 4, column // 2] |= DOTS[row % 4, column % 2]
    return cells


def _letter(cells: list[list[Text]], dots: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Put the letter of each curve on it, here and there: colours are not everywhere."""
    for number, drawn in enumerate(dots):
        for column in range(3 + 3 * number, drawn.shape[1], 4 * len(dots) + 3):
            row = int(np.argmax(drawn[:, column] > 0))
            cells[row][column] = Text(LETTERS[number], f"bold {STYLES[number]}")


def _make_legend(curves: Sequence[Curve]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "schedule", "first", "highest", "last"):
        table.add_column(heading, justify="left" if heading in ("", "schedule") else "right", overflow="fold")
    for number, curve in enumerate(curves):
        rates = curve.rates
        numbers = [f"{rate:.4g}" for rate in (rates[0], rates.max(), rates[-1])]
        table.add_row(Text(LETTERS[number], STYLES[number]), Text(curve.name), *numbers)
    return table
