"""What the user reads in the terminal: the tables of a study, its verdicts, the rates of a schedule."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from ratelab.comparison import Conclusion, Study
from ratelab.report import values
from ratelab.report.projection import make_tables
from ratelab.report.tables import Column, Row, Section, Table, Tables

COLORS = {"better": "green", "worse": "red"}
WIDTH_OF_PAIR = 58  # columns of the terminal that the numbers of a pair take

__all__ = ["print_study", "schedule_lines"]


def print_study(console: Console, study: Study) -> None:
    """Print the tables of every comparison, its verdicts and what must be known beside them."""
    for renderable in _parts(make_tables(study), console.width):
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


def _parts(tables: Tables, width: int) -> Iterator[RenderableType]:
    """Return all that is printed, from top to bottom, in a terminal of that many columns."""
    if tables.tuning:
        yield _lay_out(tables.tuning)
    for section in tables.sections:
        shown = _number_groups(section) if _need_numbers(section, width) else section
        yield from (_lay_out(table) for table in shown.narrow_tables)
        yield from (_color(conclusion) for conclusion in section.conclusions)
        yield from (Text(f"* note: {note}") for note in section.notes)
    if tables.lack:
        yield Text(tables.lack)
    yield from (Text(f"* note: {note}") for note in tables.notes)


def _need_numbers(section: Section, width: int) -> bool:
    """Say whether two names do not fit beside the numbers of a pair, so that groups need numbers."""
    longest = max(len(row["group"]) for row in section.groups.rows)
    return not section.reference and 2 * longest + WIDTH_OF_PAIR > width


def _number_groups(section: Section) -> Section:
    """Return the section with a number before each group's name, and pairs of these numbers."""
    numbers = {row["group"]: number for number, row in enumerate(section.groups.rows, 1)}
    groups = [{**row, "group": f"{numbers[row['group']]}: {row['group']}"} for row in section.groups.rows]
    pairs: list[Row] = [
        {**row, "first": f"{numbers[row['first']]} - {numbers[row['second']]}"} for row in section.pairs.rows
    ]
    _, _, *others = section.pairs.columns  # without the two columns of names
    columns = (Column("", "first - second", values.TEXT, ("first",)), *others)
    return replace(
        section,
        groups=replace(section.groups, rows=tuple(groups)),
        pairs=replace(section.pairs, rows=tuple(pairs), columns=columns),
    )


def _lay_out(table: Table) -> RichTable:
    """Return a table that fits 80 columns: names fold, numbers stay whole."""
    # escaped, for a title may name a group
    shown = RichTable(title=escape(table.title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.caption, shown.caption_justify = table.legend, "left"
    for column in table.narrow:
        if column.form.is_words:
            # names are folded and not cut: what tells two of them apart often stands at their end
            shown.add_column(column.narrow, overflow="fold", min_width=8)
        else:
            shown.add_column(column.narrow, justify="right", no_wrap=not column.form.may_break)
    for number, row in enumerate(table.rows):
        marks = [table.is_marked(number, column) for column in table.narrow]
        texts = [column.write(row) for column in table.narrow]
        # not as plain str: a name may hold what rich takes for markup
        shown.add_row(*(Text(text, "bold" if mark else "") for text, mark in zip(texts, marks, strict=True)))
    return shown


def _color(one: Conclusion) -> Text:
    return Text(f"* {one.sentence}", COLORS.get(one.verdict or "", ""))
