"""Comparisons for people to read: in the terminal, and as a page with figures."""

from ratelab.report.terminal import print_markdown, print_study, schedule_lines
from ratelab.report.writing import make_report

__all__ = ["make_report", "print_markdown", "print_study", "schedule_lines"]
