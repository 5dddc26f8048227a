"""Pairs of groups measured and judged: at one look, or at all looks together where seeds were added."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ratelab.comparison import sentences, statistics
from ratelab.comparison.deciding import LEVEL, Decision, decide
from ratelab.comparison.digits import EXACT, Digits
from ratelab.comparison.groups import Group
from ratelab.comparison.outcomes import sign_of
from ratelab.comparison.pairs import Pair, Verdict
from ratelab.comparison.plans import Plan
from ratelab.comparison.sequential import Looks
from ratelab.tasks import Outcome


def compare_pairs(
    groups: Sequence[Group],
    which: Sequence[tuple[int, int]],
    outcome: Outcome,
    digits: Digits,
    plan: Plan | None = None,
) -> list[Pair]:
    """Compare pairs of groups over the seeds that both have; p-values are corrected for their number.

    Args:
        groups: of one comparison.
        which: the places of the first and the second group of each pair.
        outcome: the metric that judges.
        digits: how its values are written.
        plan: when one looked, where seeds were added until a pair was decided; each pair then has the seeds
            of that moment, and its numbers hold at all looks together.
    """
    empty = Pair("", "", outcome=outcome, digits=digits)
    pairs = [_pair_up(groups[first], groups[second], empty) for first, second in which]
    if plan is not None:
        pairs = _decide(pairs, sorted({seed for one in groups for seed in one.by_seed}), plan)
    # Holm counts the tests that were made: pairs that could not be tested cost the others nothing
    tests = sum(len(pair.seeds) > 1 for pair in pairs)
    pairs = [_measure(pair, plan, tests) if pair.seeds else pair for pair in pairs]
    corrected = iter(statistics.holm([pair.p for pair in pairs if pair.p is not None]))
    pairs = [replace(pair, corrected=next(corrected)) if pair.p is not None else pair for pair in pairs]
    return [
        _judge(pair, plan, tests) if pair.seeds else _tell_why_not(pair, groups, which[place])
        for place, pair in enumerate(pairs)
    ]


def _pair_up(first: Group, second: Group, empty: Pair) -> Pair:
    """Return the differences of a pair; none where there is nothing to pair."""
    named = replace(empty, first=first.name, second=second.name)
    if first.setting != second.setting or (first.is_never_in_time and second.is_never_in_time):
        return named
    ours, theirs = first.values, second.values
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    decimals = named.digits.decimals - named.digits.more + EXACT
    differences = np.round([ours[seed] - theirs[seed] for seed in seeds], decimals)
    return replace(named, seeds=seeds, differences=tuple(differences.tolist()))


def _decide(pairs: Sequence[Pair], seeds: Sequence[int], plan: Plan) -> list[Pair]:
    """Return the pairs with what was decided, and the seeds of that moment; without a look as they are."""
    found = [pair for pair in pairs if len(pair.seeds) > 1]
    differences = [dict(zip(pair.seeds, pair.differences, strict=True)) for pair in found]
    decisions = iter(decide(differences, seeds, plan))
    return [_cut(pair, next(decisions)) if len(pair.seeds) > 1 else pair for pair in pairs]


def _cut(pair: Pair, decision: Decision) -> Pair:
    if not decision.looks:
        return pair
    count = decision.looks[-1]
    kept = replace(pair, seeds=pair.seeds[:count], differences=pair.differences[:count], looks=decision.looks)
    if decision.verdict == "different":
        return replace(kept, verdict=_better_or_worse(kept, float(np.mean(kept.differences)) > 0))
    return replace(kept, verdict="practically equal" if decision.verdict == "equal" else "open")


def _measure(pair: Pair, plan: Plan | None, tests: int) -> Pair:
    """Return the pair with its numbers, without correction."""
    differences = np.array(pair.differences)
    measured = replace(
        pair,
        mean=float(differences.mean()),
        improvement=statistics.probability_of_improvement(sign_of(pair.outcome) * differences),
        effect=statistics.effect_size(differences),
    )
    if plan is not None and pair.looks:
        seen = Looks(differences, pair.looks, plan.planned)
        return replace(measured, interval=seen.interval(), p=seen.p(tests))
    p = statistics.sign_flip_test(differences) if len(differences) > 1 else None
    return replace(measured, interval=statistics.mean_interval(differences), p=p)


def _tell_why_not(pair: Pair, groups: Sequence[Group], places: tuple[int, int]) -> Pair:
    """Return the pair with the sentence that says why it is not compared."""
    first, second = (groups[place] for place in places)
    ours, theirs = first.setting, second.setting
    if mismatch := ", ".join(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)):
        why = f"they differ in {mismatch}"
    elif first.time is not None and first.is_never_in_time and second.is_never_in_time:
        if all(one.is_never_in_time for one in groups):
            return replace(pair, sentence=f"{first.time.miss}: there is nothing to compare.")
        why = first.time.miss
    else:
        why = "they have no seed in common"
    return replace(pair, sentence=f"{pair.first} and {pair.second}: not compared, {why}.")


def _judge(pair: Pair, plan: Plan | None, tests: int) -> Pair:
    """Return the pair with its verdict and the sentence that says why."""
    if pair.p is None or pair.corrected is None:
        return replace(pair, verdict="no conclusion", sentence=sentences.tell_one_seed(pair))
    if plan is not None and pair.looks:
        return replace(pair, sentence=_tell_decision(pair, plan))
    if not any(pair.differences):
        return replace(pair, verdict="no difference shown", sentence=sentences.tell_equality(pair))
    # both, for test and interval are two methods, and a verdict must not depend on which of them was asked
    if pair.corrected <= LEVEL and pair.interval is not None and not pair.interval.holds(0.0):
        verdict = _better_or_worse(pair, pair.interval.low > 0)
        return replace(pair, verdict=verdict, sentence=sentences.tell_difference(pair, verdict))
    # "no difference shown" would blame the schedules for what no result of so few seeds could have shown
    if statistics.smallest_p(len(pair.seeds)) * tests > LEVEL:
        return replace(pair, verdict="no conclusion", sentence=sentences.tell_shortage(pair, tests))
    return replace(pair, verdict="no difference shown", sentence=sentences.tell_no_difference(pair))


def _better_or_worse(pair: Pair, is_higher: bool) -> Verdict:
    return "better" if is_higher == pair.outcome.higher_is_better else "worse"


def _tell_decision(pair: Pair, plan: Plan) -> str:
    if pair.verdict in {"better", "worse"}:
        return sentences.tell_difference(pair, pair.verdict)
    if pair.verdict == "practically equal" and plan.matters is not None:
        return sentences.tell_practical_equality(pair, plan.matters)
    return sentences.tell_open(pair)
