"""What the user reads in the terminal: the tables of a comparison, its verdicts, the rates of a schedule."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ratelab.comparison import Comparison, Conclusion, Pair, Study, Summary, Tuned
from ratelab.comparison.pairs import p_value, signed

COLORS = {"better": "green", "worse": "red"}

WIDTH_OF_PAIR = 58  # columns of the numbers of a pair
WIDEST = 1000  # columns of a table in Markdown, which has no lines to break

__all__ = ["print_markdown", "print_study", "schedule_lines"]


def print_study(console: Console, study: Study) -> None:
    """Print the tables of every comparison, its verdicts and what must be known beside them."""
    for renderable in _parts(study, console.width):
        console.print(renderable, highlight=False)


def print_markdown(console: Console, study: Study) -> None:
    """Print the same as Markdown, for a page of documentation or an issue."""
    console = Console(file=console.file, width=WIDEST, color_system=None)
    for renderable in _parts(study, WIDEST):
        if isinstance(renderable, Table):
            console.print(f"\n**{renderable.title}**\n", highlight=False)
            renderable.title, renderable.box, renderable.padding = None, box.MARKDOWN, (0, 1)
            renderable.pad_edge, caption = True, renderable.caption
            renderable.caption = None
            with console.capture() as captured:
                console.print(renderable)
            lines = [line.strip() for line in captured.get().splitlines()]
            console.print("\n".join(line for line in lines if line), highlight=False, markup=False)
            console.print(f"\n{caption}\n" if caption else "", highlight=False)
        else:
            console.print(renderable, highlight=False)


def schedule_lines(rates: npt.NDArray[np.float32] | None) -> Sequence[str]:
    r"""Return one line a step: its number and its rate, in the fewest digits that give the float32 back.

    Args:
        rates: float32[steps]; None where they are decided while training.

    >>> print(*schedule_lines(np.float32([0.1, 0.05])), sep="\n")
    step   learning_rate
       0   0.1
       1   0.05
    """
    if rates is None:
        return ["The rates are decided while training, each epoch's from the validation losses before it."]
    width = max(4, len(str(len(rates))))
    rows = [f"{step:>{width}}   {rate!s}" for step, rate in enumerate(rates)]
    return [f"{'step':>{width}}   learning_rate", *rows]


def _parts(study: Study, width: int) -> Iterator[RenderableType]:
    if study.tuned:
        yield _tuning_table(study.tuned)
    for comparison in study.comparisons:
        numbered = _need_numbers(comparison, width)
        yield _groups_table(comparison, numbered=numbered)
        if comparison.target is not None:
            yield _speed_table(comparison)
        if comparison.pairs:
            yield _pairs_table(comparison, numbered=numbered)
            yield from (_verdict(one) for one in comparison.conclusions)
        yield from (Text(f"* note: {note}") for note in comparison.notes)
    if not study.comparisons and not study.tuned:
        yield Text("no run has ended yet: there is nothing to compare")
    yield from (Text(f"* note: {note}") for note in study.notes)


def _need_numbers(comparison: Comparison, width: int) -> bool:
    """Say whether two names do not fit beside the numbers of a pair, so that groups need numbers."""
    longest = max(len(group.name) for group in comparison.groups)
    return not _common(comparison.pairs) and 2 * longest + WIDTH_OF_PAIR > width


def _common(pairs: Sequence[Pair]) -> str:
    """Return the group that each of many pairs is compared with; empty if there is none."""
    seconds = {pair.second for pair in pairs}
    return seconds.pop() if len(pairs) > 2 and len(seconds) == 1 else ""


def _groups_table(comparison: Comparison, *, numbered: bool) -> Table:
    """Return a row for each group."""
    table = _table(comparison.title, names=["schedule"])
    table.caption, table.caption_justify = _caption(comparison), "left"
    for heading in ("runs", "mean", "95 % interval", "sd", "IQM", "worst (seed)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, group in enumerate(comparison.groups, 1):
        name = f"{number}: {group.name}" if numbered else group.name
        table.add_row(Text(name), _runs(group), *_accuracy(group))
    return table


def _speed_table(comparison: Comparison) -> Table:
    """Return how soon each group was as good as the target, and what its runs cost."""
    table = _table(
        f"Until {comparison.target:g} is reached on the validation split (medians)", names=["schedule"]
    )
    headings = ["reached", "steps", "examples", "seconds", "s a run", "final rate"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=heading in {"steps", "examples"})
    for group in comparison.groups:
        table.add_row(Text(group.name), *_reached(group), f"{group.seconds:.2f}", _rate(group))
    return table


def _table(title: str, names: Sequence[str]) -> Table:
    """Return a table that fits 80 columns: names fold, numbers stay whole."""
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in names:
        table.add_column(heading, overflow="fold", min_width=8)
    return table


def _caption(comparison: Comparison) -> str:
    methods = {group.interval.method for group in comparison.groups if group.interval is not None}
    return f"95 % interval of the mean: {' or '.join(sorted(methods))} bootstrap" if methods else ""


def _runs(group: Summary) -> str:
    return f"{len(group.seeds)}" + (f" ({group.diverged} diverged)" if group.diverged else "")


def _accuracy(group: Summary) -> list[str]:
    interval = f"{group.interval.low:.4f}-{group.interval.high:.4f}" if group.interval else "-"
    deviation = "-" if group.deviation is None else f"{group.deviation:.4f}"
    worst, seed = group.worst
    return [f"{group.mean:.4f}", interval, deviation, f"{group.middle:.4f}", f"{worst:.4f} ({seed})"]


def _reached(group: Summary) -> list[str]:
    steps, examples, seconds = group.steps_to_target, group.examples_to_target, group.seconds_to_target
    return [
        f"{group.reached}",
        "-" if steps is None else f"{steps:,.0f}",
        "-" if examples is None else f"{examples:,.0f}",
        "-" if seconds is None else f"{seconds:.2f}",
    ]


def _rate(group: Summary) -> str:
    return "-" if group.final_rate is None else f"{group.final_rate:.3g}"


def _pairs_table(comparison: Comparison, *, numbered: bool) -> Table:
    """Return a row for each pair; a second group that is always the same is named once, above."""
    common = _common(comparison.pairs)
    title = f"Paired differences{f' from {common}' if common else ', first - second'}, over the seeds of both"
    names = ["schedule"] if common else ["first - second"] if numbered else ["first", "second"]
    table = _table(title, names)
    for heading in ("n", "mean", "95 % interval", "Holm p", "P(>)", "effect"):
        table.add_column(heading, justify="right", no_wrap=True)
    places = {group.name: number for number, group in enumerate(comparison.groups, 1)}
    for pair in comparison.pairs:
        cells = [pair.first] if common else [pair.first, pair.second]
        if numbered:
            cells = [f"{places[pair.first]} - {places[pair.second]}"]
        table.add_row(*map(Text, cells), *_difference(pair))
    return table


def _difference(pair: Pair) -> list[str]:
    interval = f"{signed(pair.interval.low)} to {signed(pair.interval.high)}" if pair.interval else "-"
    return [
        f"{len(pair.seeds)}",
        signed(pair.mean),
        interval,
        "-" if pair.corrected is None else p_value(pair.corrected),
        "-" if pair.improvement is None else f"{pair.improvement:.2f}",
        "-" if pair.effect is None else f"{pair.effect:+.2f}",
    ]


def _verdict(one: Conclusion) -> Text:
    return Text(f"* {one.sentence}", COLORS.get(one.verdict or "", ""))


def _tuning_table(tuned: Sequence[Tuned]) -> Table:
    title = "Base rates: mean accuracy on the validation split, of runs that never saw the test split"
    table = _table(title, names=["schedule"])
    rates = sorted({rate for one in tuned for rate in one.rates})
    for heading in ("runs", "best rate", *(f"{rate:.3g}" for rate in rates)):
        table.add_column(heading, justify="right")
    for one in tuned:
        cells = [f"{mean:.3f}" for mean in one.means]
        cells[one.place] = f"[bold]{cells[one.place]}[/bold]"
        edge = f" ({one.at_edge} tried)" if one.at_edge else ""
        table.add_row(Text(one.name), f"{one.runs}", f"{one.best:.3g}{edge}", *cells)
    return table
