"""The report and its figures as files."""

from pathlib import Path

from ratelab.comparison import Study
from ratelab.report.figures.curves import read_curves
from ratelab.report.figures.draw import draw_figures
from ratelab.report.figures.figure import Figure
from ratelab.report.figures.svg import standalone
from ratelab.report.page import page
from ratelab.tracking import Recorded


def make_report(study: Study, found: Recorded, uri: str, path: Path, figures: Path | None = None) -> None:
    """Write the report as one HTML file, and if wanted its figures and their numbers one by one.

    Args:
        study: of the runs.
        found: what `recorded` returned for them.
        uri: what `prepare_store` returned; curves are read there.
        path: of the HTML file; its folder is made.
        figures: a folder for .svg and .csv files, made if there is none.

    Raises:
        OSError: if a file cannot be written.
    """
    drawn = draw_figures(study, read_curves(uri, study))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(study, found, drawn), encoding="utf-8")
    if figures is not None:
        _write([figure for _, own in drawn for figure in own], figures)


def _write(figures: list[Figure], folder: Path) -> None:
    """Write each figure as an .svg that follows the reader's light or dark mode, and its numbers as .csv."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{figure.slug}.svg": standalone(figure.svg) for figure in figures}
    texts |= {f"{name}.csv": table for figure in figures for name, table in figure.tables.items()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
