"""From a study to its tables, once for all that show it: rows, headings, emphasis, words."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ratelab.comparison import (
    Comparison,
    Digits,
    Interval,
    Pair,
    Sensitivity,
    Study,
    Summary,
    Tuned,
    digits_of,
    find_near,
    measure_sensitivities,
)
from ratelab.comparison.outcomes import PREFIXES, sign_of
from ratelab.report import values
from ratelab.report.tables import Column, Row, Section, Table, Tables
from ratelab.report.values import Form, Values


def make_tables(study: Study) -> Tables:
    """Return the tables of a study and the words around them."""
    tuned = sorted(study.tuned, key=lambda one: -sign_of(one.outcome) * one.means[one.place])
    return Tables(
        sections=tuple(_make_section(_rank(comparison)) for comparison in study.comparisons),
        tuning=_make_tuning(tuned) if tuned else None,
        sensitivity=_make_sensitivity(tuned),
        tried=tuple(row for one in tuned for row in _make_rate_rows(one)),
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
        pairs=_make_pairs(comparison),
    )


def _make_groups(comparison: Comparison, rows: tuple[Row, ...]) -> Table:
    methods = sorted({group.interval.method for group in comparison.groups if group.interval is not None})
    own = Values(comparison.digits)
    columns = (
        _column("group", _head_groups(comparison), values.TEXT, "group"),
        _column("seeds", "", values.COUNT, "n"),
        _column("", "runs", values.RUNS, "n", "diverged"),
        _column("mean", "mean", own.value, "mean"),
        _column("95 % interval", "", own.interval, "low", "high"),
        _column("", "95 % interval", own.span, "low", "high"),
        _column("method", "", values.TEXT, "interval"),
        _column("sd", "sd", own.value, "sd"),
        _column("IQM", "IQM", own.value, "iqm"),
        _column("worst (seed)", "worst (seed)", own.of_seed, "worst", "worst_seed"),
        _column("diverged", "", values.COUNT, "diverged"),
    )
    legend = f"95 % interval of the mean: {' or '.join(methods)}" if methods else ""
    return Table(comparison.title, f"{comparison.title}: the groups.", rows, columns, legend)


def _head_groups(comparison: Comparison) -> str:
    return "group" if comparison.split == "imported" else "schedule"


def _make_costs(comparison: Comparison, rows: tuple[Row, ...]) -> Table:
    """Return what a run of each group costs, after how soon it was as good as the target if there is one."""
    targets = dict.fromkeys(one.target for one in comparison.groups if one.target is not None)
    group = _column("group", "schedule", values.TEXT, "group")
    costs = (
        _column("seconds a run", "s a run", values.SECONDS, "seconds"),
        _column("final rate", "final rate", values.RATE, "final_rate"),
    )
    caption = "Learning rate at the end and seconds of training, mean over the runs."
    # no title: without a target the narrow table would answer no question
    if not targets:
        return Table("", caption, rows, (group, *costs))
    # of several data sets or models each has its own
    shared = f"{comparison.target:.10g}" if comparison.target is not None else "its target"
    own = () if len(targets) == 1 else (_column("target", "target", values.TARGET, "target"),)
    to_target = (
        *own,
        _column("runs that reach it", "reached", values.COUNT, "reached"),
        _column("steps", "steps", values.COUNT, "steps_to_target"),
        _column("examples", "examples", values.COUNT, "examples_to_target"),
        _column("seconds", "seconds", values.SECONDS, "seconds_to_target"),
    )
    title = f"Until {shared} is reached on the validation split (medians)"
    metric = comparison.looked.metric
    caption += f" Target: {metric} {shared} on the validation split; what it takes to reach it: medians."
    return Table(title, caption, rows, (group, *to_target, *costs))


def _make_group_row(comparison: Comparison, group: Summary) -> Row:
    worst, seed = group.worst
    return {
        "comparison": comparison.title,
        "metric": comparison.metric,
        "group": group.name,
        "n": len(group.seeds),
        "mean": group.mean,
        "sd": group.deviation,
        **_split_interval(group.interval),
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
        _column("first", _head_groups(comparison) if reference else "first", values.TEXT, "first"),
        _column("second", "" if reference else "second", values.TEXT, "second"),
        _column("seeds", "n", values.COUNT, "n"),
        _column("difference", "mean", own.difference, "difference"),
        _column("95 % interval", "95 % interval", own.differences, "low", "high"),
        _column("method", "", values.TEXT, "interval"),
        _column("p", "", values.P, "p"),
        _column("p (Holm)", "Holm p", values.P, "p_holm"),
        _column("P(first is better)", f"P({better})", values.SHARE, "improvement"),
        _column("effect size", "effect", values.EFFECT, "effect_size"),
        _column("verdict", "", values.TEXT, "verdict"),
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
        **_split_interval(pair.interval),
        "p": pair.p,
        "p_holm": pair.corrected,
        "improvement": pair.improvement,
        "effect_size": pair.effect,
        "verdict": pair.verdict,
        "sentence": pair.sentence,
    }


def _split_interval(interval: Interval | None) -> Row:
    if interval is None:
        return {"low": None, "high": None, "interval": None}
    return {"low": interval.low, "high": interval.high, "interval": interval.method}


def _make_tuning(tuned: Sequence[Tuned]) -> Table:
    """Return a row for each schedule with a column for each base rate that any of them was tried at."""
    rates = sorted({rate for one in tuned for rate in one.rates})
    first, means = tuned[0], [mean for one in tuned for mean in one.means]
    own, metric = Values(digits_of(first.outcome, means)), first.outcome.metric
    columns = [
        _column("group", "schedule", values.TEXT, "group"),
        _column("runs", "runs", values.COUNT, "runs"),
        _column("best rate", "", values.BASE_RATE, "best"),
        _column("", "best rate", values.BEST_RATE, "best", "edge"),
        _column("edge of the grid", "", values.EDGE, "edge"),
        _column("diverged", "", values.COUNT, "diverged"),
    ]
    for rate in rates:  # whose text names the value in a row, for a row has one for each
        columns.append(_column(values.BASE_RATE.write(rate), "", own.value, str(rate)))
        columns.append(_column("", values.RATE.write(rate), own.rough, str(rate)))
    caption = (
        f"Mean {metric} on the validation split at each base rate, of tuning runs, which never saw the test "
        f"split; the rate taken for each schedule is marked. A diverged run counts as {first.worst:g}."
    )
    return Table(
        title=f"Base rates: mean {metric} on the validation split, of runs that never saw the test split",
        caption=caption,
        rows=tuple(_make_schedule_row(one, rates) for one in tuned),
        columns=tuple(columns),
        marked=frozenset((number, str(one.best)) for number, one in enumerate(tuned)),
    )


def _make_schedule_row(one: Tuned, rates: Sequence[float]) -> Row:
    # a schedule need not have been tried at every rate: runs that are compared may come from several sweeps
    means = dict(zip(one.rates, one.means, strict=True))
    return {
        "group": one.name,
        "runs": one.runs,
        "best": one.best,
        "edge": one.edges[one.place],
        "diverged": sum(one.diverged),
        **{str(rate): means.get(rate) for rate in rates},
    }


def _make_sensitivity(tuned: Sequence[Tuned]) -> Table | None:
    """Return a row for each schedule, then one for each pair of them, with differences."""
    found = measure_sensitivities(tuned)
    if not found:
        return None
    outcome, near = tuned[0].outcome, find_near(tuned)
    sizes = [abs(one.lost) for one in found]
    digits, both = digits_of(outcome, sizes), "schedule, or first - second"
    lost, decades = Values(digits), Values(Digits(2))
    columns = (
        _column("group", both, values.PAIR, "group", "minus"),
        _column("seeds", "n", values.COUNT, "n"),
        _column(f"{outcome.metric} lost", "lost", lost.value, "lost"),
        _column("95 % interval", "95 % interval", lost.interval, "lost_low", "lost_high"),
        _column("decades", "decades", decades.value, "width"),
        _column("95 % interval", "95 % interval", decades.interval, "width_low", "width_high"),
    )
    caption = (
        f"How much depends on the base rate. Lost: the {outcome.metric} that a rate of the grid loses beside "
        f"the best, mean over the rates. Decades: for how many the {outcome.metric} is within {near:.2g} of "
        "the best. Pairs: the first minus the second, over the seeds of both; no interval below three seeds."
    )
    title = f"Sensitivity to the base rate: {outcome.metric} lost; decades within {near:.2g} of the best"
    metric = f"{PREFIXES['validation']}_{outcome.metric}"
    rows = tuple({"metric": metric, **_make_sensitivity_row(one)} for one in found)
    return Table(title, caption, rows, columns)


def _make_sensitivity_row(one: Sensitivity) -> Row:
    lost, width = _split_interval(one.lost_interval), _split_interval(one.width_interval)
    return {
        "group": one.first,
        "minus": one.second,
        "n": len(one.seeds),
        "lost": one.lost,
        "lost_low": lost["low"],
        "lost_high": lost["high"],
        "width": one.width,
        "width_low": width["low"],
        "width_high": width["high"],
    }


def _make_rate_rows(one: Tuned) -> Iterator[Row]:
    for place, rate in enumerate(one.rates):
        is_best = place == one.place
        yield {
            "metric": f"{PREFIXES['validation']}_{one.outcome.metric}",
            "group": one.name,
            "learning_rate": rate,
            "n": len(one.values[place]),
            "mean": one.means[place],
            "diverged": one.diverged[place],
            "best": is_best,
            "edge": one.edges[place],
        }


def _column(heading: str, narrow: str, form: Form, *fields: str) -> Column:
    return Column(heading, narrow, form, fields)
