"""Conclusions from finished runs: groups paired by seed, intervals, tests, verdicts; equal tuning."""

from ratelab.comparison.comparing import Comparison, Summary, compare
from ratelab.comparison.conclusions import Conclusion
from ratelab.comparison.frames import as_csv, as_json, groups_frame, pairs_frame, tuning_frame
from ratelab.comparison.groups import Group
from ratelab.comparison.pairs import Pair
from ratelab.comparison.results import Measured, Result
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
    "as_csv",
    "as_json",
    "compare",
    "groups_frame",
    "pairs_frame",
    "study",
    "tune",
    "tuning_frame",
]
