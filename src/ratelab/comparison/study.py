"""All that runs have to say: one comparison, or those of a tuned sweep, and what must be known beside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ratelab.comparison.comparing import Comparison, compare
from ratelab.comparison.groups import names_of
from ratelab.comparison.outcomes import TimeName
from ratelab.comparison.plans import newest
from ratelab.comparison.results import Result, Unreadable, find_worst
from ratelab.comparison.times import name_judge
from ratelab.comparison.tuning import FEWEST_FOR_ERROR, RATE, Tuned, names_without_rate, tune

FEW_LOOKS = 5  # at a test split, of which nothing is said
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
        unreadable: runs that are recorded but cannot be read; a note names each.
    """

    comparisons: tuple[Comparison, ...]
    tuned: tuple[Tuned, ...]
    notes: tuple[str, ...]
    results: tuple[Result, ...]
    unreadable: tuple[Unreadable, ...] = ()


def study(
    results: Sequence[Result],
    *,
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    target: float | str | None = None,
    time: TimeName | None = None,
    unreadable: Sequence[Unreadable] = (),
    looks_at_test: int = 0,
) -> Study:
    """Compare runs; tuning runs choose the base rates at which the others are compared.

    Args:
        results: of a sweep, of an experiment or of any runs; their order sets only the order of the groups.
        by: as in `compare`.
        baseline: as in `compare`.
        target: as in `compare`.
        time: as in `compare`; base rates are chosen by the metric all the same.
        unreadable: runs of the same sweep or experiment of which the store has no result.
        looks_at_test: how many sweeps of the experiment have looked at this test split, if that is known.

    Raises:
        UserError: as `compare`.
    """
    outcomes = [result for result in results if result.is_outcome]
    tuned = tune([result for result in outcomes if result.is_tuning])
    final = [result for result in outcomes if not result.is_tuning]
    if time is None and (plan := newest([result.plan for result in final])) is not None:
        time = plan.time
    sections = _make_sections(final, tuned, time) if tuned else _make_only_section(final, time)
    comparisons = [
        compare(runs, by=by, baseline=_add_rate(baseline, runs), target=target, time=time, title=title)
        for title, runs in sections
        # a tuned sweep that was stopped while tuning has none, and runs that all diverged may say nothing
        if find_worst(runs) is not None
    ]
    notes = [
        *_note_unreadable_runs(unreadable),
        *_note_missing_runs(results),
        *_note_edges(tuned),
        *_note_uncertain_rates(tuned),
        *_note_origins(results),
        *_note_looks(looks_at_test),
    ]
    return Study(tuple(comparisons), tuple(tuned), tuple(notes), tuple(results), tuple(unreadable))


def _write_title(runs: Sequence[Result], time: TimeName | None) -> str:
    """Return the beginning of a title: what judges."""
    return name_judge(runs[0].outcome, runs[0].judged_on, time) if runs else ""


def _make_only_section(final: list[Result], time: TimeName | None) -> list[tuple[str, list[Result]]]:
    title = _write_title(final, time)
    if time is None:
        more = {"test": "once, after the last step", "validation": "after the last step"}
        direction = "higher" if final and final[0].outcome.higher_is_better else "lower"
        title += f", {more.get(final[0].judged_on if final else 'test', f'{direction} is better')}"
    return [(title, final)]


