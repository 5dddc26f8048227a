"""Which pairs are decided as seeds come, and at which look."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ratelab.comparison.pairs import Pair
from ratelab.comparison.plans import Plan, Question
from ratelab.comparison.sequential import Looks
from ratelab.comparison.statistics import CONFIDENCE

LEVEL = 1 - CONFIDENCE
_NEVER = sys.maxsize

Shown = Literal["different", "equal"]
_SHOWN: tuple[Shown, ...] = ("different", "equal")


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
    first look at which the interval, valid at all looks, lies inside of +-`plan.matters`: that of 95 %, and
    that of 1 - 0.1 / r, where r is the number of pairs that are not equal yet (Holm again): so the chance
    that any pair which differs by what matters is called equal is at most 0.05 as well.

    Args:
        pairs: the difference of each seed.
        seeds: of all groups, in the order in which they came.
        plan: when one looks, and what matters.
    """
    found = [Decision("open", ()) for _ in pairs]
    looks = [look for look in plan.looks if look <= len(seeds)]
    walks = [_Walk(pair, seeds, looks, plan, len(pairs)) for pair in pairs]
    for place in range(len(looks)):
        going = [(one, walk) for one, walk in zip(found, walks, strict=True) if one.verdict == "open"]
        for one, walk in going:
            one.looks = walk.looks[: walk.counts[place]]
        for verdict in _SHOWN:
            _note_shown(going, found, verdict, place)
    return found


def _note_shown(
    going: Sequence[tuple[Decision, "_Walk"]], found: Sequence[Decision], verdict: Shown, place: int
) -> None:
    """Note which open pairs a look decides so; each of them leaves its part of the level to the others."""
    while True:
        left = sum(one.verdict != verdict for one in found)
        new = [one for one, walk in going if one.verdict == "open" and walk.shows(verdict, place, left)]
        if not new:
            return
        for one in new:
            one.verdict = verdict


class _Walk:
    """When the looks at a pair show what.

    Args:
        pair: the difference of each seed.
        seeds: of all groups.
        looks: after how many of these one looked.
        plan: as in `decide`.
        tests: how many pairs share the level.

    Attributes:
        looks: how many seeds the pair had, at each look at which it had more than before.
        counts: how many of its looks there were at each look.
    """

    def __init__(
        self, pair: Mapping[int, float], seeds: Sequence[int], looks: Sequence[int], plan: Plan, tests: int
    ) -> None:
        had = [sum(seed in pair for seed in seeds[:look]) for look in looks]
        self.looks = tuple(dict.fromkeys(count for count in had if count > 1))
        self.counts = [len({count for count in had[: place + 1] if count > 1}) for place in range(len(had))]
        self._shown: dict[Shown, list[int]] = {verdict: [_NEVER] * tests for verdict in _SHOWN}
        if self.looks:
            seen = Looks([pair[seed] for seed in sorted(pair)], self.looks, plan.planned)
            parts = range(1, tests + 1)
            found = [_count(seen.find_difference(LEVEL / left)) for left in parts]
            self._shown["different"] = _keep_shown(found)
            if plan.matters is not None:
                # a pair that differs by what matters can be called equal at one of the two ends alone
                levels = [min(LEVEL, 2 * LEVEL / left) for left in parts]
                ends = plan.matters, -plan.matters
                found = [max(_find_inside(seen, end, level) for end in ends) for level in levels]
                self._shown["equal"] = _keep_shown(found)

    def shows(self, verdict: Shown, place: int, left: int) -> bool:
        """Say whether a look shows this, at the level that one of `left` pairs has."""
        return self._shown[verdict][left - 1] <= self.counts[place]


def _keep_shown(looks: Sequence[int]) -> list[int]:
    """Return from which look on all greater parts of the level show it as well, see `Looks.crosses_at`."""
    kept: list[int] = np.maximum.accumulate(looks).tolist()
    return kept


def _find_inside(seen: Looks, end: float, level: float) -> int:
    """Return how many looks it takes to show that the mean lies on that side of `end` where zero does."""
    look = seen.find_crossing(level, end)
    is_inside = look is not None and (seen.mean_at(look) < end) == (end > 0)
    return _count(look) if is_inside else _NEVER


def _count(look: int | None) -> int:
    """Return how many looks it takes to come to one."""
    return _NEVER if look is None else look + 1


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
