"""What a study is shown as: tables and the words around them, whoever prints them.

Rows hold values in full precision, under the names that they have in CSV and JSON. Columns say which of them
a reader sees, in which form, and under which heading, where there is room and where 80 letters must do. What
prints a table chooses one of the two, and where lines break; it computes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratelab.comparison import Comparison, Interval
from ratelab.report.values import Form

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """What a reader sees of a row.

    Attributes:
        heading: where there is room, as in a page; empty for a column that stands in narrow tables only.
        narrow: the heading in a narrow table; empty for a column that is left out there.
        form: how its values are written.
        fields: the names, in a row, of the values that stand in its cells.
    """

    heading: str
    narrow: str
    form: Form
    fields: tuple[str, ...]

    def write(self, row: Row) -> str:
        """Return the text of the cell of a row."""
        return self.form.write(*(row[field] for field in self.fields))


@dataclass(frozen=True)
class Table:
    """Rows, and the columns to read them by.

    Attributes:
        title: above a narrow table; empty for a table that is left out where room is scarce.
        caption: what it is about, in whole sentences, for a page.
        rows: by the names of CSV and JSON.
        columns: of both kinds; the first one names the row.
        legend: what must stand below a narrow table.
        marked: the cells to emphasise: number of the row, first field of the column.
    """

    title: str
    caption: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    legend: str = ""
    marked: frozenset[tuple[int, str]] = frozenset()

    @property
    def wide(self) -> list[Column]:
        """The columns where there is room."""
        return [column for column in self.columns if column.heading]

    @property
    def narrow(self) -> list[Column]:
        """The columns where there is not."""
        return [column for column in self.columns if column.narrow]

    def is_marked(self, number: int, column: Column) -> bool:
        """Say whether the cell in the row of that number is to be emphasised."""
        return (number, column.fields[0]) in self.marked


@dataclass(frozen=True)
class Section:
    """One comparison.

    Attributes:
        comparison: with the best group first.
        groups: how good each group is.
        costs: what a run of each group costs, and how soon it was as good as the target.
        profile: how often each schedule is nearly the fastest; no rows where there are not several tasks.
        pairs: how groups differ; no rows for one group.
    """

    comparison: Comparison
    groups: Table
    costs: Table
    profile: Table
    pairs: Table

    @property
    def tables(self) -> list[Table]:
        """Those that have rows, for a page."""
        return [table for table in (self.groups, self.costs, self.profile, self.pairs) if table.rows]

    @property
    def narrow_tables(self) -> list[Table]:
        """Those of them that are not left out where room is scarce."""
        return [table for table in self.tables if table.title]


@dataclass(frozen=True)
class Tables:
    """A study.

    Attributes:
        sections: its comparisons.
        tuning: a row for each schedule, with its value at each base rate; None where nothing was tuned.
        sensitivity: how much depends on the base rate, a row for each schedule and each pair; None as above.
        tried: the same as `tuning` with a row for each base rate of each schedule, for CSV and JSON.
        notes: on all runs.
        lack: what to say where there are no verdicts yet; else empty.
    """

    sections: tuple[Section, ...]
    tuning: Table | None
    sensitivity: Table | None
    tried: tuple[Row, ...]
    notes: tuple[str, ...]
    lack: str

    @property
    def base_rates(self) -> list[Table]:
        """The tables about base rates that there are."""
        return [table for table in (self.tuning, self.sensitivity) if table is not None]


def column(heading: str, narrow: str, form: Form, *fields: str) -> Column:
    """Return a column, see there."""
    return Column(heading, narrow, form, fields)


def split_interval(interval: Interval | None) -> Row:
    """Return an interval as cells of a row: low, high and interval, its method."""
    if interval is None:
        return {"low": None, "high": None, "interval": None}
    return {"low": interval.low, "high": interval.high, "interval": interval.method}
