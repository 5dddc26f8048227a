"""Conclusions from finished runs: groups paired by seed, intervals, tests, verdicts; equal tuning."""

from ratelab.comparison.comparing import Comparison, Summary, compare
from ratelab.comparison.conclusions import Conclusion
from ratelab.comparison.groups import Group
from ratelab.comparison.pairs import Pair
from ratelab.comparison.results import Measured, Result, Unreadable
from ratelab.comparison.statistics import Interval
from ratelab.comparison.study import Study, study
from ratelab.comparison.tuning import Tuned, tune

__all__ = [
    "Comparison",
    "Conclusion",
    "Group",
    "Interval",
    "Measured",
    "Pair",
    "Result",
    "Study",
    "Summary",
    "Tuned",
    "Unreadable",
    "compare",
    "study",
    "tune",
]
