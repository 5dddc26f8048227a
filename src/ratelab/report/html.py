"""A study as HTML: the report, which needs no network, script or font; its figures; a part of a notebook."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ratelab.comparison import Study
from ratelab.report.facts import describe_period, list_facts, write_heading
from ratelab.report.figures import Figure, draw_figures, make_standalone, palette, read_curves
from ratelab.report.figures.dots import SYMBOLS
from ratelab.report.figures.study_figures import TITLE_OF_TUNING
from ratelab.report.projection import make_tables
from ratelab.report.tables import Table, Tables
from ratelab.tracking import Recorded

if TYPE_CHECKING:
    from jinja2 import Template


def make_report(study: Study, found: Recorded, uri: str, path: Path, figures: Path | None = None) -> None:
    """Write the report as one HTML file, and if wanted its figures and their numbers one by one.

    Args:
        study: of the runs.
        found: what `find_runs` returned for them.
        uri: what `prepare_store` returned; curves are read there.
        path: of the HTML file; its folder is made.
        figures: a folder for .svg and .csv files, made if there is none.

    Raises:
        OSError: if a file cannot be written.
    """
    drawn = draw_figures(study, read_curves(uri, study))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_render(study, found, drawn), encoding="utf-8")
    if figures is not None:
        _write_files([figure for _, own in drawn for figure in own], figures)


def _render(study: Study, found: Recorded, figures: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """Return the page; `figures` is what `draw_figures` returned."""
    from markupsafe import Markup

    tables = make_tables(study)
    return _load_template("report.html.j2").render(
        css=Markup(palette.css()),  # noqa: S704 - our own constants
        heading=write_heading(study),
        title=found.title,
        when=describe_period(found),
        study=tables,
        symbols=SYMBOLS,
        tables=_list_tables(tables),
        figures=figures,
        facts=list_facts(study, found),
    )


def as_html(study: Study) -> str:
    """Return verdicts and tables as a part of a page, such as a notebook, whose colours they take."""
    tables = make_tables(study)
    return _load_template("notebook.html.j2").render(
        study=tables, symbols=SYMBOLS, tables=_list_tables(tables)
    )


def _load_template(name: str) -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    # strict: a misspelt name in the template is an error and not an empty place in the page
    environment = Environment(
        loader=PackageLoader("ratelab", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # figures are the only markup that is let through; names of groups come from the user and are text
    environment.filters |= {"drawn": Markup, "data_uri": make_data_uri}
    return environment.get_template(name)


def _list_tables(tables: Tables) -> list[tuple[str, list[Table]]]:
    """Return the tables of each comparison, and that of the base rates, under their titles."""
    found = [(section.comparison.title, section.tables) for section in tables.sections]
    return [*found, (TITLE_OF_TUNING, tables.base_rates)] if tables.base_rates else found


def make_data_uri(table: str) -> str:
    r"""Return CSV as an address that holds it.

    >>> make_data_uri("a,b\n")
    'data:text/csv;charset=utf-8,a,b%0A'
    """
    return f"data:text/csv;charset=utf-8,{quote(table, safe=',')}"


def _write_files(figures: Sequence[Figure], folder: Path) -> None:
    """Write each figure as an .svg that follows the reader's light or dark mode, and its numbers as .csv."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{figure.slug}.svg": make_standalone(figure.svg) for figure in figures}
    texts |= {f"{name}.csv": table for figure in figures for name, table in figure.tables.items()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
