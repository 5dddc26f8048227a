"""All that runs have to say: one comparison, or those of a tuned sweep, and what must be known beside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ratelab.comparison.comparing import Comparison, compare
from ratelab.comparison.groups import names_of
from ratelab.comparison.results import Result
from ratelab.comparison.tuning import RATE, Tuned, tune, without_rate

ALL = "Test accuracy, once, after the last step"
MOST_NAMED = 5  # of the runs left out for one reason; of more, the number


@dataclass(frozen=True)
class Study:
    """Comparisons of the same runs.

    Attributes:
        comparisons: one; of a tuned sweep, one at each base rate that all schedules share, and one with each
            schedule at its best.
        tuned: the choice of the base rates; empty where nothing was tuned.
        notes: which runs are left out and why, and what was not the same for all.
        results: all runs, whatever became of them.
    """

    comparisons: tuple[Comparison, ...]
    tuned: tuple[Tuned, ...]
    notes: tuple[str, ...]
    results: tuple[Result, ...]


def study(
    results: Sequence[Result],
    *,
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    target: float | None = None,
) -> Study:
    """Compare runs; tuning runs choose the base rates at which the others are compared.

    Args:
        results: of a sweep, of an experiment or of any runs; their order sets only the order of the groups.
        by: as in `compare`.
        baseline: as in `compare`.
        target: as in `compare`.

    Raises:
        UserError: as `compare`.
    """
    outcomes = [result for result in results if result.is_outcome]
    tuned = tune([result for result in outcomes if result.is_tuning])
    final = [result for result in outcomes if not result.is_tuning]
    sections = _sections(final, tuned) if tuned else [(ALL, final)]
    comparisons = [
        compare(runs, by=by, baseline=_renamed(baseline, runs), target=target, title=title)
        for title, runs in sections
        if runs
    ]
    notes = [*_left_out(results), *_edges(tuned), *_origins(results)]
    return Study(tuple(comparisons), tuple(tuned), tuple(notes), tuple(results))


def _sections(final: Sequence[Result], tuned: Sequence[Tuned]) -> list[tuple[str, list[Result]]]:
    """Return the runs at each base rate that all schedules share, and those of each schedule at its best."""
    names = without_rate(final)
    best = {one.name: one.best for one in tuned}
    rate_of = {id(result): float(result.settings[RATE]) for result in final}
    rates: dict[str, set[float]] = {}
    for result in final:
        rates.setdefault(names[id(result)], set()).add(rate_of[id(result)])
    shared = set.intersection(*rates.values()) if rates else set()
    at_best = [r for r in final if best.get(names[id(r)]) == rate_of[id(r)]]
    found = {
        f"Test accuracy, the same base rate {rate:g}": [r for r in final if rate_of[id(r)] == rate]
        for rate in sorted(shared)
    }
    sections = [(title, runs) for title, runs in found.items() if runs != at_best]
    agreed = {rate_of[id(r)] for r in at_best}
    title = "Test accuracy, each at its best base rate"
    return [*sections, (f"{title}, {agreed.pop():g} for all" if len(agreed) == 1 else title, at_best)]


def _renamed(baseline: str | None, runs: Sequence[Result]) -> str | None:
    """Return the name that the baseline has where names hold its base rate."""
    if baseline is None:
        return None
    short, full = without_rate(runs), names_of(runs)
    return next((full[id(run)] for run in runs if short[id(run)] == baseline), baseline)


def _left_out(results: Sequence[Result]) -> list[str]:
    """Return a note for each kind of run that is no outcome, with the names of the runs."""
    names = names_of(results)
    notes = []
    for status in ("failed", "killed", "running"):
        runs = [f"{names[id(r)]} seed={r.seed}" for r in results if r.status == status]
        if runs:
            more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
            notes.append(f"{status}, not counted: {', '.join(runs[:MOST_NAMED])}{more}")
    return notes


def _edges(tuned: Sequence[Tuned]) -> list[str]:
    return [
        f"{one.name}: its best base rate, {one.best:g}, is the {one.at_edge} tried; a better one may exist"
        for one in tuned
        if one.at_edge
    ]


def _origins(results: Sequence[Result]) -> list[str]:
    """Return a note where the runs do not come from one state of the program."""
    notes = []
    for key, word in (("mlflow.source.git.commit", "commits"), ("versions", "sets of package versions")):
        found = Counter(result.origin.get(key, "") for result in results)
        if len(found) > 1:
            named = ", ".join(value[:12] or "unknown" for value in found)
            notes.append(f"the runs come from {len(found)} {word}: {named}")
    if any(result.origin.get("git_dirty") == "true" for result in results):
        notes.append(
            "some runs were made with local changes that are in no commit (git.diff in their artifacts)"
        )
    return notes
