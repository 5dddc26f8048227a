"""One figure of a report: an SVG with its title, a caption, and its data as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratelab.report.figures.svg import as_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Attributes:
        slug: its name as a file and in the page; letters, digits and hyphens.
        title: in plain text.
        caption: what it shows and how to read it.
        svg: one <svg> element.
        tables: the numbers that it draws, as CSV, by the name of the file without ".csv".
    """

    slug: str
    title: str
    caption: str
    svg: str
    tables: Mapping[str, str]


def finish(canvas: "Canvas", slug: str, title: str, caption: str, tables: Mapping[str, str]) -> Figure:
    """Return the figure that was drawn on `canvas`; the other arguments are those of `Figure`."""
    return Figure(slug, title, caption, as_svg(canvas, slug, title, caption), tables)


def csv_text(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""Return a table as CSV; a float is written so that reading gives it back.

    >>> csv_text(["group", "mean"], [["a, b", 0.1], ["c", None]])
    'group,mean\n"a, b",0.1\nc,\n'
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")  # by default "\r\n", which is no line of other files here
    writer.writerow(headings)
    writer.writerows(rows)
    return file.getvalue()
