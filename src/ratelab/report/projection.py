"""From a study to its tables, once for all that show it: rows, headings, emphasis, words."""

from collections.abc import Iterator, Sequence

from ratelab.comparison import Comparison, Interval, Pair, Study, Summary, Tuned
from ratelab.report.tables import Column, Row, Section, Table, Tables
from ratelab.report.values import Kind, write


def make_tables(study: Study) -> Tables:
    """Return the tables of a study and the words around them."""
    return Tables(
        sections=tuple(_make_section(comparison) for comparison in study.comparisons),
        tuning=_make_tuning(study.tuned) if study.tuned else None,
        tried=tuple(row for one in study.tuned for row in _rate_rows(one)),
        notes=study.notes,
    )


def _make_section(comparison: Comparison) -> Section:
    # one row a group for both tables, because in CSV and JSON they are one
    rows = tuple(_group_row(comparison, group) for group in comparison.groups)
    return Section(
        title=comparison.title,
        target=comparison.target,
        groups=_make_groups(comparison, rows),
        costs=_make_costs(comparison.target, rows),
        pairs=_make_pairs(comparison),
        reference=comparison.reference,
        conclusions=tuple(comparison.conclusions),
        notes=comparison.notes,
    )


def _make_groups(comparison: Comparison, rows: tuple[Row, ...]) -> Table:
    methods = sorted({group.interval.method for group in comparison.groups if group.interval is not None})
    columns = (
        _column("group", "text", "group"),
        _column("seeds", "count", "n"),
        _column("mean", "accuracy", "mean"),
        _column("95 % interval", "accuracies", "low", "high"),
        _column("method", "bootstrap", "interval"),
        _column("sd", "accuracy", "sd"),
        _column("IQM", "accuracy", "iqm"),
        _column("worst (seed)", "accuracy of a seed", "worst", "worst_seed"),
        _column("diverged", "count", "diverged"),
    )
    narrow = (
        _column("schedule", "text", "group"),
        _column("runs", "runs", "n", "diverged"),
        _column("mean", "accuracy", "mean"),
        _column("95 % interval", "accuracies in short", "low", "high"),
        _column("sd", "accuracy", "sd"),
        _column("IQM", "accuracy", "iqm"),
        _column("worst (seed)", "accuracy of a seed", "worst", "worst_seed"),
    )
    legend = f"95 % interval of the mean: {' or '.join(methods)} bootstrap" if methods else ""
    return Table(comparison.title, f"{comparison.title}: the groups.", rows, columns, narrow, legend)


def _make_costs(target: float | None, rows: tuple[Row, ...]) -> Table:
    """Return what a run of each group costs, after how soon it was as good as the target if there is one."""
    to_target = (
        _column("steps", "count", "steps_to_target"),
        _column("examples", "count", "examples_to_target"),
        _column("seconds", "seconds", "seconds_to_target"),
    )
    group, final_rate = _column("group", "text", "group"), _column("final rate", "rate", "final_rate")
    seconds = _column("seconds a run", "seconds", "seconds")
    caption = "Learning rate at the end and seconds of training, mean over the runs."
    # without a target the narrow table would answer no question: rates and seconds alone judge no schedule
    if target is None:
        return Table("", caption, rows, columns=(group, seconds, final_rate), narrow=())
    caption += f" Target: accuracy {target:g} on the validation split; what it takes to reach it: medians."
    narrow = (
        _column("schedule", "text", "group"),
        _column("reached", "count", "reached"),
        *to_target,
        _column("s a run", "seconds", "seconds"),
        final_rate,
    )
    title = f"Until {target:g} is reached on the validation split (medians)"
    reached = _column("runs that reach it", "count", "reached")
    return Table(title, caption, rows, (group, reached, *to_target, seconds, final_rate), narrow)


def _group_row(comparison: Comparison, group: Summary) -> Row:
    worst, seed = group.worst
    return {
        "comparison": comparison.title,
        "group": group.name,
        "n": len(group.seeds),
        "mean": group.mean,
        "sd": group.deviation,
        **_interval_values(group.interval),
        "iqm": group.middle,
        "worst": worst,
        "worst_seed": seed,
        "diverged": group.diverged,
        "final_rate": group.final_rate,
        "seconds": group.seconds,
        "target": comparison.target,
        "reached": group.reached,
        "steps_to_target": group.steps_to_target,
        "seconds_to_target": group.seconds_to_target,
        "examples_to_target": group.examples_to_target,
    }


