"""A study shown: in the terminal, as Markdown, as a page with figures, as CSV, JSON and data frames."""

from ratelab.report.exports import as_csv, as_json, groups_frame, pairs_frame, sensitivity_frame, tuning_frame
from ratelab.report.html import as_html, make_report
from ratelab.report.markdown import as_markdown
from ratelab.report.terminal import print_results, print_study, print_table, schedule_lines

__all__ = [
    "as_csv",
    "as_html",
    "as_json",
    "as_markdown",
    "groups_frame",
    "make_report",
    "pairs_frame",
    "print_results",
    "print_study",
    "print_table",
    "schedule_lines",
    "sensitivity_frame",
    "tuning_frame",
]
