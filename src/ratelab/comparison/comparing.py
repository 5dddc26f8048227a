"""A comparison of groups of runs: a summary of each, a verdict on each pair."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ratelab.comparison import statistics
from ratelab.comparison.conclusions import Conclusion, conclusions
from ratelab.comparison.digits import FOR_COUNTS, Digits, digits_of
from ratelab.comparison.groups import Group, group
from ratelab.comparison.judging import compare_pairs
from ratelab.comparison.outcomes import COUNTS, PREFIXES, Split, TimeName, find_shared
from ratelab.comparison.pairs import Pair, find_reference
from ratelab.comparison.plans import newest
from ratelab.comparison.remarks import MOST_FOR_ALL_PAIRS, remarks
from ratelab.comparison.results import Result
from ratelab.comparison.statistics import Interval
from ratelab.comparison.targets import choose_target, describe_times, list_targets, with_times
from ratelab.comparison.times import name_judge
from ratelab.tasks import Outcome
from ratelab.validation import unknown_key

DEFAULT_BASELINE = "fixed"


@dataclass(frozen=True)
class Summary:
    """One group in numbers: what judges, a diverged run as the worst.

    Attributes:
        name: of the group.
        seeds: ascending.
        values: of each seed.
        mean: of the values.
        deviation: their standard deviation; None for one seed.
        interval: 95 %, of the mean; None for one seed.
        middle: their interquartile mean.
        worst: the worst one, and its seed.
        diverged: how many runs.
        final_rate: the last learning rate, None if it differs between runs.
        seconds: of training a run, mean; None where no run has a look at the validation split.
        target: the value in validation that the following is about; None without results.
        reached: how many runs reached the target on the validation split.
        steps_to_target: median over all runs; None if fewer than half reached it.
        seconds_to_target: the same in seconds of training.
        examples_to_target: the same in training examples seen.
    """

    name: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    deviation: float | None
    interval: Interval | None
    middle: float
    worst: tuple[float, int]
    diverged: int
    final_rate: float | None
    seconds: float | None
    target: float | None
    reached: int
    steps_to_target: float | None
    seconds_to_target: float | None
    examples_to_target: float | None


@dataclass(frozen=True)
class Comparison:
    """Groups, and pairs of them.

    Attributes:
        title: what is compared.
        groups: in the order in which they first appear.
        pairs: every pair, or each group with the baseline.
        target: that of all groups; None if they have different ones, or none.
        notes: what a reader must know beside.
        members: the runs of each group, in the order of `groups`.
        outcome: what judges: a metric, or how long it takes to the target.
        looked: the metric in which the target is given; it judges too, unless time does.
        split: on which what judges was measured.
        digits: how its values are written.
    """

    title: str
    groups: tuple[Summary, ...]
    pairs: tuple[Pair, ...]
    target: float | None
    notes: tuple[str, ...]
    members: tuple[Group, ...]
    outcome: Outcome
    looked: Outcome
    split: Split
    digits: Digits

    @property
    def is_of_times(self) -> bool:
        """Whether it judges by how long it takes to the target."""
        return self.outcome != self.looked

    @property
    def metric(self) -> str:
        """What judges, as --metric names it."""
        name, prefix = self.outcome.metric, PREFIXES.get(self.split)
        return name if self.is_of_times or prefix is None else f"{prefix}_{name}"

    @property
    def judge(self) -> str:
        """The same in words."""
        return name_judge(self.looked, self.split, self.outcome.metric if self.is_of_times else None)

    @property
    def worst(self) -> str:
        """What diverged runs count as in the metric, in words."""
        found = dict.fromkeys(one.worst for one in self.members if one.count("diverged"))
        return " or ".join(f"{worst:g}" for worst in found)

    @property
    def reference(self) -> str:
        """The name of the group that every other is compared with; empty where pairs have different ones."""
        return find_reference(self.pairs)

    @property
    def conclusions(self) -> list[Conclusion]:
        """What to tell a reader about the pairs."""
        return conclusions(self.pairs)


def compare(
    results: Sequence[Result],
    *,
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    target: float | str | None = None,
    time: TimeName | None = None,
    title: str = "",
) -> Comparison:
    """Compare groups of runs, paired by seed.

    Args:
        results: runs that finished or diverged; their order sets only the order of the groups.
        by: config keys that make the groups; None: whatever varies but the seed.
        baseline: the name of the group that every other is compared with; None: all pairs of up to six
            groups, of more each with `fixed` if there is one, else with the first.
        target: a value on the validation split, of an accuracy in (0, 1], or a share, as in `choose_target`.
        time: what judges in the place of their metric; None: what their plan says, if they have one.
        title: what is compared; by default the split and the metric.

    Raises:
        UserError: as `group` and `with_times`, for a baseline that is not there, a target that cannot be, and
            for runs that are judged by different metrics.

    >>> runs = [Result(seed, {"schedule": s}, status="finished", test={"accuracy": a})
    ...         for s, a in (("fixed", 0.75), ("cosine", 0.5)) for seed in range(6)]
    >>> compare(runs).pairs[0].sentence
    'cosine is worse than fixed: accuracy -0.2500 (95 % interval ...), lower in 6 of 6 seeds, p = 0.031 ...'
    """
    looked, split = find_shared(result.outcome for result in results), results[0].judged_on
    groups, notes = group(results, by)
    outcome, digits = looked, _choose_digits(looked, groups)
    plan = newest([result.plan for result in results])
    if plan is not None:
        plan = plan.judged_by(time)
        time, target = plan.time, plan.target if target is None else target
    targets = [choose_target(groups, looked, digits, target)] * len(groups) if time is None else []
    which = choose_pairs([one.name for one in groups], baseline)
    if time is not None:
        groups = with_times(groups, time, looked, digits, target)
        outcome, split = Outcome(time, higher_is_better=False), "validation"
        targets = list_targets(groups)
        digits = _choose_digits(outcome, groups)
        notes += describe_times(groups, target)
    if baseline is None and len(groups) > MOST_FOR_ALL_PAIRS:
        chosen = groups[which[0][1]].name
        notes.append(f"{len(groups)} groups: each is compared with {chosen}, another one with --baseline")
    return Comparison(
        title=title or name_judge(looked, split, time),
        groups=tuple(_summarize(one, outcome, own) for one, own in zip(groups, targets, strict=True)),
        pairs=tuple(compare_pairs(groups, which, outcome, digits, plan)),
        target=targets[0] if len(set(targets)) == 1 else None,
        notes=(*notes, *remarks(groups, outcome, plan)),
        members=tuple(groups),
        outcome=outcome,
        looked=looked,
        split=split,
        digits=digits,
    )


def choose_pairs(names: Sequence[str], baseline: str | None = None) -> list[tuple[int, int]]:
    """Return the groups of each pair: of every two the later and the earlier, or all and the baseline."""
    if baseline is not None and baseline not in names:
        raise unknown_key("--baseline", baseline, names)
    if baseline is None and len(names) <= MOST_FOR_ALL_PAIRS:
        return [(second, first) for first, second in itertools.combinations(range(len(names)), 2)]
    usual = DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[0]
    place = names.index(baseline or usual)
    return [(other, place) for other in range(len(names)) if other != place]


def _choose_digits(outcome: Outcome, groups: Sequence[Group]) -> Digits:
    """Return how values are written: so that those of the group with the narrowest spread show theirs."""
    if outcome.metric in COUNTS:
        return FOR_COUNTS
    values = [list(one.values.values()) for one in groups]
    spreads = [float(np.std(own, ddof=1)) for own in values if len(set(own)) > 1]
    return digits_of(outcome, itertools.chain(*values), min(spreads, default=0.0))


def _summarize(one: Group, outcome: Outcome, target: float | None) -> Summary:
    """Return a group in numbers; a run that never reached the target took infinitely long to reach it."""
    runs, values = one.runs, np.array(list(one.values.values()))
    seeds = tuple(one.by_seed)
    # a diverged run ended somewhere in the middle, so its last rate is not that of the schedule
    rates = {run.final_rate for run in runs if run.status == "finished"}
    looks = [None if target is None else run.first_look_at(target) for run in runs]
    worst = int(values.argmin() if outcome.higher_is_better else values.argmax())
    return Summary(
        name=one.name,
        seeds=seeds,
        values=tuple(values.tolist()),
        mean=float(values.mean()),
        deviation=float(values.std(ddof=1)) if len(seeds) > 1 else None,
        interval=statistics.mean_interval(values),
        middle=statistics.interquartile_mean(values),
        worst=(float(values[worst]), seeds[worst]),
        diverged=one.count("diverged"),
        final_rate=rates.pop() if len(rates) == 1 else None,
        seconds=float(np.mean([run.seconds for run in runs]))
        if any(run.validation for run in runs)
        else None,
        target=target,
        reached=sum(look is not None for look in looks),
        steps_to_target=_find_median([np.inf if look is None else look.step + 1 for look in looks]),
        seconds_to_target=_find_median([np.inf if look is None else look.seconds for look in looks]),
        examples_to_target=_find_median([np.inf if look is None else look.examples for look in looks]),
    )


def _find_median(values: Sequence[float]) -> float | None:
    """Return the lower median, a value that was measured; None where it is infinite."""
    middle = float(np.quantile(values, 0.5, method="lower"))
    return middle if np.isfinite(middle) else None
