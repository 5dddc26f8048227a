"""Curves as a figure. Of matplotlib only what draws into a file; pyplot takes as long again."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ratelab.commands.figure_files import write_figure
from ratelab.commands.preview.rates import Curve


def save(curves: Sequence[Curve], path: Path) -> None:
    """Draw the curves into one figure; the same curves give the same bytes.

    Raises:
        UserError: if the file cannot be written.
    """
    growing = [curve for curve in curves if curve.batch_sizes is not None]
    figure = Figure(figsize=(8, 6.5 if growing else 4.5))
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.09 if growing else 0.12, top=0.96, hspace=0.1)
    colors = mpl.colormaps["tab20" if len(curves) > 10 else "tab10"]
    style = {curve.name: colors(number % colors.N) for number, curve in enumerate(curves)}
    heights = [2, 1] if growing else [1]
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    axes = panels[0]
    for curve in curves:
        axes.plot(curve.rates, label=curve.name, color=style[curve.name], linewidth=1.2)
    axes.set(ylabel="learning rate", ylim=(0, None))
    axes.margins(x=0.01)
    axes.legend(fontsize="small", ncols=1 + len(curves) // 12)
    if growing:
        for curve in growing:
            color = style[curve.name]
            panels[1].plot(curve.batch_sizes, color=color, linewidth=1.2, drawstyle="steps-post")
        panels[1].set(ylabel="batch size", ylim=(0, None))
    panels[-1].set(xlabel="step")
    write_figure(figure, path)
