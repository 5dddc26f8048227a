"""Figures over the steps of training: learning rates, training loss, the metric in validation."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ratelab.comparison import Comparison
from ratelab.report.figures.axes import (
    MANY_POINTS,
    Look,
    describe_reference,
    draw_lines,
    list_visible_axes,
    name_values,
    write_plain_numbers,
)
from ratelab.report.figures.curves import Band, Curve, Curves, find_changes
from ratelab.report.figures.figure import Figure, csv_text, finish
from ratelab.tasks import ACCURACY, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_EDGES = 1_000  # of a staircase that is drawn edge by edge
LARGEST_FILE = 1_500_000  # letters; browsers refuse links of more than 2 MiB
_DEVIATION = 1 / 4_000  # of the height of the axes, by which a smooth curve may be simplified: 0.05 points
_BAND = "The line is the mean over the runs, the band reaches from the lowest to the highest run."

Numbers = npt.NDArray[np.float64]


def draw_rates(comparison: Comparison, curves: Curves, slug: str) -> Figure | None:
    """Return the figure of the learning rates, None where the store has none."""
    groups = [curve for curve in curves.groups if len(curve.rates.steps)]
    if not groups:
        return None
    log = _spans_decades(groups)
    values = np.concatenate([_scale(curve.rates.values, log) for curve in groups])
    deviation = float(np.ptp(values[np.isfinite(values)])) * _DEVIATION

    def draw(axes: "Axes", number: int, look: Look) -> None:
        x, y = _outline(groups[number], log, deviation)
        # the dotted reference, drawn in every panel, has no marker and no id: ids are unique in a page
        axes.plot(x, y, gid=f"rate-{number}" if look.marker else None, **look.line(MANY_POINTS))

    title = "Learning rate at every step"
    canvas = draw_lines(title, "step (updates, from 0)", "learning rate", [one.name for one in groups], draw)
    for axes in list_visible_axes(canvas):
        if log:
            axes.set_yscale("log")
            axes.set_ylim(bottom=max(axes.get_ylim()[0], _find_lowest(groups) / 10))
        write_plain_numbers(axes, x="count", y="log" if log else "")
    caption = _write_rates_caption(comparison, groups) + describe_reference([one.name for one in groups])
    return finish(canvas, slug, title, caption, _write_rate_tables(groups, slug))


def _spans_decades(groups: Sequence[Curve]) -> bool:
    """Say whether the rates need a log axis; that some decay to nearly 0 at their end does not count."""
    highest = max(curve.rates.values.max() for curve in groups)
    return bool(highest > 100 * _find_lowest(groups) > 0)


def _find_lowest(groups: Sequence[Curve]) -> float:
    """Return the lowest positive rate that some group has for a tenth of its steps."""
    positive = [curve.rates.values[curve.rates.values > 0] for curve in groups]
    return min((float(np.quantile(values, 0.1)) for values in positive if len(values)), default=0.0)


def _scale(values: Numbers, log: bool) -> Numbers:
    """Return heights as the axis sees them."""
    if not log:
        return values
    heights = np.full(len(values), np.nan)
    heights[values > 0] = np.log10(values[values > 0])
    return heights


def _outline(curve: Curve, log: bool, deviation: float) -> tuple[Numbers, Numbers]:
    """Return the points of the line: of a staircase the corners, else as many as the curve needs."""
    moved, end = find_changes(curve.rates), float(curve.rates.steps[-1] + 1)
    if len(moved.steps) <= MOST_EDGES:
        # a rate holds until the next change: across at its height, then straight up or down
        x = np.repeat([*moved.steps.astype(float), end], 2)[1:-1]
        return x, np.repeat(moved.values, 2)
    kept = simplify(_scale(curve.rates.values, log), deviation)
    return curve.rates.steps[kept].astype(float), curve.rates.values[kept]


def simplify(heights: Numbers, deviation: float) -> npt.NDArray[np.int64]:
    """Return the places of points whose straight connections stay within `deviation` of all heights.

    Args:
        heights: float64[n], one a step.
        deviation: the largest vertical distance allowed.

    References:
        Ramer 1972; Douglas & Peucker 1973.

    >>> simplify(np.array([0.0, 1.0, 2.0, 3.0, 0.0]), 0.1)
    array([0, 3, 4])
    """
    # a rate of 0 has no logarithm: far below all others, so that it is never simplified away
    heights = np.nan_to_num(heights, nan=-1e3)
    kept, spans = {0, len(heights) - 1}, [(0, len(heights) - 1)]
    while spans:
        first, last = spans.pop()
        straight = np.linspace(heights[first], heights[last], last - first + 1)
        distance = np.abs(heights[first : last + 1] - straight)
        place = first + int(distance.argmax())
        if last - first > 1 and distance.max() > deviation:
            kept.add(place)
            spans += [(first, place), (place, last)]
    return np.array(sorted(kept))


def _write_rates_caption(comparison: Comparison, groups: Sequence[Curve]) -> str:
    uneven = {
        one.name for one in comparison.groups if one.final_rate is None and one.diverged < len(one.seeds)
    }
    text = "Drawn for one run of each group: all seeds of a group follow the same schedule."
    shown = [f"{one.name} (seed {one.seed} is drawn)" for one in groups if one.name in uneven]
    if shown:
        text += f" Not so where the runs of a group end at different rates: {', '.join(shown)}."
    return text


def _write_rate_tables(groups: Sequence[Curve], slug: str) -> dict[str, str]:
    """Return a row for each step at which the rate of some group changes; too large a file in parts."""
    table = _write_rate_table(groups)
    # one group is not cut: a part of its steps would be another table
    if len(table) <= LARGEST_FILE or len(groups) == 1:
        return {slug: table}
    return {f"{slug}-{number}": _write_rate_table([group]) for number, group in enumerate(groups, 1)}


def _write_rate_table(groups: Sequence[Curve]) -> str:
    """Return steps and rates, in the fewest digits that give the float32 back; none after a run's end."""
    steps = np.unique(np.concatenate([find_changes(curve.rates).steps for curve in groups]))
    columns: list[list[Any]] = [steps.tolist()]
    for curve in groups:
        rates = [str(rate) for rate in curve.rates.values.astype(np.float32)]
        places = np.searchsorted(curve.rates.steps, steps, side="right") - 1
        # an empty cell, for the last rate is not that of the steps after the end
        over = steps > curve.rates.steps[-1]
        columns.append(["" if ended else rates[n] for n, ended in zip(places, over, strict=True)])
    return csv_text(["step", *(curve.name for curve in groups)], zip(*columns, strict=True))


