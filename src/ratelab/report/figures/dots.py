"""Figures with a dot for each seed: final values, paired differences, the choice of base rates."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ratelab.comparison import Comparison, Digits, Group, Interval, Pair, Summary, Tuned
from ratelab.report.figures import palette
from ratelab.report.figures.axes import (
    Look,
    describe_reference,
    draw_lines,
    list_visible_axes,
    make_canvas,
    name_values,
    write_plain_numbers,
)
from ratelab.report.figures.figure import Figure, csv_text, finish
from ratelab.report.values import BASE_RATE
from ratelab.tasks import ACCURACY, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

SYMBOLS = {
    "better": "▲",
    "worse": "▼",
    "practically equal": "=",
    "no difference shown": "≈",
    "open": "…",
    "no conclusion": "?",
    "not compared": "/",
}
_ROW_LETTERS = 64
_LANE = 0.17  # half the height that the dots of a row are spread over
_BAR = 0.09  # half the height in the middle that is the interval's and the mean's, which would hide a dot


@dataclass(frozen=True)
class _Row:
    """One row of a dot figure; places are None where a run diverged and is no dot but a cross."""

    label: str
    dots: tuple[float | None, ...]
    mean: float
    interval: Interval | None


def draw_final(comparison: Comparison, slug: str) -> Figure:
    """Return the figure of the final value of every seed."""
    outcome, both = comparison.outcome, zip(comparison.groups, comparison.members, strict=True)
    rows = [_make_final_row(group, members, comparison.digits) for group, members in both]
    title = f"{comparison.judge} of every seed"
    canvas = _draw_figure(title, name_values(outcome), rows, outcome, zero=False)
    caption = f"A dot is one seed, the diamond the mean, the bar its {_name_methods(comparison.groups)}."
    if comparison.is_of_times:  # by which a run that diverged has a value as any other
        caption += " A run that did not reach it lies at the common end."
    elif any(group.diverged for group in comparison.groups):
        caption += f" A cross at the edge is a run that diverged; it counts as {comparison.worst}"
        caption += ", the axis does not reach there." if outcome == ACCURACY else "."
    table = [
        [
            group.name,
            seed,
            value,
            _count_diverged(members, seed),
            group.mean,
            *_cells(group.interval),
        ]
        for group, members in zip(comparison.groups, comparison.members, strict=True)
        for seed, value in zip(group.seeds, group.values, strict=True)
    ]
    headings = ["group", "seed", outcome.metric, "diverged", "group_mean", "group_low", "group_high"]
    return finish(canvas, slug, title, caption, {slug: csv_text(headings, table)})


def _make_final_row(group: Summary, members: Group, digits: Digits) -> _Row:
    dots = tuple(
        None if members.time is None and _count_diverged(members, seed) else value
        for seed, value in zip(group.seeds, group.values, strict=True)
    )
    label = group.name
    if group.diverged:
        mean = digits.write(group.mean)
        label += f": × {group.diverged} of {len(members.runs)} diverged, mean {mean}"  # noqa: RUF001
    return _Row(label, dots, group.mean, group.interval)


def _count_diverged(members: Group, seed: int) -> int:
    """Return how many runs of a seed diverged."""
    return sum(run.status == "diverged" for run in members.by_seed[seed])


def _name_methods(groups: Sequence[Summary]) -> str:
    methods = sorted({one.interval.method for one in groups if one.interval})
    return f"95 % interval ({' or '.join(methods)})" if methods else "95 % interval, if it has one"


def draw_differences(comparison: Comparison, slug: str) -> Figure | None:
    """Return the figure of the paired differences, None where no pair has a common seed."""
    pairs = [pair for pair in comparison.pairs if pair.seeds and pair.mean is not None]
    if not pairs:
        return None
    reference = comparison.reference
    rows = [
        _Row(_label(p, reference), p.differences, p.mean, p.interval) for p in pairs if p.mean is not None
    ]
    title = "Paired differences, seed by seed"
    outcome = comparison.outcome
    is_accuracy = outcome == ACCURACY
    what = "difference of accuracies (fraction correct)" if is_accuracy else f"difference of {outcome.metric}"
    canvas = _draw_figure(title, what, rows, outcome, zero=True)
    methods = ", ".join(sorted({pair.interval.method for pair in pairs if pair.interval}))
    first = f"the group named minus {reference}" if reference else "the first minus the second"
    caption = (
        f"A dot is one seed that both groups have: {first}. The diamond is the mean, the bar its 95 % "
        f"interval{f' ({methods})' if methods else ''}. "
        f"{'Right' if outcome.higher_is_better else 'Left'} of the line the first is better. "
        f"{_explain_symbols(pairs)}"
    )
    table = [
        [pair.first, pair.second, seed, difference, pair.mean, *_cells(pair.interval)]
        for pair in pairs
        for seed, difference in zip(pair.seeds, pair.differences, strict=True)
    ]
    headings = ["first", "second", "seed", "difference", "mean", "low", "high"]
    return finish(canvas, slug, title, caption, {slug: csv_text(headings, table)})


def _explain_symbols(pairs: Sequence[Pair]) -> str:
    verdicts = {pair.verdict for pair in pairs}
    return (
        f"{', '.join(f'{symbol} {verdict}' for verdict, symbol in SYMBOLS.items() if verdict in verdicts)}."
    )


def _label(pair: Pair, reference: str) -> str:
    """Return the verdict and the groups of a pair, the second one only where it is not the same in all."""
    second = "" if reference else f" − {pair.second}"  # noqa: RUF001 - a minus, not a hyphen
    return f"{SYMBOLS[pair.verdict]} {pair.first}{second}"


def _cells(interval: Interval | None) -> tuple[float | None, float | None]:
    """Return low and high as a row of the CSV has them: empty where there is no interval."""
    return (interval.low, interval.high) if interval else (None, None)


def _draw_figure(title: str, x: str, rows: Sequence[_Row], outcome: Outcome, *, zero: bool) -> "Canvas":
    """Return a row for each group or pair: its name, below it the dots, mean and interval."""
    labels = [textwrap.fill(row.label, _ROW_LETTERS) for row in rows]
    heights = [1.0 + 0.3 * label.count("\n") for label in labels]
    canvas = make_canvas(0.75 + 0.47 * sum(heights))
    axes, limits = canvas.add_subplot(), _find_limits(rows, zero)
    top = 0.0
    for number, (row, label, height) in enumerate(zip(rows, labels, heights, strict=True)):
        middle = top + height - 0.38
        axes.axhline(top + height, color=palette.GRID.stand_in, linewidth=0.7)
        _write(axes, label, top + 0.06)
        _draw_row(axes, row, middle, number, limits)
        _draw_crosses(axes, row, middle, number, outcome)
        top += height
    axes.set(title=title, xlabel=x, ylim=(top, 0), yticks=[])
    axes.set_xlim(*limits)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    if zero:
        axes.axvline(0, color=palette.INK.stand_in, linewidth=1, zorder=1)
    return canvas


def _write(axes: "Axes", label: str, top: float) -> None:
    """Write the name of a row on paper, so that no line runs through it."""
    paper = {"facecolor": palette.PAPER.stand_in, "edgecolor": "none", "pad": 0.6}
    across = axes.get_yaxis_transform()
    axes.text(0, top, label, transform=across, va="top", fontsize=8.5, bbox=paper, zorder=1.5)


def _draw_row(axes: "Axes", row: _Row, middle: float, number: int, limits: tuple[float, float]) -> None:
    """Draw dots, crosses, mean and interval around the height `middle`, in the colour of the row's number."""
    color, count = palette.series(number), len(row.dots)
    shown = [(dot, lane) for dot, lane in zip(row.dots, _spread(row, middle), strict=True) if dot is not None]
    if shown:
        x, y = zip(*shown, strict=True)
        axes.plot(x, y, "o", color=color, markersize=3.6, markeredgewidth=0, alpha=0.75, zorder=2)
    ink = palette.INK.stand_in
    if row.interval:
        axes.plot([row.interval.low, row.interval.high], [middle] * 2, "-", color=ink, linewidth=2, zorder=3)
    # a mean that diverged runs drag out of the axes would stand at their edge as if it were there
    if count > 1 and limits[0] < row.mean < limits[1]:
        axes.plot([row.mean], [middle], "D", color=ink, markersize=5, markeredgewidth=0, zorder=4)


