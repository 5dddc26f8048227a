"""How often each schedule is nearly the fastest, where there are several tasks: a performance profile."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ratelab.comparison.groups import Group, names_of
from ratelab.comparison.times import find_first

FARTHEST = 4.0  # times as long as the fastest: up to there the score looks, as AlgoPerf's


@dataclass(frozen=True)
class Profile:
    """One schedule over tasks, which are settings of data and model.

    Attributes:
        name: of the schedule, without what tells the tasks apart.
        ratios: for each task how many times as long as the fastest it took to the target; infinite where
            fewer than half of its runs reached it.
    """

    name: str
    ratios: tuple[float, ...]

    def share(self, factor: float) -> float:
        """Return the share of the tasks in which it took at most so many times as long as the fastest.

        >>> Profile("rex", (1.0, 1.5, np.inf, 1.0)).share(1.0)
        0.5
        """
        return float(np.mean(np.array(self.ratios) <= factor))

    @property
    def score(self) -> float:
        """The mean of `share` over factors from 1 to 4: 1 for what is the fastest in every task.

        >>> Profile("rex", (1.0, 2.5)).score
        0.75
        """
        left = FARTHEST - np.minimum(self.ratios, FARTHEST)
        return float(np.mean(left / (FARTHEST - 1)))


def list_profiles(groups: Sequence[Group]) -> list[Profile]:
    """Return the profile of each schedule that was tried in every task, the best score first.

    The time of a schedule in a task is the median over its runs. A task in which none has one tells nothing.

    Args:
        groups: of one comparison.

    Returns:
        Nothing where there are fewer than two such tasks or two such schedules, and where no time judges.

    References:
        Dolan & More 2002, doi 10.1007/s101070100263; Dahl et al. 2023, AlgoPerf, arXiv 2306.07179.
    """
    tasks: dict[frozenset[tuple[str, str]], list[Group]] = {}
    for one in groups:
        tasks.setdefault(frozenset(one.setting.items()), []).append(one)
    times = [_time_groups(own) for own in tasks.values()]
    shared = [name for name in times[0] if all(name in own for own in times)]
    told = [own for own in times if any(np.isfinite(own[name]) for name in shared)]
    if len(told) < 2 or len(shared) < 2:
        return []
    fastest = [min(own[name] for name in shared) for own in told]
    found = [
        Profile(name, tuple(own[name] / least for own, least in zip(told, fastest, strict=True)))
        for name in shared
    ]
    return sorted(found, key=lambda one: -one.score)


def _time_groups(groups: Sequence[Group]) -> dict[str, float]:
    """Return how long each group of a task took, by a name without what is the same in all of them."""
    names = names_of([one.runs[0] for one in groups])
    return {name: _find_time(one) for name, one in zip(names, groups, strict=True)}


def _find_time(one: Group) -> float:
    """Return the median over the runs, as in the table of groups; infinite where fewer than half have one."""
    if one.time is None:
        return np.inf
    firsts = [find_first(run, one.time.name, one.time.target) for run in one.runs]
    return float(np.quantile([np.inf if first is None else first for first in firsts], 0.5, method="lower"))
