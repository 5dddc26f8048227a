"""From a study to its tables, once for all that show it: rows, headings, emphasis, words."""

from dataclasses import replace

from ratelab.comparison import (
    Comparison,
    Pair,
    Study,
    Summary,
    list_profiles,
)
from ratelab.comparison.outcomes import sign_of
from ratelab.comparison.profiles import FARTHEST
from ratelab.report import values
from ratelab.report.base_rates import make_rate_rows, make_sensitivity, make_tuning
from ratelab.report.tables import Row, Section, Table, Tables, column, split_interval
from ratelab.report.values import Values


def make_tables(study: Study) -> Tables:
    """Return the tables of a study and the words around them."""
    tuned = sorted(study.tuned, key=lambda one: -sign_of(one.outcome) * one.means[one.place])
    return Tables(
        sections=tuple(_make_section(_rank(comparison)) for comparison in study.comparisons),
        tuning=make_tuning(tuned) if tuned else None,
        sensitivity=make_sensitivity(tuned),
        tried=tuple(row for one in tuned for row in make_rate_rows(one)),
        notes=study.notes,
        lack=_describe_lack(study),
    )


def _describe_lack(study: Study) -> str:
    """Return what to say where there are no verdicts yet; else an empty text."""
    if study.comparisons:
        return ""
    if study.tuned:
        return "only the tuning runs have ended yet: nothing was judged on the test split"
    if any(result.is_outcome for result in study.results):
        return "no run gave a value that counts: there is nothing to compare"
    if study.results and all(result.status in ("failed", "killed") for result in study.results):
        return "every run failed or was killed: there is nothing to compare"
    if study.unreadable and not study.results:
        return "no run can be read: there is nothing to compare"
    return "no run has ended yet: there is nothing to compare"


def _rank(comparison: Comparison) -> Comparison:
    """Return the comparison with the best group first, and the pairs in the order of their groups.

    Figures keep the order in which groups appear, so that a schedule has one colour in all of them.
    """
    sign = sign_of(comparison.outcome)
    groups = sorted(comparison.groups, key=lambda group: -sign * group.mean)
    places = {group.name: place for place, group in enumerate(groups)}
    pairs = sorted(comparison.pairs, key=lambda pair: sorted((places[pair.first], places[pair.second])))
    return replace(comparison, groups=tuple(groups), pairs=tuple(pairs))


def _make_section(comparison: Comparison) -> Section:
    # one row a group for both tables, because in CSV and JSON they are one
    rows = tuple(_make_group_row(comparison, group) for group in comparison.groups)
    return Section(
        comparison=comparison,
        groups=_make_groups(comparison, rows),
        costs=_make_costs(comparison, rows),
        profile=_make_profile(comparison),
        pairs=_make_pairs(comparison),
    )


def _make_groups(comparison: Comparison, rows: tuple[Row, ...]) -> Table:
    methods = sorted({group.interval.method for group in comparison.groups if group.interval is not None})
    own = Values(comparison.digits)
    columns = (
        column("group", _head_groups(comparison), values.TEXT, "group"),
        column("seeds", "", values.COUNT, "n"),
        column("", "runs", values.RUNS, "n", "diverged"),
        column("mean", "mean", own.value, "mean"),
        column("95 % interval", "", own.interval, "low", "high"),
        column("", "95 % interval", own.span, "low", "high"),
        column("method", "", values.TEXT, "interval"),
        column("sd", "sd", own.value, "sd"),
        column("IQM", "IQM", own.value, "iqm"),
        column("worst (seed)", "worst (seed)", own.of_seed, "worst", "worst_seed"),
        column("diverged", "", values.COUNT, "diverged"),
    )
    legend = f"95 % interval of the mean: {' or '.join(methods)}" if methods else ""
    return Table(comparison.title, f"{comparison.title}: the groups.", rows, columns, legend)


def _head_groups(comparison: Comparison) -> str:
    return "group" if comparison.split == "imported" else "schedule"