def draw_loss(curves: Curves, slug: str) -> Figure | None:
    """Return the figure of the training loss, None where the store has none."""
    groups = [curve for curve in curves.groups if len(curve.loss.x)]
    if not groups:
        return None
    middle = (curves.width - 1) / 2  # a mean over a window is drawn where the window has its middle

    def draw(axes: "Axes", number: int, look: Look) -> None:
        _draw_band(axes, groups[number].loss, look, middle)

    title = "Training loss, smoothed"
    names = [one.name for one in groups]
    what = "cross-entropy (nats)" if curves.outcome == ACCURACY else "loss"
    canvas = draw_lines(title, "step (updates, from 0)", what, names, draw)
    # losses on their way to infinity would press all others into a line
    kept = [curve for curve in groups if not curve.diverged] or groups
    low, high = min(c.loss.low.min() for c in kept), max(c.loss.high.max() for c in kept)
    log = bool(high > 10 * low > 0)
    for axes in list_visible_axes(canvas):
        if log:
            axes.set_yscale("log")
        if len(kept) < len(groups) and low < high:  # of equal losses the axis makes room by itself
            axes.set_ylim(*((low / 1.2, high * 1.2) if log else (low, high)))
        write_plain_numbers(axes, x="count", y="log" if log else "")
    caption = _write_loss_caption(groups, curves.width) + describe_reference(names)
    return finish(canvas, slug, title, caption, {slug: _write_loss_table(groups, curves.width)})


def _write_loss_caption(groups: Sequence[Curve], width: int) -> str:
    text = f"The logged losses of the batches, averaged over windows of {width:,} steps. {_BAND}"
    if any(curve.diverged for curve in groups):
        text += " A run that diverged counts until then; the axis is chosen for the groups without such runs."
    return text


