"""The figures of a report, each with its caption and its numbers."""

from ratelab.report.figures.curves import read_curves
from ratelab.report.figures.figure import Figure, csv_text
from ratelab.report.figures.study_figures import draw_figures
from ratelab.report.figures.svg import make_standalone

__all__ = ["Figure", "csv_text", "draw_figures", "make_standalone", "read_curves"]