def _spread(row: _Row, middle: float) -> list[float]:
    """Return the height of each seed, above and below the bar: no dot is hidden by it or by an equal one."""
    if len(row.dots) == 1:
        return [middle]
    across = np.linspace(-1, 1, len(row.dots))
    lanes = np.where(across < 0, -_BAR, _BAR) + across * (_LANE - _BAR)
    return [float(lane) for lane in middle + lanes]


def _draw_crosses(axes: "Axes", row: _Row, middle: float, number: int, outcome: Outcome) -> None:
    """Draw a cross for each run that diverged, on the side where values are bad."""
    crosses = [lane for dot, lane in zip(row.dots, _spread(row, middle), strict=True) if dot is None]
    if crosses:
        # at the edge of the axes and not at what it counts as, as at an accuracy of 0
        x_edge = [0.012 if outcome.higher_is_better else 0.988] * len(crosses)
        across, color = axes.get_yaxis_transform(), palette.series(number)
        axes.plot(x_edge, crosses, "x", color=color, markersize=4.5, transform=across, zorder=3)


def _find_limits(rows: Sequence[_Row], zero: bool) -> tuple[float, float]:
    """Return the ends of the x axis: all dots, and means and intervals unless a diverged run is in them."""
    values = [dot for row in rows for dot in row.dots if dot is not None]
    for row in rows:
        # a diverged run, which counts as the worst, drags mean and interval far from all that is worth seeing
        if None in row.dots:
            continue
        values.append(row.mean)
        if row.interval:
            values += [row.interval.low, row.interval.high]
    if zero or not values:
        values.append(0.0)
    margin = 0.05 * (max(values) - min(values)) or 0.01
    return min(values) - margin, max(values) + margin


