"""`ratelab plan`: how many seeds show a difference of a given size, from a sweep that serves as a pilot."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.text import Text

from ratelab.comparison import Comparison, Pair, Study
from ratelab.comparison.power import MOST, find_ratio, find_seeds
from ratelab.comparison.sentences import describe_shortage
from ratelab.comparison.statistics import FEWEST_FOR_INTERVAL
from ratelab.report import print_table, values
from ratelab.report.tables import Column, Row, Table
from ratelab.report.values import Form
from ratelab.validation import UserError

POWERS = (0.8, 0.95)
SPREAD = Form("{:.3g}".format)  # in the digits of the metric an sd may have one only
MINUTES = Form(lambda minutes: f"{minutes:,.0f}" if minutes >= 10 else f"{minutes:.2g}")
LEGEND = (
    "n: seeds of the pilot; sd: of its paired differences; sees: what as many fresh seeds show with 80 %.\n"
    "80 %, 95 %: fresh seeds of both that show the difference so often; min: minutes of training them."
)
NOTES = (
    "normal spread is assumed: where a few runs are much worse than the rest it takes more seeds",
    "from so few seeds the sd is known roughly, and the numbers of seeds allow for that: more seeds in the "
    "pilot make them fewer",
    "minutes of training alone, one run after another, each as long as those of the pilot (of a stack its "
    "share), without compilation; workers that train at once take less",
)


def print_plan(console: Console, pilot: Study, difference: float) -> None:
    """Print for each pair of a pilot how many seeds show a difference, and what they cost.

    Raises:
        UserError: if there is no such difference, or no pair of the pilot tells how its differences spread.
    """
    if not 0 < difference < math.inf:
        raise UserError(
            f"--difference must be above 0 and finite, got {difference:g}: what is to be shown, in units of "
            "the metric, as 0.002."
        )
    planned = [(one, _plan_pairs(one, difference)) for one in pilot.comparisons]
    reasons = [reason for one in pilot.comparisons for reason in _list_lacks(one)]
    if not any(rows for _, rows in planned):
        raise UserError(f"plan: {' '.join(reasons) or 'there are no two groups of runs that have ended.'}")
    for one, rows in planned:
        if rows:
            print_table(console, _make_table(one, rows, difference))
            notes = [*_add_up(one, rows), *_note_shortage(rows, one), *one.notes]
            console.print(*(Text(f"* note: {note}") for note in notes), sep="\n")
    last = [*reasons, *NOTES, *pilot.notes]
    console.print(*(Text(f"* note: {note}") for note in last), sep="\n")


def _why_not(pair: Pair) -> str:
    """Return why a pair tells nothing of how its differences spread; empty if it does."""
    names, count = f"{pair.first} and {pair.second}", len(pair.seeds)
    if not pair.seeds:
        return pair.sentence
    if count < FEWEST_FOR_INTERVAL:
        seeds = "1 seed tells" if count == 1 else f"{count} seeds tell"
        return f"{names}: {seeds} no spread; a pilot needs {FEWEST_FOR_INTERVAL} at least, better 6 or more."
    if np.ptp(pair.differences) == 0:
        return f"{names}: differ by the same in all {count} seeds, so the pilot tells no spread."
    return ""


def _list_lacks(comparison: Comparison) -> list[str]:
    return [reason for pair in comparison.pairs if (reason := _why_not(pair))]


def _plan_pairs(comparison: Comparison, difference: float) -> list[Row]:
    """Return a row for each pair that tells how its differences spread."""
    tests, seconds = _count_tests(comparison), _time_groups(comparison)
    return [_plan_pair(pair, difference, tests, seconds) for pair in comparison.pairs if not _why_not(pair)]


def _count_tests(comparison: Comparison) -> int:
    """Return how many pairs share the level: those without a seed in common cost the others nothing."""
    return sum(bool(pair.seeds) for pair in comparison.pairs)


def _time_groups(comparison: Comparison) -> dict[str, float]:
    """Return how many seconds the runs of a seed trained, by the name of the group."""
    return {one.name: sum(run.seconds for run in one.runs) / len(one.by_seed) for one in comparison.members}


def _plan_pair(pair: Pair, difference: float, tests: int, seconds: Mapping[str, float]) -> Row:
    pilot, deviation = len(pair.seeds), float(np.std(pair.differences, ddof=1))
    ratio = find_ratio(POWERS[0], tests, pilot)
    row = {
        "first": pair.first,
        "second": pair.second,
        "n": pilot,
        "sd": deviation,
        "sees": None if ratio is None else ratio * deviation,
    }
    for power in POWERS:
        seeds = find_seeds(power, difference / deviation, tests, pilot)
        both = seconds[pair.first] + seconds[pair.second]
        row[f"seeds {power}"] = seeds
        row[f"minutes {power}"] = None if seeds is None else seeds * both / 60
    return row


def _make_table(comparison: Comparison, rows: Sequence[Row], difference: float) -> Table:
    columns = [
        Column("first", "first", values.TEXT, ("first",)),
        Column("second", "second", values.TEXT, ("second",)),
        Column("seeds of the pilot", "n", values.COUNT, ("n",)),
        Column("sd", "sd", SPREAD, ("sd",)),
        Column("sees", "sees", SPREAD, ("sees",)),
    ]
    for power in POWERS:
        columns.append(Column("seeds", _write_power(power), values.COUNT, (f"seeds {power}",)))
        columns.append(Column("minutes", "min", MINUTES, (f"minutes {power}",)))
    title = f"{comparison.title}: seeds for a difference of {difference:g}"
    return Table(title, title, tuple(rows), tuple(columns), LEGEND)


def _note_shortage(rows: Sequence[Row], comparison: Comparison) -> Iterator[str]:
    """Return why the seeds of the pilot can see nothing, whatever they show."""
    few = [row["n"] for row in rows if row["sees"] is None]
    if few:
        yield f"sees, -: {describe_shortage(max(few), _count_tests(comparison))}"


def _add_up(comparison: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    """Return what it takes to show the difference in every pair, where each group serves all of its pairs."""
    seconds = _time_groups(comparison)
    for power in POWERS:
        needed = dict[str, int]()
        for row in rows:
            for name in (row["first"], row["second"]):
                needed[name] = max(needed.get(name, 0), row[f"seeds {power}"] or MOST + 1)
        most, minutes = max(needed.values()), sum(needed[name] * seconds[name] for name in needed) / 60
        if most > MOST:
            yield f"{_write_power(power)} in every pair: more than {MOST:,} seeds"
        else:
            what = f"{most:,} seeds" if len(set(needed.values())) == 1 else f"up to {most:,} seeds of a group"
            yield f"{_write_power(power)} in every pair: {what}, {MINUTES.write(minutes)} minutes in all"


def _write_power(power: float) -> str:
    return f"{100 * power:.0f} %"
