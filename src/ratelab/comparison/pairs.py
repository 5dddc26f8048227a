"""Two groups over the seeds that both have: the difference, whether it is real, and a sentence on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ratelab.comparison import statistics
from ratelab.comparison.digits import FOR_ACCURACY, Digits
from ratelab.comparison.groups import Group
from ratelab.comparison.outcomes import sign_of
from ratelab.comparison.statistics import Interval
from ratelab.tasks import ACCURACY, Outcome

LEVEL = 1 - statistics.CONFIDENCE
_EXACT = 8  # decimals behind those that are shown: what differs farther behind is rounding

Verdict = Literal["better", "worse", "no difference shown", "no conclusion", "not compared"]


@dataclass(frozen=True)
class Pair:
    """The first group minus the second, seed by seed.

    Attributes:
        first: the name of a group.
        second: the name of the group that it is compared with.
        seeds: those that both have.
        differences: of the values, one for each seed.
        mean: of the differences; None without a common seed.
        interval: 95 %, of the mean difference; not corrected for the number of pairs; None for fewer than three seeds.
        p: of the sign-flip test; None where there is no test.
        corrected: the same after Holm's correction for all pairs of the comparison.
        improvement: the share of seeds in which the first is better, ties one half.
        effect: the mean difference in units of its standard deviation.
        verdict: on the first.
        sentence: the same in words.
        outcome: the metric that judges.
        digits: how its values are written.
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


def compare_pairs(
    groups: Sequence[Group], which: Sequence[tuple[int, int]], outcome: Outcome, digits: Digits
) -> list[Pair]:
    """Compare pairs of groups over the seeds that both have; p-values are corrected for their number.

    Args:
        groups: of one comparison.
        which: the places of the first and the second group of each pair.
        outcome: the metric that judges.
        digits: how its values are written.
    """
    pairs = [
        _measure(groups[first], groups[second], Pair("", "", outcome=outcome, digits=digits))
        for first, second in which
    ]
    # Holm counts the tests that were made: pairs that could not be tested cost the others nothing
    tested = [pair for pair in pairs if pair.p is not None]
    corrected = iter(statistics.holm([pair.p for pair in tested if pair.p is not None]))
    pairs = [replace(pair, corrected=next(corrected)) if pair.p is not None else pair for pair in pairs]
    settings = {group.name: group.setting for group in groups}
    return [_judge(pair, len(tested), _find_mismatch(settings, pair)) for pair in pairs]


def find_reference(pairs: Sequence[Pair]) -> str:
    """Return the name of the group that each of many pairs is compared with; empty if there is none.

    >>> find_reference([Pair("cosine", "fixed"), Pair("wsd", "fixed"), Pair("rex", "fixed")])
    'fixed'
    """
    seconds = {pair.second for pair in pairs}
    # of one pair or two a reader sees both names anyway
    return seconds.pop() if len(pairs) > 2 and len(seconds) == 1 else ""


def _measure(first: Group, second: Group, empty: Pair) -> Pair:
    """Return the numbers of a pair, without correction and verdict; none where there is nothing to pair."""
    named = replace(empty, first=first.name, second=second.name)
    if first.setting != second.setting:
        return named
    ours, theirs = first.values, second.values
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if not seeds:
        return named
    differences = np.round([ours[seed] - theirs[seed] for seed in seeds], named.digits.decimals + _EXACT)
    return replace(
        named,
        seeds=seeds,
        differences=tuple(differences.tolist()),
        mean=float(differences.mean()),
        interval=statistics.mean_interval(differences),
        p=statistics.sign_flip_test(differences) if len(seeds) > 1 else None,
        improvement=statistics.probability_of_improvement(sign_of(named.outcome) * differences),
        effect=statistics.effect_size(differences),
    )


def _find_mismatch(settings: Mapping[str, Mapping[str, str]], pair: Pair) -> str:
    """Return in which settings that both must share the groups of a pair differ, as words."""
    ours, theirs = settings[pair.first], settings[pair.second]
    return ", ".join(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))


