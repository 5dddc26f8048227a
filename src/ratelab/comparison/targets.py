"""The value in validation that runs are to reach: given, or what the runs themselves came to."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ratelab.comparison.digits import EXACT, Digits
from ratelab.comparison.groups import Group
from ratelab.comparison.outcomes import TimeName
from ratelab.comparison.results import Result, is_number
from ratelab.comparison.times import Time, find_end
from ratelab.tasks import ACCURACY, Outcome
from ratelab.validation import UserError


def choose_target(
    groups: Sequence[Group], outcome: Outcome, digits: Digits, wanted: float | str | None
) -> float | None:
    """Return the value in validation to reach.

    Args:
        groups: of one comparison.
        outcome: the metric.
        digits: how its values are written.
        wanted: the value, or a text of it; "5%": the mean that the best group ends with, m, made worse by
            5 %: m - 0.05 |m| where more is better, else m + 0.05 |m|, as AlgoPerf relaxes its targets (Dahl
            et al. 2023, arXiv 2306.07179): the value of the metric itself, of an accuracy too, and not its
            distance from 1. None: the mean that the worst group ends with.

    Returns:
        The target; what follows from the runs is rounded to a digit less than values are written with,
        towards what is worse, so that the group itself reaches it. None where every group has a run that
        diverged, or no number at its end: they say nothing of how good its runs can be.

    Raises:
        UserError: for what is no such value, and one that no run could reach.
    """
    share = None if wanted is None else _read_share(wanted)
    if wanted is not None and share is None:
        return read_target(wanted, outcome)
    means = [mean for mean in map(_find_mean_end, groups) if mean is not None]
    if not means:
        return None
    if share is None:
        mean = min(means) if outcome.higher_is_better else max(means)
    else:
        best = max(means) if outcome.higher_is_better else min(means)
        worse = best - share * abs(best) if outcome.higher_is_better else best + share * abs(best)
        mean = round(worse, digits.decimals + EXACT)  # 0.95 * 0.8 is a little less than 0.76
    factor = 10.0**digits.fewer.decimals
    towards = np.floor if outcome.higher_is_better else np.ceil
    return float(towards(mean * factor) / factor)


def with_times(
    groups: Sequence[Group], name: TimeName, outcome: Outcome, digits: Digits, wanted: float | str | None
) -> list[Group]:
    """Return the groups judged by how long they take to a target, with a target and an end for each setting.

    Args:
        groups: of one comparison.
        name: what is counted.
        outcome: the metric that the target is of.
        digits: how its values are written.
        wanted: as in `choose_target`.

    Raises:
        UserError: as `choose_target`.
    """
    alike: dict[frozenset[tuple[str, str]], list[Group]] = {}
    for one in groups:
        alike.setdefault(frozenset(one.setting.items()), []).append(one)
    times = {}
    for setting, own in alike.items():
        target = choose_target(own, outcome, digits, wanted)
        runs = [run for one in own for run in one.runs]
        times[setting] = Time(name, target, find_end(runs, name, target))
    return [replace(one, time=times[frozenset(one.setting.items())]) for one in groups]


def list_targets(groups: Sequence[Group]) -> list[float | None]:
    """Return the target of each group that is judged by the time to one."""
    return [one.time.target for one in groups if one.time is not None]


def describe_times(groups: Sequence[Group], wanted: float | str | None) -> list[str]:
    """Return what readers of times must know: whose targets they are, who never came there, how one looked.

    Args:
        groups: as `with_times` returned them.
        wanted: as in `choose_target`.
    """
    runs: dict[Time, list[Result]] = {}
    for one in groups:
        if one.time is not None and one.time.target is not None:
            runs.setdefault(one.time, []).extend(one.runs)
    notes = [_describe_origin([time.target for time in runs], wanted)] if runs else []
    for time, own in runs.items():
        late = sum(not time.reaches(run) for run in own)
        if late:
            what = f"did not reach {time.target:.10g} within {time.length}, the common end"
            notes.append(f"{late} of {len(own)} runs {what}, and count with it: means are restricted to it")
    looked = "validation is looked at once an epoch: the time of a run is that of whole epochs"
    return [*filter(None, notes), looked]


def _describe_origin(targets: Sequence[float | None], wanted: float | str | None) -> str:
    """Return what the targets are, where the runs themselves gave them; else an empty text."""
    share = None if wanted is None else _read_share(wanted)
    if wanted is not None and share is None:
        return ""
    found = list(dict.fromkeys(f"{target:.10g}" for target in targets if target is not None))
    of_each = "" if len(found) == 1 else " on the same data and model"
    which, more = ("worst", "") if share is None else ("best", f", made worse by {100 * share:g} %")
    return f"target {' and '.join(found)}: what the {which} group{of_each} ends with{more}"


def _read_share(wanted: float | str) -> float | None:
    """Return the share by which the best mean is made worse; None for a value."""
    if not isinstance(wanted, str) or not wanted.strip().endswith("%"):
        return None
    share = _read_number(wanted.strip()[:-1]) / 100
    if not 0 <= share < 1:
        raise UserError(f"--target must be from 0% to below 100%, got {wanted!r}.")
    return share


def read_target(wanted: float | str, outcome: Outcome, key: str = "--target") -> float:
    """Return a value of the metric to reach.

    Args:
        wanted: the value, or a text of it.
        outcome: the metric.
        key: where the user has given it.

    Raises:
        UserError: it is no such value.
    """
    target = _read_number(wanted)
    if outcome == ACCURACY and not 0 < target <= 1:
        raise UserError(f"{key} must be an accuracy, above 0 and at most 1, got {target:g}.")
    if not math.isfinite(target):
        raise UserError(f"{key} must be a number, got {target:g}.")
    return target


def _read_number(wanted: float | str) -> float:
    try:
        return float(wanted)
    except ValueError:
        raise UserError(f"--target must be a value, as 0.9, or a share, as 5%, got {wanted!r}.") from None


def _find_mean_end(one: Group) -> float | None:
    """Return the mean final value in validation; None where it says nothing of how good the runs can be."""
    ends = [run.validation[-1].value for run in one.runs if run.validation]
    if not ends or one.count("diverged"):
        return None
    mean = float(np.mean(ends))
    return mean if is_number(mean) else None
