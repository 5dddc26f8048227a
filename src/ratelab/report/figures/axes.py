"""Axes with their legends, numbers and panels, as the figures of a report share them."""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ratelab.comparison.comparing import DEFAULT_BASELINE
from ratelab.report.figures import palette
from ratelab.report.figures.svg import WIDTH
from ratelab.tasks import ACCURACY, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MOST_TOGETHER = 8  # groups in one axes; more get a panel each
MANY_POINTS = 13  # of a curve that shows without markers
_COLUMNS = 2
_PANEL_LETTERS = 33
_PANEL_HEIGHT = 0.72  # inches
_LEGEND_LETTERS = 60


class Look(NamedTuple):
    """How the curve of a group is drawn."""

    color: str
    dash: palette.Dash
    marker: str

    def line(self, points: int) -> dict[str, Any]:
        """Return what `Axes.plot` takes; few points get markers, for one alone would not show."""
        markers = {"marker": self.marker, "markersize": 3.5} if points < MANY_POINTS else {}
        return {"color": self.color, "linestyle": self.dash, **markers}


Draw = Callable[["Axes", int, Look], None]


def draw_lines(title: str, x: str, y: str, names: Sequence[str], draw: Draw) -> "Canvas":
    """Return a figure with a curve for each group: together, or of many a panel each.

    Args:
        title: of the figure.
        x: what the x axis is, with its unit.
        y: the same for the y axis.
        names: of the groups.
        draw: draws the group of a number into axes.
    """
    if len(names) <= MOST_TOGETHER:
        return _draw_together(title, x, y, names, draw)
    return _draw_panels(title, x, y, names, draw)


def _draw_together(title: str, x: str, y: str, names: Sequence[str], draw: Draw) -> "Canvas":
    from matplotlib.lines import Line2D

    looks = [Look(palette.series(n), palette.dash(n), palette.marker(n)) for n in range(len(names))]
    labels = [textwrap.fill(name, _LEGEND_LETTERS) for name in names]
    # 68 letters of the legend fit side by side, handles and gaps counted as ten
    columns = max(1, min(3, 68 // (max(map(len, names)) + 10)))
    rows = math.ceil(sum(label.count("\n") + 1 for label in labels) / columns)
    canvas = make_canvas(2.85 + 0.17 * rows)
    axes = canvas.add_subplot()
    for number, look in enumerate(looks):
        draw(axes, number, look)
    axes.set(title=title, xlabel=x, ylabel=y)
    # a curve has markers if it has few points, which only its drawing knows; its first line tells
    markers = {line.get_color(): line.get_marker() for line in reversed(axes.lines)}
    handles = [
        Line2D([], [], color=k.color, linestyle=k.dash, marker=markers.get(k.color, "None"), markersize=3.5)
        for k in looks
    ]
    canvas.legend(handles, labels, loc="outside lower left", ncols=columns)
    return canvas


def _draw_panels(title: str, x: str, y: str, names: Sequence[str], draw: Draw) -> "Canvas":
    labels = [textwrap.fill(name, _PANEL_LETTERS) for name in names]
    head = 0.13 * (1 + max(label.count("\n") for label in labels)) + 0.1  # inches above each panel
    rows = math.ceil(len(names) / _COLUMNS)
    height = 0.85 + rows * (_PANEL_HEIGHT + head)
    canvas = make_canvas(height, measured=False)  # to measure so many axes takes seconds
    canvas.subplots_adjust(
        left=0.15,
        right=0.98,
        wspace=0.1,
        hspace=head / _PANEL_HEIGHT,
        bottom=0.5 / height,
        top=1 - (0.3 + head) / height,
    )
    grid = canvas.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).flat
    common, dotted = _find_reference(names), Look(palette.MUTED.stand_in, (0, (2, 1.5)), "")
    own = Look(palette.series(0), palette.dash(0), palette.marker(0))
    for number, axes in enumerate(grid):
        if number >= len(names):
            axes.set_visible(False)
            continue
        # first, so that the panel's own curve lies above it
        if number != common:
            draw(axes, common, dotted)
        draw(axes, number, own)
        axes.set_title(labels[number], fontsize=7.5, fontweight="normal", pad=3)
        axes.tick_params(labelsize=7.5, labelbottom=number + _COLUMNS >= len(names))
    canvas.text(0.01, 1 - 0.05 / height, title, ha="left", va="top", fontsize=10.5, fontweight="bold")
    canvas.text(0.565, 0.08 / height, x, ha="center", va="bottom", fontsize=9)
    canvas.text(0.015, 0.5, y, ha="left", va="center", rotation=90, fontsize=9)
    return canvas


def name_values(outcome: Outcome) -> str:
    """Return what an axis says of the values of a metric, with their unit if it is known."""
    is_accuracy = outcome == ACCURACY
    return f"{outcome.metric} (fraction correct)" if is_accuracy else outcome.metric


def make_canvas(height: float, *, measured: bool = True) -> "Canvas":
    """Return an empty figure of the report's width.

    Args:
        height: in inches.
        measured: whether its texts are measured and room is made for them.
    """
    from matplotlib.figure import Figure as Canvas

    return Canvas((WIDTH, height), layout="constrained" if measured else None)


def describe_reference(names: Sequence[str]) -> str:
    """Return what a caption says of the group that is drawn in the panel of every other."""
    return f" Dotted in each panel: {names[_find_reference(names)]}." if len(names) > MOST_TOGETHER else ""


def _find_reference(names: Sequence[str]) -> int:
    """Return the place of the group that many are compared with."""
    return names.index(DEFAULT_BASELINE) if DEFAULT_BASELINE in names else 0


def write_plain_numbers(axes: "Axes", x: str = "", y: str = "") -> None:
    """Write the numbers of the axes without powers of ten, which need a typesetter.

    Args:
        axes: whose numbers.
        x: "count" (27,500), "large" (2.5M), "log" (0.01) or "".
        y: "log" or "".
    """
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    many = len(axes.figure.axes) > 1  # in panels there is room for fewer numbers
    if x == "count":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(3 if many else 5, integer=True))
    if x == "large":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(3 if many else 5, integer=True))
    for axis, kind in ((axes.xaxis, x), (axes.yaxis, y)):
        if kind == "log":
            low, high = axis.get_view_interval()
            subs = (1.0, 2.0, 5.0) if high < 200 * low else (1.0,)
            axis.set_major_locator(LogLocator(subs=subs, numticks=5 if many else 9))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


def list_visible_axes(canvas: "Canvas") -> Iterator["Axes"]:
    """Return the axes that show."""
    return (axes for axes in canvas.axes if axes.get_visible())
