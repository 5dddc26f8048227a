"""A comparison of groups of runs: a summary of each, a verdict on each pair."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ratelab.comparison import statistics
from ratelab.comparison.conclusions import Conclusion, conclusions
from ratelab.comparison.groups import Group, group
from ratelab.comparison.pairs import Pair, compare_pairs, find_reference
from ratelab.comparison.results import Result
from ratelab.comparison.statistics import Interval
from ratelab.validation import unknown_key

FEWEST_SEEDS = 10  # fewer do not give an interval that holds its promise (docs/protocol.md)
# Seven groups are 21 pairs: more than anybody reads, and Holm makes each pay for all the others.
MOST_FOR_ALL_PAIRS = 6
DEFAULT_BASELINE = "fixed"


@dataclass(frozen=True)
class Summary:
    """One group in numbers; accuracy is that on the test split, a diverged run counts as 0.

    Attributes:
        name: of the group.
        seeds: ascending.
        accuracy: of each seed.
        mean: of the accuracies.
        deviation: their standard deviation; None for one seed.
        interval: 95 %, of the mean; None for one seed.
        middle: their interquartile mean.
        worst: the lowest one, and its seed.
        diverged: how many runs.
        final_rate: the last learning rate, None if it differs between runs.
        seconds: of training a run, mean.
        reached: how many runs reached the target on the validation split.
        steps_to_target: median over all runs; None if fewer than half reached it.
        seconds_to_target: the same in seconds of training.
        examples_to_target: the same in training examples seen.
    """

    name: str
    seeds: tuple[int, ...]
    accuracy: tuple[float, ...]
    mean: float
    deviation: float | None
    interval: Interval | None
    middle: float
    worst: tuple[float, int]
    diverged: int
    final_rate: float | None
    seconds: float
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
        target: the validation accuracy that `Summary.steps_to_target` is about; None without results.
        notes: what a reader must know beside.
        members: the runs of each group, in the order of `groups`.
    """

    title: str
    groups: tuple[Summary, ...]
    pairs: tuple[Pair, ...]
    target: float | None
    notes: tuple[str, ...]
    members: tuple[Group, ...]

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
    target: float | None = None,
    title: str = "Test accuracy",
) -> Comparison:
    """Compare groups of runs, paired by seed.

    Args:
        results: runs that finished or diverged; their order sets only the order of the groups.
        by: config keys that make the groups; None: whatever varies but the seed.
        baseline: the name of the group that every other is compared with; None: all pairs of up to six
            groups, of more each with `fixed` if there is one, else with the first.
        target: a validation accuracy in (0, 1]; None: the lowest mean of a group at its end, rounded down.
        title: what is compared.

    Raises:
        UserError: as `group`, and for a baseline that is not there.

    >>> runs = [Result(seed, {"schedule": s}, status="finished", test_accuracy=a)
    ...         for s, a in (("fixed", 0.75), ("cosine", 0.5)) for seed in range(6)]
    >>> compare(runs).pairs[0].sentence
    'cosine is worse than fixed: accuracy -0.2500 (95 % interval ...), lower in 6 of 6 seeds, p = 0.031 ...'
    """
    groups, notes = group(results, by)
    target = _choose_target(groups) if target is None else target
    which = _choose_pairs(groups, baseline)
    if baseline is None and len(groups) > MOST_FOR_ALL_PAIRS:
        chosen = groups[which[0][1]].name
        notes.append(f"{len(groups)} groups: each is compared with {chosen}, another one with --baseline")
    return Comparison(
        title=title,
        groups=tuple(_summarize(one, target) for one in groups),
        pairs=tuple(compare_pairs(groups, which)),
        target=target,
        notes=(*notes, *_remarks(groups)),
        members=tuple(groups),
    )


def _choose_pairs(groups: Sequence[Group], baseline: str | None) -> list[tuple[int, int]]:
    """Return the groups of each pair: of every two the later and the earlier, or all and the baseline."""
    names = [one.name for one in groups]
    if baseline is not None and baseline not in names:
        raise unknown_key("--baseline", baseline, names)
    if baseline is None and len(groups) <= MOST_FOR_ALL_PAIRS:
        return [(second, first) for first, second in itertools.combinations(range(len(groups)), 2)]
    usual = DEFAULT_BASELINE if DEFAULT_BASELINE in names else names[0]
    place = names.index(baseline or usual)
    return [(other, place) for other in range(len(groups)) if other != place]


