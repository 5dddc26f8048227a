"""What readers of a comparison must know beside its numbers."""

from collections.abc import Callable, Sequence

from ratelab.comparison.groups import Group
from ratelab.comparison.plans import Plan
from ratelab.tasks import Outcome

FEWEST_SEEDS = 10  # fewer do not give an interval that holds its promise (docs/protocol.md)
# Seven groups are 21 pairs: more than anybody reads, and Holm makes each pay for all the others.
MOST_FOR_ALL_PAIRS = 6


def remarks(groups: Sequence[Group], outcome: Outcome, plan: Plan | None = None) -> list[str]:
    """Return what readers of the numbers must know: failures, unequal lengths, unequal seeds.

    Args:
        groups: of one comparison.
        outcome: the metric that judges.
        plan: of the sweep, if its seeds were added until all was decided.
    """
    metric = outcome.metric
    found = []
    if all(one.time is None for one in groups):
        found += _note_worst(groups, "diverged", metric, lambda one: one.count("diverged"))
        found += _note_worst(groups, "gave no number", metric, _count_without_number)
    # finished ones: that a diverged run is shorter is said already
    lengths = {
        run.validation[-1].step + 1
        for one in groups
        for run in one.runs
        if run.status == "finished" and run.validation
    }
    if len(lengths) > 1:
        found.append(f"runs are of different lengths: {', '.join(f'{n:,}' for n in sorted(lengths))} steps")
    if plan is None and len({tuple(one.by_seed) for one in groups}) > 1:
        found.append(
            f"the groups have different seeds ({_count_seeds(groups)}); a pair uses those that both have"
        )
    if plan is not None:
        found.append(_note_plan(groups, plan))
    else:
        found += _note_additions(groups)
    if plan is None and any(1 < len(one.by_seed) < FEWEST_SEEDS for one in groups):
        found.append(f"fewer than {FEWEST_SEEDS} seeds: intervals are too narrow where results are skewed")
    return found


def _note_additions(groups: Sequence[Group]) -> list[str]:
    """Return a note where seeds were added to others, perhaps because of what these had shown."""
    decided = [one.name for one in groups if any(run.plan is not None for run in one.runs)]
    if decided:
        return [
            f"seeds of {', '.join(decided)} were added until all of their sweep was decided: p-values and "
            "intervals hold for one look, and here there were more; compare that sweep by itself (--sweep)"
        ]
    ours = {one.name: [run for run in one.runs if run.split != "imported"] for one in groups}
    several = [name for name, runs in ours.items() if len({run.sweep_id or run.run_id for run in runs}) > 1]
    if not several:
        return []
    return [
        f"seeds of {', '.join(several)} were not trained in one sweep: p-values and intervals hold for one "
        "look, not where seeds were added because of what was seen, which experiment=decide does rightly"
    ]


def _note_plan(groups: Sequence[Group], plan: Plan) -> str:
    """Return how often one looked, and what a fixed number of seeds would have taken."""
    runs, seeds = sum(len(one.runs) for one in groups), max(len(one.by_seed) for one in groups)
    looks = [look for look in plan.looks if look <= seeds]
    most = max(plan.planned, plan.most)
    return (
        f"looked at after {', '.join(map(str, looks))} seeds: p-values and intervals of differences hold at "
        f"all looks together; {runs} runs, where {most} seeds for each would have been {most * len(groups)}"
    )


def _note_worst(groups: Sequence[Group], why: str, metric: str, count: Callable[[Group], int]) -> list[str]:
    """Return a note for each value that some runs count as, with how many there are in each group."""
    counts: dict[float, list[str]] = {}
    for one in groups:
        if count(one):
            counts.setdefault(one.worst, []).append(f"{one.name}: {count(one)}")
    return [f"{why}, and counted with {metric} {worst:g}: {', '.join(own)}" for worst, own in counts.items()]


def _count_without_number(one: Group) -> int:
    """Return how many runs finished, but with what is no number."""
    return sum(run.status == "finished" and run.value is None for run in one.runs)


def _count_seeds(groups: Sequence[Group]) -> str:
    """Return how many seeds each group has, of many groups the range."""
    counts = [len(one.by_seed) for one in groups]
    if len(groups) > MOST_FOR_ALL_PAIRS:
        return f"{min(counts)} to {max(counts)} of them"
    return ", ".join(f"{one.name} {count}" for one, count in zip(groups, counts, strict=True))
