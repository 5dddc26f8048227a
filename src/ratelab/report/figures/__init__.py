"""The figures of a report, each with its caption and its numbers."""

from ratelab.report.figures.curves import read_curves
from ratelab.report.figures.draw import draw_figures
from ratelab.report.figures.figure import Figure, csv_text
from ratelab.report.figures.svg import standalone

__all__ = ["Figure", "csv_text", "draw_figures", "read_curves", "standalone"]
