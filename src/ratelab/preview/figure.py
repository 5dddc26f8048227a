"""Curves as a figure. Of matplotlib only what draws into a file; pyplot takes as long again."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ratelab.preview.curves import Curve
from ratelab.validation import UserError


def save(curves: Sequence[Curve], path: Path) -> None:
    """Draw the curves into one figure; the same curves give the same bytes.

    Raises:
        UserError: if the file cannot be written.
    """
    figure = Figure(figsize=(8, 4.5))
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.12, top=0.96)
    axes = figure.add_subplot()
    colors = mpl.colormaps["tab20" if len(curves) > 10 else "tab10"]
    for number, curve in enumerate(curves):
        axes.plot(curve.rates, label=curve.name, color=colors(number % colors.N), linewidth=1.2)
    axes.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    axes.margins(x=0.01)
    axes.legend(fontsize="small", ncols=1 + len(curves) // 12)
    try:
        with mpl.rc_context({"svg.hashsalt": "ratelab"}):
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise UserError(f"--output must be a file that can be written: {error}") from None