def draw_tuning(tuned: Sequence[Tuned], slug: str) -> Figure:
    """Return the figure of each schedule's value in validation against its base rate."""

    def draw(axes: "Axes", number: int, look: Look) -> None:
        _draw_tuned(axes, tuned[number], look)

    outcome = tuned[0].outcome
    title = f"Validation {outcome.metric} by base rate"
    names = [_describe_best(one) for one in tuned]
    canvas = draw_lines(title, "base learning rate", name_values(outcome), names, draw)
    for axes in list_visible_axes(canvas):
        axes.set_xscale("log")  # as the grid of rates is spaced
        write_plain_numbers(axes, x="log")
    caption = (
        "The line is the mean over the tuning seeds, a dot one of them; none saw the test split. The ring "
        "marks the rate taken for each schedule, the lowest as good as the best mean; a square one that it "
        "is an edge of the grid: a better one may lie beyond. A diverged run, a cross, counts as "
        f"{tuned[0].worst:g}."
    )
    caption += describe_reference([one.name for one in tuned])
    table = [
        [
            one.name,
            rate,
            number,
            value,
            one.means[place],
            place == one.place,
            one.edges[place],
        ]
        for one in tuned
        for place, rate in enumerate(one.rates)
        for number, value in enumerate(one.values[place], 1)
    ]
    headings = ["group", "learning_rate", "run", outcome.metric, "mean", "best", "edge"]
    return finish(canvas, slug, title, caption, {slug: csv_text(headings, table)})


def _describe_best(one: Tuned) -> str:
    edge = ", an edge of the grid" if one.edges[one.place] else ""
    return f"{one.name}: best {BASE_RATE.write(one.best)}{edge}"


def _draw_tuned(axes: "Axes", one: Tuned, look: Look) -> None:
    axes.plot(one.rates, one.means, **look.line(1))
    if not look.marker:
        return
    for rate, values, diverged in zip(one.rates, one.values, one.diverged, strict=True):
        worst_first = sorted(values, reverse=not one.outcome.higher_is_better)
        crossed, dots = worst_first[:diverged], worst_first[diverged:]  # nothing is worse than a diverged run
        dot: dict[str, Any] = {"color": look.color, "alpha": 0.5}
        axes.plot([rate] * len(dots), dots, "o", markersize=2.6, markeredgewidth=0, **dot)
        axes.plot([rate] * len(crossed), crossed, "x", markersize=4.5, **dot)
    ring: dict[str, Any] = {
        "color": look.color,
        "markerfacecolor": "none",
        "markeredgewidth": 1.6,
        "markersize": 10,
    }
    axes.plot([one.best], [one.means[one.place]], "s" if one.edges[one.place] else "o", **ring)