def _make_sections(
    final: Sequence[Result], tuned: Sequence[Tuned], time: TimeName | None
) -> list[tuple[str, list[Result]]]:
    """Return the runs at each base rate that all schedules share, and those of each schedule at its best."""
    best = {one.name: one.best for one in tuned}
    names, rates = names_without_rate(final), [float(run.settings[RATE]) for run in final]
    rates_of: dict[str, set[float]] = {}
    for name, rate in zip(names, rates, strict=True):
        rates_of.setdefault(name, set()).add(rate)
    shared = set.intersection(*rates_of.values()) if rates_of else set()
    at_best = [run for name, rate, run in zip(names, rates, final, strict=True) if best.get(name) == rate]
    sections, what = [], _write_title(final, time)
    for common in sorted(shared):
        runs = [run for rate, run in zip(rates, final, strict=True) if rate == common]
        if runs != at_best:  # where all are best at one rate, the same table would stand there twice
            sections.append((f"{what}, the same base rate {common:g}", runs))
    title = f"{what}, each at its best base rate"
    agreed = {float(run.settings[RATE]) for run in at_best}
    return [*sections, (f"{title}, {agreed.pop():g} for all" if len(agreed) == 1 else title, at_best)]


def _add_rate(baseline: str | None, runs: Sequence[Result]) -> str | None:
    """Return the name that the baseline has where names hold its base rate."""
    if baseline is None:
        return None
    both = zip(names_without_rate(runs), names_of(runs), strict=True)
    return next((full for short, full in both if short == baseline), baseline)


def _note_unreadable_runs(unreadable: Sequence[Unreadable]) -> list[str]:
    """Return a note for each reason, with the names of the runs."""
    names: dict[str, list[str]] = {}
    for run in unreadable:
        names.setdefault(run.reason, []).append(run.name)
    return [f"cannot be read, left out: {list_names(runs)}: {reason}" for reason, runs in names.items()]


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _note_missing_runs(results: Sequence[Result]) -> list[str]:
    """Return a note for each kind of run that is no outcome, with the names of the runs."""
    named = list(zip(names_of(results), results, strict=True))
    notes = []
    for status in ("failed", "killed", "running"):
        runs = [f"{name} seed={run.seed}" for name, run in named if run.status == status]
        if runs:
            notes.append(f"{status}, not counted: {list_names(runs)}")
    return notes


def _note_edges(tuned: Sequence[Tuned]) -> list[str]:
    """Return a note for each schedule whose best rate may lie beyond those tried."""
    return [
        f"{one.name}: its best base rate, {one.rates[one.peak]:g}, is the {one.at_edge} tried; a better one "
        "may exist"
        for one in tuned
        if one.at_edge
    ]


def _note_uncertain_rates(tuned: Sequence[Tuned]) -> list[str]:
    """Return a note for each schedule whose best rate is not told from others by the seeds that chose."""
    notes = []
    for one in tuned:
        seeds = len(one.seeds[one.peak])
        if seeds < FEWEST_FOR_ERROR:
            notes.append(f"{one.name}: its best base rate is uncertain: it was chosen by one seed")
        elif len(one.as_good) > 1:
            *others, last = (f"{rate:g}" for rate in one.as_good)
            notes.append(
                f"{one.name}: its best base rate is uncertain: {', '.join(others)} and {last} are as "
                f"good within the spread of {seeds} seeds; the lowest is taken"
            )
    return notes


def _note_origins(results: Sequence[Result]) -> list[str]:
    """Return a note where the runs do not come from one state of the program."""
    notes = []
    for key, word in (("mlflow.source.git.commit", "commits"), ("versions", "sets of package versions")):
        found = Counter(result.origin.get(key, "") for result in results)
        if len(found) > 1:
            # as git shortens a commit
            named = ", ".join(value[:12] or "unknown" for value in found)
            notes.append(f"the runs come from {len(found)} {word}: {named}")
    if any(result.origin.get("git_dirty") == "true" for result in results):
        notes.append(
            "some runs were made with local changes that are in no commit (git.diff in their artifacts)"
        )
    return notes


def _note_looks(looks: int) -> list[str]:
    """Return a note where what is best on a test split may be so because it was looked at so often."""
    if looks <= FEW_LOOKS:
        return []
    return [
        f"this test split has judged {looks} sweeps of the experiment: what is chosen by it looks better "
        "than it is; choose on the validation split (test=false), and let fresh seeds or data judge"
    ]