def _make_pairs(comparison: Comparison) -> Table:
    """Return a row for each pair; a second group that all share is named once, above the narrow table."""
    columns = (
        _column("first", "text", "first"),
        _column("second", "text", "second"),
        _column("seeds", "count", "n"),
        _column("difference", "difference", "difference"),
        _column("95 % interval", "differences", "low", "high"),
        _column("method", "word", "interval"),
        _column("p", "p", "p"),
        _column("p (Holm)", "p", "p_holm"),
        _column("P(first is better)", "share", "improvement"),
        _column("effect size", "effect", "effect_size"),
        _column("verdict", "text", "verdict"),
    )
    # a column of one name repeated would cost the widths that numbers need
    reference = comparison.reference
    names = [_column("first", "text", "first"), _column("second", "text", "second")]
    if reference:
        names = [_column("schedule", "text", "first")]
    narrow = (
        *names,
        _column("n", "count", "n"),
        _column("mean", "difference", "difference"),
        _column("95 % interval", "differences", "low", "high"),
        _column("Holm p", "p", "p_holm"),
        _column("P(>)", "share", "improvement"),
        _column("effect", "effect", "effect_size"),
    )
    what = f"Paired differences from {reference}" if reference else "Paired differences, first - second"
    caption = f"{comparison.title}: paired differences, the first minus the second, over the seeds of both."
    rows = tuple(_pair_row(comparison, pair) for pair in comparison.pairs)
    return Table(f"{what}, over the seeds of both", caption, rows, columns, narrow)


def _pair_row(comparison: Comparison, pair: Pair) -> Row:
    return {
        "comparison": comparison.title,
        "first": pair.first,
        "second": pair.second,
        "n": len(pair.seeds),
        "difference": pair.mean,
        **_interval_values(pair.interval),
        "p": pair.p,
        "p_holm": pair.corrected,
        "improvement": pair.improvement,
        "effect_size": pair.effect,
        "verdict": pair.verdict,
        "sentence": pair.sentence,
    }


def _interval_values(interval: Interval | None) -> Row:
    if interval is None:
        return {"low": None, "high": None, "interval": None}
    return {"low": interval.low, "high": interval.high, "interval": interval.method}


def _make_tuning(tuned: Sequence[Tuned]) -> Table:
    """Return a row for each schedule with a column for each base rate that any of them was tried at."""
    rates = sorted({rate for one in tuned for rate in one.rates})
    columns = (
        _column("group", "text", "group"),
        _column("runs", "count", "runs"),
        _column("best rate", "base rate", "best"),
        _column("edge of the grid", "edge", "edge"),
        _column("diverged", "count", "diverged"),
        *(_column(write("base rate", rate), "accuracy", str(rate)) for rate in rates),
    )
    narrow = (
        _column("schedule", "text", "group"),
        _column("runs", "count", "runs"),
        _column("best rate", "best rate", "best", "edge"),
        *(_column(write("rate", rate), "accuracy in short", str(rate)) for rate in rates),
    )
    caption = (
        "Mean accuracy on the validation split at each base rate, of tuning runs, which never saw the test "
        "split; the best of each schedule is marked. A diverged run counts as 0."
    )
    return Table(
        title="Base rates: mean accuracy on the validation split, of runs that never saw the test split",
        caption=caption,
        rows=tuple(_schedule_row(one, rates) for one in tuned),
        columns=columns,
        narrow=narrow,
        marked=frozenset((number, str(one.best)) for number, one in enumerate(tuned)),
    )


def _schedule_row(one: Tuned, rates: Sequence[float]) -> Row:
    # not every schedule need have been tried at every rate: grids are widened where the best is at an edge
    means = dict(zip(one.rates, one.means, strict=True))
    return {
        "group": one.name,
        "runs": one.runs,
        "best": one.best,
        "edge": one.at_edge,
        "diverged": sum(one.diverged),
        **{str(rate): means.get(rate) for rate in rates},
    }


def _rate_rows(one: Tuned) -> Iterator[Row]:
    for place, rate in enumerate(one.rates):
        is_best = place == one.place
        yield {
            "group": one.name,
            "learning_rate": rate,
            "n": len(one.accuracy[place]),
            "mean": one.means[place],
            "diverged": one.diverged[place],
            "best": is_best,
            "edge": one.at_edge if is_best else "",
        }


def _column(heading: str, kind: Kind, *fields: str) -> Column:
    return Column(heading, kind, fields)
