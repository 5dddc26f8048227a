"""Figures as files: the option that names one, and writing it so that equal figures are equal bytes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratelab.validation import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_path(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Raise UserError for a path that cannot become a figure, before anything is computed; for click."""
    if path is not None and path.suffix not in {".png", ".svg"}:
        raise UserError(f"--output must end in .png or .svg, got {str(path)!r}")
    if path is not None and not path.parent.is_dir():
        raise UserError(f"--output must be in a folder that exists, got {str(path)!r}")
    return path


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a .png or .svg file; the same figure gives the same bytes.

    Raises:
        UserError: if the file cannot be written.
    """
    import matplotlib as mpl

    with refuse_unwritable("--output"), mpl.rc_context({"svg.hashsalt": "ratelab"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


@contextlib.contextmanager
def refuse_unwritable(option: str) -> Iterator[None]:
    """Turn a file that cannot be written in the block into UserError; `option` has named it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{option} must be a file that can be written: {error}") from None