def _summarize(one: Group, target: float | None) -> Summary:
    """Return a group in numbers; a run that never reached the target took infinitely long to reach it."""
    runs, accuracy = one.runs, np.array(list(one.accuracy.values()))
    seeds = tuple(one.by_seed)
    # a diverged run ended somewhere in the middle, so its last rate is not that of the schedule
    rates = {run.final_rate for run in runs if run.status == "finished"}
    looks = [None if target is None else run.first_look_at(target) for run in runs]
    worst = int(accuracy.argmin())
    return Summary(
        name=one.name,
        seeds=seeds,
        accuracy=tuple(accuracy.tolist()),
        mean=float(accuracy.mean()),
        deviation=float(accuracy.std(ddof=1)) if len(seeds) > 1 else None,
        interval=statistics.mean_interval(accuracy),
        middle=statistics.interquartile_mean(accuracy),
        worst=(float(accuracy[worst]), seeds[worst]),
        diverged=sum(run.status == "diverged" for run in runs),
        final_rate=rates.pop() if len(rates) == 1 else None,
        seconds=float(np.mean([run.seconds for run in runs])),
        reached=sum(look is not None for look in looks),
        steps_to_target=_median([np.inf if look is None else look.step + 1 for look in looks]),
        seconds_to_target=_median([np.inf if look is None else look.seconds for look in looks]),
        examples_to_target=_median([np.inf if look is None else look.examples for look in looks]),
    )


def _median(values: Sequence[float]) -> float | None:
    """Return the lower median, a value that was measured; None where it is infinite."""
    middle = float(np.quantile(values, 0.5, method="lower"))
    return middle if np.isfinite(middle) else None


def _choose_target(groups: Sequence[Group]) -> float | None:
    """Return the lowest mean final validation accuracy of a group, rounded down to three digits."""
    # a group with a diverged run says nothing of how good its runs can be
    means = [
        np.mean([run.validation[-1].accuracy for run in one.runs if run.validation])
        for one in groups
        if any(run.validation for run in one.runs) and not any(run.status == "diverged" for run in one.runs)
    ]
    # down, so that the lowest group itself reaches it
    return float(np.floor(min(means) * 1000) / 1000) if means else None


def _remarks(groups: Sequence[Group]) -> list[str]:
    """Return what readers of the numbers must know: failures, unequal lengths, unequal seeds."""
    remarks = []
    diverged = {one.name: sum(run.status == "diverged" for run in one.runs) for one in groups}
    if any(diverged.values()):
        counts = ", ".join(f"{name}: {n}" for name, n in diverged.items() if n)
        remarks.append(f"diverged, and counted with accuracy 0: {counts}")
    # finished ones: that a diverged run is shorter is said already
    lengths = {
        run.validation[-1].step + 1
        for one in groups
        for run in one.runs
        if run.status == "finished" and run.validation
    }
    if len(lengths) > 1:
        remarks.append(f"runs are of different lengths: {', '.join(f'{n:,}' for n in sorted(lengths))} steps")
    if len({tuple(one.by_seed) for one in groups}) > 1:
        remarks.append(
            f"the groups have different seeds ({_counts(groups)}); a pair uses those that both have"
        )
    if any(1 < len(one.by_seed) < FEWEST_SEEDS for one in groups):
        remarks.append(f"fewer than {FEWEST_SEEDS} seeds: intervals are too narrow where results are skewed")
    return remarks


def _counts(groups: Sequence[Group]) -> str:
    """Return how many seeds each group has, of many groups the range."""
    counts = [len(one.by_seed) for one in groups]
    if len(groups) > MOST_FOR_ALL_PAIRS:
        return f"{min(counts)} to {max(counts)} of them"
    return ", ".join(f"{one.name} {count}" for one, count in zip(groups, counts, strict=True))
