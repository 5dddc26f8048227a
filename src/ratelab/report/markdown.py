"""A study as Markdown, for a page of documentation or an issue."""

from collections.abc import Iterator

from ratelab.comparison import Study
from ratelab.report.projection import make_tables
from ratelab.report.tables import Column, Table


def as_markdown(study: Study) -> str:
    """Return the tables of every comparison, its verdicts and what must be known beside them."""
    tables = make_tables(study)
    lines = [line for table in tables.base_rates for line in _write_table(table)]
    for section in tables.sections:
        lines += [line for table in section.narrow_tables for line in _write_table(table)]
        lines += [f"* {conclusion.sentence}" for conclusion in section.comparison.conclusions]
        lines += [f"* note: {note}" for note in section.comparison.notes]
    if tables.lack:
        lines.append(tables.lack)
    lines += [f"* note: {note}" for note in tables.notes]
    return "".join(f"{line}\n" for line in lines)


def _write_table(table: Table) -> Iterator[str]:
    """Return the lines of a table, its title above, its legend below, blank lines around each."""
    yield from ("", f"**{table.title}**", "")
    columns = [_write_cells(table, column) for column in table.narrow]
    widths = [max(map(len, cells)) for cells in columns]
    heads, *rows = zip(*columns, strict=True)
    sides = ["<" if column.form.is_words else ">" for column in table.narrow]
    yield _write_line(heads, sides, widths)
    yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    yield from (_write_line(row, sides, widths) for row in rows)
    yield ""
    if table.legend:
        yield from (table.legend, "")


def _write_cells(table: Table, column: Column) -> list[str]:
    """Return the heading and the cells of a column."""
    cells = [column.narrow]
    for number, row in enumerate(table.rows):
        text = column.write(row).replace("|", r"\|")  # which would end the cell
        cells.append(f"**{text}**" if table.is_marked(number, column) else text)
    return cells


def _write_line(cells: tuple[str, ...], sides: list[str], widths: list[int]) -> str:
    """Return a row with its cells padded, so that the text reads as a table too."""
    padded = [f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
