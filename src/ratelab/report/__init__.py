"""Comparisons for people to read: in the terminal, and as a page with figures."""

from ratelab.report.terminal import print_markdown, print_study, schedule_lines

__all__ = ["print_markdown", "print_study", "schedule_lines"]
