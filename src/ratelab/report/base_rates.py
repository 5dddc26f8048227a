"""The tables about base rates: which was chosen, and how much depends on it."""

from collections.abc import Iterator, Sequence

from ratelab.comparison import Digits, Sensitivity, Tuned, digits_of, find_near, measure_sensitivities
from ratelab.comparison.outcomes import PREFIXES
from ratelab.report import values
from ratelab.report.tables import Row, Table, column, split_interval
from ratelab.report.values import Values


def make_tuning(tuned: Sequence[Tuned]) -> Table:
    """Return a row for each schedule with a column for each base rate that any of them was tried at."""
    rates = sorted({rate for one in tuned for rate in one.rates})
    first, means = tuned[0], [mean for one in tuned for mean in one.means]
    own, metric = Values(digits_of(first.outcome, means)), first.outcome.metric
    columns = [
        column("group", "schedule", values.TEXT, "group"),
        column("runs", "runs", values.COUNT, "runs"),
        column("best rate", "", values.BASE_RATE, "best"),
        column("", "best rate", values.BEST_RATE, "best", "edge"),
        column("edge of the grid", "", values.EDGE, "edge"),
        column("diverged", "", values.COUNT, "diverged"),
    ]
    for rate in rates:  # whose text names the value in a row, for a row has one for each
        columns.append(column(values.BASE_RATE.write(rate), "", own.value, str(rate)))
        columns.append(column("", values.RATE.write(rate), own.rough, str(rate)))
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


def make_sensitivity(tuned: Sequence[Tuned]) -> Table | None:
    """Return a row for each schedule, then one for each pair of them, with differences."""
    found = measure_sensitivities(tuned)
    if not found:
        return None
    outcome, near = tuned[0].outcome, find_near(tuned)
    sizes = [abs(one.lost) for one in found]
    digits, both = digits_of(outcome, sizes), "schedule, or first - second"
    lost, decades = Values(digits), Values(Digits(2))
    columns = (
        column("group", both, values.PAIR, "group", "minus"),
        column("seeds", "n", values.COUNT, "n"),
        column(f"{outcome.metric} lost", "lost", lost.value, "lost"),
        column("95 % interval", "95 % interval", lost.interval, "lost_low", "lost_high"),
        column("decades", "decades", decades.value, "width"),
        column("95 % interval", "95 % interval", decades.interval, "width_low", "width_high"),
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
    lost, width = split_interval(one.lost_interval), split_interval(one.width_interval)
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


def make_rate_rows(one: Tuned) -> Iterator[Row]:
    """Yield a row for each base rate that was tried, for CSV and JSON."""
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