def _write_loss_table(groups: Sequence[Curve], width: int) -> str:
    rows = [
        [curve.name, int(first), int(first) + width - 1, *numbers]
        for curve in groups
        for first, *numbers in _list_rows(curve.loss)
    ]
    return csv_text(["group", "first_step", "last_step", "mean", "lowest", "highest", "runs"], rows)


def draw_validation(curves: Curves, slug: str, *, by_examples: bool) -> Figure | None:
    """Return the figure of the metric that judges on the validation split, None where it would show nothing.

    That is where it was never measured, and of the figure by examples where it is that by steps.
    """
    groups = [curve for curve in curves.groups if len(curve.metric.x)]
    if not groups or (by_examples and _share_one_batch_size(groups)):
        return None
    bands = [curve.by_examples if by_examples else curve.metric for curve in groups]
    outcome, names = curves.outcome, [curve.name for curve in groups]

    def draw(axes: "Axes", number: int, look: Look) -> None:
        _draw_band(axes, bands[number], look, 0)

    title = f"Validation {outcome.metric} by {'training examples seen' if by_examples else 'steps'}"
    x = "training examples seen" if by_examples else "step (updates, from 0)"
    canvas = draw_lines(title, x, name_values(outcome), names, draw)
    end, other = _find_ends(bands, outcome)  # the same in all panels, which share their axis
    for axes in list_visible_axes(canvas):
        if end != other:  # of equal values the axis makes room by itself
            axes.set_ylim(min(end, other), max(end, other))
        write_plain_numbers(axes, x="large" if by_examples else "count")
    what = "An example counts each time that it is seen. " if by_examples else "Measured after each epoch. "
    caption = what + _BAND + describe_reference(names)
    if any(outcome.is_better(end, value) for band in bands for value in (band.low.min(), band.high.max())):
        beyond = "below" if outcome.higher_is_better else "above"
        caption += f" The axis leaves out what is {beyond} all that is reached after a tenth of the run."
    if any(curve.diverged for curve in groups):
        caption += f" A run that diverged counts as {curves.worst} from then on."
    rows = [
        [curve.name, int(at), *numbers]
        for curve, band in zip(groups, bands, strict=True)
        for at, *numbers in _list_rows(band)
    ]
    headings = ["group", "examples" if by_examples else "step", "mean", "lowest", "highest", "runs"]
    return finish(canvas, slug, title, caption, {slug: csv_text(headings, rows)})


def _share_one_batch_size(groups: Sequence[Curve]) -> bool:
    """Say whether every update of every group had equally many examples."""
    if any(len(curve.by_examples.x) != len(curve.metric.x) for curve in groups):
        return False
    sizes = [curve.by_examples.x / (curve.metric.x + 1) for curve in groups]
    return len(np.unique(np.concatenate(sizes))) == 1


def _find_ends(bands: Sequence[Band], outcome: Outcome) -> tuple[float, float]:
    """Return where the axis ends, on its bad side and on its good one.

    The start of a run would press all the rest into a line: what is worse than all that comes after a tenth
    of the steps is left out, and counts for no margin either.
    """
    if outcome.higher_is_better:
        worst = min(float(band.low[len(band.low) // 10 :].min()) for band in bands)
        best = max(float(band.high.max()) for band in bands)
    else:
        worst = max(float(band.high[len(band.high) // 10 :].max()) for band in bands)
        best = min(float(band.low.min()) for band in bands)
    margin = 0.05 * (best - worst)
    return worst - margin, best + margin


def _draw_band(axes: "Axes", band: Band, look: Look, shift: float) -> None:
    x = band.x + shift
    axes.plot(x, band.mean, **look.line(len(x)))
    if band.runs.max() > 1 and look.marker:
        axes.fill_between(x, band.low, band.high, color=look.color, alpha=0.16, linewidth=0)


def _list_rows(band: Band) -> Iterator[tuple[float, ...]]:
    columns = (band.x, band.mean, band.low, band.high, band.runs.astype(int))
    return zip(*(column.tolist() for column in columns), strict=True)
