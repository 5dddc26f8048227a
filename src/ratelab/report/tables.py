"""The tables of the page: cells as text, so that the template decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratelab.comparison import Comparison, Interval, Pair, Study, Summary, Tuned
from ratelab.comparison.pairs import p_value, signed

_NONE = "–"  # noqa: RUF001 - a dash for what there is not


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: what it is about.
        headings: of the columns.
        rows: the first cell of each is its heading.
        marked: the places (row, column) of cells to be emphasised.
        words: the columns of words, which wrap; of the others each cell stays on its line.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[tuple[int, int]] = frozenset()
    words: frozenset[str] = frozenset({"second", "verdict", "edge of the grid"})


def tables(study: Study) -> list[tuple[str, list[Table]]]:
    """Return the tables of each comparison, and that of the base rates, under their titles."""
    found = []
    for comparison in study.comparisons:
        own = [_accuracies(comparison), _costs(comparison)]
        own += [_pairs(comparison)] * bool(comparison.pairs)
        found.append((comparison.title, own))
    if study.tuned:
        found.append(("The choice of the base rates", [_tuning(study.tuned)]))
    return found


def _accuracies(comparison: Comparison) -> Table:
    headings = ("group", "seeds", "mean", "95 % interval", "method", "sd", "IQM", "worst (seed)", "diverged")
    rows = tuple(
        (
            group.name,
            f"{len(group.seeds)}",
            f"{group.mean:.4f}",
            f"{group.interval.low:.4f} to {group.interval.high:.4f}" if group.interval else _NONE,
            f"{group.interval.method} bootstrap" if group.interval else _NONE,
            _shown(group.deviation, ".4f"),
            f"{group.middle:.4f}",
            f"{group.worst[0]:.4f} ({group.worst[1]})",
            f"{group.diverged}",
        )
        for group in comparison.groups
    )
    return Table(f"{comparison.title}: the groups.", headings, rows)


def _costs(comparison: Comparison) -> Table:
    """Return what a run of each group costs, and how soon it was as good as the target."""
    target = comparison.target
    headings: tuple[str, ...] = ("group", "final rate", "seconds a run")
    caption = "Learning rate at the end and seconds of training, mean over the runs."
    if target is not None:
        headings += ("runs that reach it", "steps", "examples", "seconds")
        caption += (
            f" Target: accuracy {target:g} on the validation split; what it takes to reach it: medians."
        )
    rows = tuple(_cost(group)[: len(headings)] for group in comparison.groups)
    return Table(caption, headings, rows)


def _cost(group: Summary) -> tuple[str, ...]:
    return (
        group.name,
        _shown(group.final_rate, ".3g"),
        f"{group.seconds:.2f}",
        f"{group.reached}",
        _shown(group.steps_to_target, ",.0f"),
        _shown(group.examples_to_target, ",.0f"),
        _shown(group.seconds_to_target, ".2f"),
    )


def _pairs(comparison: Comparison) -> Table:
    headings = (
        *("first", "second", "seeds", "difference", "95 % interval", "method", "p", "p (Holm)"),
        *("P(first is better)", "effect size", "verdict"),
    )
    caption = f"{comparison.title}: paired differences, the first minus the second, over the seeds of both."
    return Table(caption, headings, tuple(_pair(pair) for pair in comparison.pairs))


def _pair(pair: Pair) -> tuple[str, ...]:
    return (
        pair.first,
        pair.second,
        f"{len(pair.seeds)}",
        signed(pair.mean) if pair.mean is not None else _NONE,
        *_interval(pair.interval),
        _NONE if pair.p is None else p_value(pair.p),
        _NONE if pair.corrected is None else p_value(pair.corrected),
        _shown(pair.improvement, ".2f"),
        _shown(pair.effect, "+.2f"),
        pair.verdict,
    )


def _interval(interval: Interval | None) -> tuple[str, str]:
    if interval is None:
        return _NONE, _NONE
    return f"{signed(interval.low)} to {signed(interval.high)}", interval.method


def _tuning(tuned: Sequence[Tuned]) -> Table:
    rates = sorted({rate for one in tuned for rate in one.rates})
    headings = ("group", "runs", "best rate", "edge of the grid", "diverged", *(f"{r:.4g}" for r in rates))
    rows, marked = [], set()
    for number, one in enumerate(tuned):
        means = dict(zip(one.rates, one.means, strict=True))
        edge = f"yes, the {one.at_edge}" if one.at_edge else "no"
        head = (one.name, f"{one.runs}", f"{one.best:.4g}", edge, f"{sum(one.diverged)}")
        rows.append((*head, *(_shown(means.get(rate), ".4f") for rate in rates)))
        marked.add((number, len(head) + rates.index(one.best)))
    caption = (
        "Mean accuracy on the validation split at each base rate, of tuning runs, which never saw the test "
        "split; the best of each schedule is marked. A diverged run counts as 0."
    )
    return Table(caption, headings, tuple(rows), frozenset(marked))


def _shown(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)
