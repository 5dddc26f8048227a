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

from ratelab.comparison import Conclusion, Result, Study, study
from ratelab.report import values
from ratelab.report.projection import make_tables
from ratelab.report.tables import Column, Row, Section, Table, Tables
from ratelab.report.widths import Width, cut, fit, is_wide_enough, measure, wrap
from ratelab.validation import UserError

COLORS = {"better": "green", "worse": "red"}


def print_study(console: Console, found: Study) -> None:
    """Print the tables of every comparison, its verdicts and what must be known beside them."""
    for renderable in _list_parts(make_tables(found), console.width):
        console.print(renderable, highlight=False)


def print_table(console: Console, table: Table) -> None:
    """Print one table, in parts where the terminal is too narrow."""
    for part in _lay_out(table, console.width):
        console.print(part, highlight=False)


def print_results(console: Console, results: Sequence[Result]) -> Study | None:
    """Compare runs and print the study; return None where they cannot be compared, and say why not."""
    try:
        found = study(results)
    except UserError as error:  # that the runs were made is no mistake
        console.print(f"not compared: {error}", highlight=False, markup=False, soft_wrap=True)
        return None
    print_study(console, found)
    return found


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


def _list_parts(tables: Tables, width: int) -> Iterator[RenderableType]:
    """Return all that is printed, from top to bottom, in a terminal of that many columns."""
    for table in tables.base_rates:
        yield from _lay_out(table, width)
    for section in tables.sections:
        shown = _number_groups(section) if _need_numbers(section, width) else section
        for table in shown.narrow_tables:
            yield from _lay_out(table, width)
        yield from (_color(conclusion) for conclusion in section.comparison.conclusions)
        yield from (Text(f"* note: {note}") for note in section.comparison.notes)
    if tables.lack:
        yield Text(tables.lack)
    yield from (Text(f"* note: {note}") for note in tables.notes)


def _need_numbers(section: Section, room: int) -> bool:
    """Say whether two names do not fit beside the numbers of a pair, so that groups need numbers."""
    if section.comparison.reference or not section.pairs.rows:
        return False
    return not is_wide_enough([width.most for width in _measure(section.pairs)], room)


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


def _lay_out(table: Table, room: int) -> Iterator[RichTable]:
    """Return a table that fits so many columns of the terminal: where it does not, in parts."""
    columns, widths = table.narrow, _measure(table)
    parts = cut(widths, room)
    for part in parts:
        shown = _begin_part(table, is_first=part is parts[0], is_last=part is parts[-1])
        made = fit([widths[place] for place in part], room)
        cells = [
            _add_column(shown, table, columns[place], width) for place, width in zip(part, made, strict=True)
        ]
        for row in zip(*cells, strict=True):
            shown.add_row(*row)
        yield shown


def _measure(table: Table) -> list[Width]:
    return [
        measure(_write_texts(table, one), is_name=one.form.is_words, may_break=one.form.may_break)
        for one in table.narrow
    ]


def _write_texts(table: Table, column: Column) -> list[str]:
    """Return the heading and the cells of a column."""
    return [column.narrow, *(column.write(row) for row in table.rows)]


def _begin_part(table: Table, *, is_first: bool, is_last: bool) -> RichTable:
    """Return a table without columns, its title above the first part and its legend below the last."""
    # escaped, for a title may name a group
    title = escape(table.title) if is_first else None
    legend = table.legend if is_last else None
    shown = RichTable(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    shown.caption, shown.caption_justify = legend, "left"
    return shown


def _add_column(shown: RichTable, table: Table, column: Column, width: int) -> list[Text]:
    """Add a column of that width; return its cells."""
    is_name, texts = column.form.is_words, _write_texts(table, column)
    head, *cells = [wrap(text, width) for text in texts] if is_name else texts
    shown.add_column(head, justify="left" if is_name else "right", width=width)
    # not as plain str: a name may hold what rich takes for markup
    marks = [table.is_marked(number, column) for number in range(len(cells))]
    return [Text(text, "bold" if mark else "") for text, mark in zip(cells, marks, strict=True)]


def _color(one: Conclusion) -> Text:
    return Text(f"* {one.sentence}", COLORS.get(one.verdict or "", ""))
