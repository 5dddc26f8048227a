"""The range test as a figure: the loss of every batch, smoothed, and what is suggested."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ratelab.commands.figure_files import write_figure
from ratelab.commands.lr_find.range_test import RangeTest
from ratelab.commands.lr_find.suggestions import LossCurve, Suggestion

DOTS, LINE, MARKS = "0.75", "#1f77b4", ("#d62728", "#2ca02c", "#9467bd")
STYLES = ("-", "--", ":")


def save(test: RangeTest, curve: LossCurve, suggested: Sequence[Suggestion], title: str, path: Path) -> None:
    """Draw into a .png or .svg file; the same test gives the same bytes.

    Raises:
        UserError: if the file cannot be written.
    """
    figure = Figure(figsize=(8, 4.8))
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.12, top=0.92)
    axes = figure.add_subplot()
    for number, losses in enumerate(test.losses):
        label = f"batches of {len(test.losses)} seeds" if number == 0 else None
        axes.plot(test.rates, losses, ".", color=DOTS, markersize=2.5, label=label)
    axes.plot(curve.rates, curve.losses, color=LINE, linewidth=2, label="mean, smoothed")
    for one, color, style in zip(suggested, MARKS, STYLES, strict=True):
        axes.axvline(one.rate, color=color, linestyle=style, label=f"{one.name} {one.rate:.3g}")
        if one.lowest is not None and one.highest is not None:
            axes.axvspan(one.lowest, one.highest, color=color, alpha=0.08, linewidth=0)
    # Of the smoothed losses: those of single batches behind the break would press the curve into a line.
    low, high = float(curve.losses.min()), float(curve.losses.max())
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss of the batch", title=title)
    axes.set_ylim(max(0.0, low - 0.1 * (high - low)), high + 0.1 * (high - low))
    axes.set_xlim(float(test.rates[0]), float(np.max(test.rates)))
    axes.legend(fontsize="small")
    write_figure(figure, path)