def _judge(pair: Pair, tests: int, mismatch: str) -> Pair:
    """Return the pair with its verdict and the sentence that says why."""
    names = f"{pair.first} and {pair.second}"
    if mismatch:
        return replace(pair, sentence=f"{names}: not compared, they differ in {mismatch}.")
    if not pair.seeds:
        return replace(pair, sentence=f"{names}: not compared, they have no seed in common.")
    if pair.p is None or pair.corrected is None:
        return replace(pair, verdict="no conclusion", sentence=_tell_one_seed(pair))
    if not any(pair.differences):
        return replace(pair, verdict="no difference shown", sentence=_tell_equality(pair))
    # both, for test and interval are two methods, and a verdict must not depend on which of them was asked
    if pair.corrected <= LEVEL and pair.interval is not None and not pair.interval.holds(0.0):
        is_higher = pair.interval.low > 0
        verdict: Verdict = "better" if is_higher == pair.outcome.higher_is_better else "worse"
        return replace(pair, verdict=verdict, sentence=_tell_difference(pair, verdict))
    # "no difference shown" would blame the schedules for what no result of so few seeds could have shown
    if statistics.smallest_p(len(pair.seeds)) * tests > LEVEL:
        return replace(pair, verdict="no conclusion", sentence=_tell_shortage(pair, tests))
    return replace(pair, verdict="no difference shown", sentence=_tell_no_difference(pair))


def _tell_one_seed(pair: Pair) -> str:
    return (
        f"{pair.first} and {pair.second}: no conclusion is possible from one seed (seed {pair.seeds[0]}: "
        f"{_write(pair, pair.differences[0])}); more seeds are needed, as seed='range(0,10)'."
    )


def _tell_difference(pair: Pair, verdict: str) -> str:
    is_higher = (verdict == "better") == pair.outcome.higher_is_better
    alike = sum(d > 0 if is_higher else d < 0 for d in pair.differences)
    return (
        f"{pair.first} is {verdict} than {pair.second}: {_write_mean(pair)} ({_write_interval(pair)}), "
        f"{'higher' if is_higher else 'lower'} in {alike} of {len(pair.seeds)} seeds, "
        f"{_write_corrected(pair)}."
    )


def _tell_shortage(pair: Pair, tests: int) -> str:
    count = len(pair.seeds)
    return (
        f"{pair.first} and {pair.second}: no conclusion is possible from {count} seeds: {_write_mean(pair)}, "
        f"but {describe_shortage(count, tests)}"
    )


def describe_shortage(seeds: int, tests: int) -> str:
    """Return why so few seeds, in that many pairs, allow no conclusion, and how many would.

    >>> describe_shortage(5, 3)
    'the smallest p-value that they can give is 0.062, times 3 pairs; at least 7 seeds are needed.'
    """
    return (
        f"the smallest p-value that they can give is {write_p(statistics.smallest_p(seeds))}"
        f"{f', times {tests} pairs' if tests > 1 else ''}; "
        f"at least {statistics.pairs_needed(tests)} seeds are needed."
    )


def _tell_no_difference(pair: Pair) -> str:
    assert pair.interval is not None  # noqa: S101 - there are six seeds at least
    largest = max(abs(pair.interval.low), abs(pair.interval.high))
    return (
        f"no difference shown between {pair.first} and {pair.second}: {_write_mean(pair)} "
        f"({_write_interval(pair)}), {_write_corrected(pair)}; differences up to "
        f"{pair.digits.write(largest)} are compatible with these {len(pair.seeds)} seeds."
    )


def _tell_equality(pair: Pair) -> str:
    return (
        f"no difference shown between {pair.first} and {pair.second}: equal in all {len(pair.seeds)} seeds."
    )


def _write(pair: Pair, difference: float) -> str:
    return pair.digits.write(difference, "+")


def _write_mean(pair: Pair) -> str:
    assert pair.mean is not None  # noqa: S101 - as above
    return f"{pair.outcome.metric} {_write(pair, pair.mean)}"


def _write_interval(pair: Pair) -> str:
    assert pair.interval is not None  # noqa: S101 - as above
    return f"95 % interval {_write(pair, pair.interval.low)} to {_write(pair, pair.interval.high)}"


def _write_corrected(pair: Pair) -> str:
    assert pair.corrected is not None  # noqa: S101 - as above
    return f"p = {write_p(pair.corrected)} after Holm"


def write_p(value: float) -> str:
    """Return a probability for reading, in two digits.

    >>> write_p(0.04321), write_p(3e-5), write_p(1.0)
    ('0.043', '0.00003', '1')
    """
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
