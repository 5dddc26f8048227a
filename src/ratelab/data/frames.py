"""A CSV or Parquet file as a data frame, in pandas' own types, so that whole numbers stay whole."""

import difflib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratelab.data.reading import find_file
from ratelab.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

PARQUET = {".parquet", ".pq"}
REMEDY = "Give a CSV file with a line of names, or a .parquet file."
MOST_NAMED = 20  # columns in a message
MARKS = ",;\t|"  # what may be between columns


def read_frame(file: str, separator: str, missing_words: Sequence[str]) -> "pd.DataFrame":
    """Return a table, its rows numbered from 1.

    Args:
        file: CSV, perhaps compressed, or Parquet, by the end of its name.
        separator: between the columns of a CSV file.
        missing_words: what stands in a CSV file for no value, beside nothing at all. Unlike in pandas, "NA"
            and its like are words: they may be a category, or a mistake in a column of numbers.

    Raises:
        UserError: if it is not there, cannot be read, has no row, or two columns of one name.
    """
    path = find_file(file, REMEDY)
    is_parquet = path.suffix in PARQUET
    if is_parquet and missing_words:
        raise UserError(
            f"data.missing_words: a Parquet file says itself what is missing, got {missing_words}."
        )
    frame = _read_parquet(path) if is_parquet else _read_csv(path, separator, missing_words)
    if not len(frame):
        raise UserError(f"data.file: {path} has no row. {REMEDY}")
    frame.index = range(1, len(frame) + 1)  # type: ignore[assignment] # pandas makes an index of it
    return frame


def check_columns(frame: "pd.DataFrame", named: Sequence[str], argument: str) -> None:
    """Raise UserError unless all columns that an argument names are there."""
    known = [str(column) for column in frame.columns]
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            if len(known) == 1 and any(mark in known[0] for mark in MARKS):
                hint = "; if another character is between the columns, set data.separator."
            shown = ", ".join(known[:MOST_NAMED]) + (", ..." if len(known) > MOST_NAMED else "")
            raise UserError(f"data.{argument}: there is no column {name!r}{hint} The columns are {shown}.")


def _read_csv(path: Path, separator: str, missing_words: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    written: Any = {"sep": separator, "keep_default_na": False, "encoding": "utf-8-sig"}
    with _explain(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of values that it would pass over
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, **written)
        frame: pd.DataFrame = pd.read_csv(
            path,
            na_values=["", *missing_words],
            index_col=False,  # a row with one value too many is a mistake and no name of the row
            low_memory=False,  # piece by piece it could take one column for two types
            dtype_backend="numpy_nullable",
            **written,
        )
    _refuse_repeated([str(name) for name in header.iloc[0]], path)
    return frame


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    with _explain(path):
        frame = pd.read_parquet(path, engine="pyarrow", dtype_backend="numpy_nullable")
    frame.columns = [str(name) for name in frame.columns]
    _refuse_repeated(list(frame.columns), path)
    return frame


@contextmanager
def _explain(path: Path) -> Iterator[None]:
    """Turn whatever pandas raises into one message: each format and each compression has its own errors."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"data.file: {path} cannot be read ({reason}). {REMEDY}") from None


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"data.file: {path} has two columns {name!r}; rename one in its first line.")
