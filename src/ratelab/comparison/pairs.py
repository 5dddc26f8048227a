"""Two groups over the seeds that both have: the difference, whether it is real, and a sentence on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ratelab.comparison.digits import FOR_ACCURACY, Digits
from ratelab.comparison.statistics import Interval
from ratelab.tasks import ACCURACY, Outcome

Verdict = Literal[
    "better", "worse", "practically equal", "no difference shown", "open", "no conclusion", "not compared"
]


@dataclass(frozen=True)
class Pair:
    """The first group minus the second, seed by seed.

    Attributes:
        first: the name of a group.
        second: the name of the group that it is compared with.
        seeds: those that both have; of a pair that was decided as seeds came, those of that moment.
        differences: of the values, one for each seed.
        mean: of the differences; None without a common seed.
        interval: 95 %, of the mean difference; not corrected for the number of pairs; None for fewer than
            three seeds.
        p: of the sign-flip test, at all looks together; None where there is no test.
        corrected: the same after Holm's correction for all pairs of the comparison.
        improvement: the share of seeds in which the first is better, ties one half.
        effect: the mean difference in units of its standard deviation.
        verdict: on the first.
        sentence: the same in words.
        outcome: the metric that judges.
        digits: how its values are written.
        looks: after how many seeds one looked, where they were added until the pair was decided.
    """

    first: str
    second: str
    seeds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    mean: float | None = None
    interval: Interval | None = None
    p: float | None = None
    corrected: float | None = None
    improvement: float | None = None
    effect: float | None = None
    verdict: Verdict = "not compared"
    sentence: str = ""
    outcome: Outcome = ACCURACY
    digits: Digits = FOR_ACCURACY
    looks: tuple[int, ...] = ()


def find_reference(pairs: Sequence[Pair]) -> str:
    """Return the name of the group that each of many pairs is compared with; empty if there is none.

    >>> find_reference([Pair("cosine", "fixed"), Pair("wsd", "fixed"), Pair("rex", "fixed")])
    'fixed'
    """
    seconds = {pair.second for pair in pairs}
    # of one pair or two a reader sees both names anyway
    return seconds.pop() if len(pairs) > 2 and len(seconds) == 1 else ""