def _make_costs(comparison: Comparison, rows: tuple[Row, ...]) -> Table:
    """Return what a run of each group costs, after how soon it was as good as the target if there is one."""
    targets = dict.fromkeys(one.target for one in comparison.groups if one.target is not None)
    group = column("group", "schedule", values.TEXT, "group")
    costs = (
        column("seconds a run", "s a run", values.SECONDS, "seconds"),
        column("final rate", "final rate", values.RATE, "final_rate"),
    )
    caption = "Learning rate at the end and seconds of training, mean over the runs."
    # no title: without a target the narrow table would answer no question
    if not targets:
        return Table("", caption, rows, (group, *costs))
    # of several data sets or models each has its own
    shared = f"{comparison.target:.10g}" if comparison.target is not None else "its target"
    own = () if len(targets) == 1 else (column("target", "target", values.TARGET, "target"),)
    to_target = (
        *own,
        column("runs that reach it", "reached", values.COUNT, "reached"),
        column("steps", "steps", values.COUNT, "steps_to_target"),
        column("examples", "examples", values.COUNT, "examples_to_target"),
        column("seconds", "seconds", values.SECONDS, "seconds_to_target"),
    )
    title = f"Until {shared} is reached on the validation split (medians)"
    metric = comparison.looked.metric
    caption += f" Target: {metric} {shared} on the validation split; what it takes to reach it: medians."
    return Table(title, caption, rows, (group, *to_target, *costs))


def _make_profile(comparison: Comparison) -> Table:
    """Return how often each schedule is nearly the fastest; no rows where there are not several tasks."""
    found, factors = list_profiles(comparison.members), (1.0, 1.5, 2.0, FARTHEST)
    rows = tuple(
        {
            "group": one.name,
            "tasks": len(one.ratios),
            **{f"within_{factor:g}": one.share(factor) for factor in factors},
            "score": one.score,
        }
        for one in found
    )
    shares = [
        column(f"within {factor:g}", f"{factor:g}", values.SHARE, f"within_{factor:g}") for factor in factors
    ]
    columns = (
        column("group", "schedule", values.TEXT, "group"),
        column("tasks", "tasks", values.COUNT, "tasks"),
        *shares,
        column("score", "score", values.SHARE, "score"),
    )
    title = "Share of the tasks within so many times the time of the fastest"
    return Table(
        title, f"{title} (medians). Score: the mean over factors from 1 to {FARTHEST:g}.", rows, columns
    )


def _make_group_row(comparison: Comparison, group: Summary) -> Row:
    worst, seed = group.worst
    return {
        "comparison": comparison.title,
        "metric": comparison.metric,
        "group": group.name,
        "n": len(group.seeds),
        "mean": group.mean,
        "sd": group.deviation,
        **split_interval(group.interval),
        "iqm": group.middle,
        "worst": worst,
        "worst_seed": seed,
        "diverged": group.diverged,
        "final_rate": group.final_rate,
        "seconds": group.seconds,
        "target": group.target,
        "reached": None if group.target is None else group.reached,
        "steps_to_target": group.steps_to_target,
        "seconds_to_target": group.seconds_to_target,
        "examples_to_target": group.examples_to_target,
    }


def _make_pairs(comparison: Comparison) -> Table:
    """Return a row for each pair; a second group that all share is named once, above the narrow table."""
    reference, own = comparison.reference, Values(comparison.digits)
    better = ">" if comparison.outcome.higher_is_better else "<"
    columns = (
        column("first", _head_groups(comparison) if reference else "first", values.TEXT, "first"),
        column("second", "" if reference else "second", values.TEXT, "second"),
        column("seeds", "n", values.COUNT, "n"),
        column("difference", "mean", own.difference, "difference"),
        column("95 % interval", "95 % interval", own.differences, "low", "high"),
        column("method", "", values.TEXT, "interval"),
        column("p", "", values.P, "p"),
        column("p (Holm)", "Holm p", values.P, "p_holm"),
        column("P(first is better)", f"P({better})", values.SHARE, "improvement"),
        column("effect size", "effect", values.EFFECT, "effect_size"),
        column("verdict", "", values.TEXT, "verdict"),
    )
    what = f"Paired differences from {reference}" if reference else "Paired differences, first - second"
    caption = f"{comparison.title}: paired differences, the first minus the second, over the seeds of both."
    rows = tuple(_make_pair_row(comparison, pair) for pair in comparison.pairs)
    return Table(f"{what}, over the seeds of both", caption, rows, columns)


def _make_pair_row(comparison: Comparison, pair: Pair) -> Row:
    return {
        "comparison": comparison.title,
        "metric": comparison.metric,
        "first": pair.first,
        "second": pair.second,
        "n": len(pair.seeds),
        "difference": pair.mean,
        **split_interval(pair.interval),
        "p": pair.p,
        "p_holm": pair.corrected,
        "improvement": pair.improvement,
        "effect_size": pair.effect,
        "verdict": pair.verdict,
        "sentence": pair.sentence,
    }
