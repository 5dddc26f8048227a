"""Conclusions from finished runs: groups paired by seed, intervals, tests, verdicts; equal tuning."""

from ratelab.comparison.comparing import Comparison, Summary, compare
from ratelab.comparison.conclusions import Conclusion
from ratelab.comparison.digits import Digits, digits_of, write_value
from ratelab.comparison.groups import Group
from ratelab.comparison.outcomes import Outcomes, find_shared
from ratelab.comparison.pairs import Pair
from ratelab.comparison.profiles import list_profiles
from ratelab.comparison.results import Measured, Result, Unreadable, find_worst
from ratelab.comparison.sensitivity import Sensitivity, find_near, measure_sensitivities
from ratelab.comparison.statistics import Interval
from ratelab.comparison.study import Study, study
from ratelab.comparison.tuning import Tuned, tune

__all__ = [
    "Comparison",
    "Conclusion",
    "Digits",
    "Group",
    "Interval",
    "Measured",
    "Outcomes",
    "Pair",
    "Result",
    "Sensitivity",
    "Study",
    "Summary",
    "Tuned",
    "Unreadable",
    "compare",
    "digits_of",
    "find_near",
    "find_shared",
    "find_worst",
    "list_profiles",
    "measure_sensitivities",
    "study",
    "tune",
    "write_value",
]
