"""Which pairs are decided as seeds come, and at which look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ratelab.comparison.pairs import Pair
from ratelab.comparison.plans import Plan, Question
from ratelab.comparison.sequential import Looks
from ratelab.comparison.statistics import CONFIDENCE

LEVEL = 1 - CONFIDENCE


@dataclass
class Decision:
    """What the looks have shown of a pair.

    Attributes:
        verdict: "open" as long as nothing is shown.
        looks: how many of its seeds there were at each look, up to that which decided.
    """

    verdict: Literal["different", "equal", "open"]
    looks: tuple[int, ...]


def decide(pairs: Sequence[Mapping[int, float]], seeds: Sequence[int], plan: Plan) -> list[Decision]:
    """Return what is decided of each pair, look by look.

    A pair is *different* at the first look at which the test crosses at level 0.05 / r, where r is the number
    of pairs that are not different yet (Holm): whatever is true, the chance that any of the pairs without a
    difference is called different is at most 0.05, over all looks and pairs together. It is *equal* at the
    first look at which the 95 % interval, valid at all looks, lies inside of +-`plan.matters`.

    Args:
        pairs: the difference of each seed.
        seeds: of all groups, in the order in which they came.
        plan: when one looks, and what matters.
    """
    found = [Decision("open", ()) for _ in pairs]
    for look in plan.looks:
        if look > len(seeds):
            break
        _count(found, pairs, seeds[:look])
        _find_different(found, pairs, plan)
        if plan.matters is not None:
            _find_equal(found, pairs, plan.matters, plan)
    return found


def _count(found: Sequence[Decision], pairs: Sequence[Mapping[int, float]], seeds: Sequence[int]) -> None:
    """Note a look at each pair that is open and has more seeds than at the look before."""
    for one, pair in zip(found, pairs, strict=True):
        count = sum(seed in pair for seed in seeds)
        if one.verdict == "open" and count > (one.looks[-1] if one.looks else 1):
            one.looks = (*one.looks, count)


def _find_different(found: Sequence[Decision], pairs: Sequence[Mapping[int, float]], plan: Plan) -> None:
    """Note which open pairs differ; each of them leaves its part of the level to the others."""
    levels = [LEVEL / left for left in range(1, len(pairs) + 1)]
    going = True
    while going:
        left = sum(one.verdict != "different" for one in found)
        new = [
            one
            for one, pair in zip(found, pairs, strict=True)
            if one.verdict == "open" and one.looks
            if Looks(_in_order(pair), one.looks, plan.planned).crosses_at(levels)[left - 1]
        ]
        for one in new:
            one.verdict = "different"
        going = bool(new)


def _find_equal(
    found: Sequence[Decision], pairs: Sequence[Mapping[int, float]], matters: float, plan: Plan
) -> None:
    """Note which open pairs differ by less than what matters."""
    for one, pair in zip(found, pairs, strict=True):
        if one.verdict == "open" and one.looks:
            seen = Looks(_in_order(pair), one.looks, plan.planned)
            if seen.excludes(matters) and seen.excludes(-matters):
                one.verdict = "equal"


def list_going(pairs: Sequence[Pair], question: Question) -> list[str]:
    """Return the names of the groups that need more seeds: those of an open pair.

    Where the best is asked for, a group that is worse than another needs none, nor does it keep others going.

    >>> pairs = [Pair("rex", "fixed", verdict="worse"), Pair("wsd", "fixed", verdict="open"),
    ...          Pair("wsd", "rex", verdict="open")]
    >>> list_going(pairs, "all"), list_going(pairs, "best")
    (['wsd', 'fixed', 'rex'], ['wsd', 'fixed'])
    """
    out = set[str]()
    if question == "best":
        out = {pair.first if pair.verdict == "worse" else pair.second for pair in pairs if _is_shown(pair)}
    left = [pair for pair in pairs if pair.verdict == "open" and not {pair.first, pair.second} & out]
    return list(dict.fromkeys(name for pair in left for name in (pair.first, pair.second)))


def _is_shown(pair: Pair) -> bool:
    return pair.verdict in {"better", "worse"}


def _in_order(pair: Mapping[int, float]) -> list[float]:
    return [pair[seed] for seed in sorted(pair)]
