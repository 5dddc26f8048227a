"""A CSV or Parquet file, by columns or by rows, in pandas' own types, so that whole numbers stay whole."""

import difflib
import json
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
REMEDY = "Give a CSV file in UTF-8 with a line of names, or a .parquet file."
MOST_NAMED = 20  # columns in a message
MARKS = ",;\t|"  # what may be between columns
BUFFER = 2**16  # bytes of each column of a Parquet file that are read at a time


def open_frame(file: str, separator: str, missing_words: Sequence[str]) -> "Frame":
    """Return a table; one of Parquet stays on the disk.

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
    frame = Parquet(path) if is_parquet else Csv(_read_csv(path, separator, missing_words))
    if not frame.rows:
        raise UserError(f"data.file: {path} has no row. {REMEDY}")
    return frame


def check_columns(known: Sequence[str], named: Sequence[str], argument: str) -> None:
    """Raise UserError unless all columns that an argument names are there."""
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


class Csv:
    """A table in memory.

    Attributes:
        names: of the columns, each another.
        rows: how many there are.
    """

    def __init__(self, frame: "pd.DataFrame") -> None:
        self.names, self.rows = list(frame.columns), len(frame)
        self._frame = frame
        frame.index = range(1, self.rows + 1)  # type: ignore[assignment] # pandas makes an index of it

    def column(self, name: str) -> "pd.Series[Any]":
        """Return a column, its rows numbered from 1."""
        return self._frame[name]

    def batches(self, names: Sequence[str], rows: int) -> Iterator["pd.DataFrame"]:
        """Yield columns, at most so many rows at a time."""
        for start in range(0, self.rows, rows):
            yield self._frame.iloc[start : start + rows][list(names)]


class Parquet:
    """A table on the disk, of which is in memory what is asked for; otherwise as `Csv`."""

    def __init__(self, path: Path) -> None:
        from pyarrow.parquet import ParquetFile

        self._path, self._types = path, _nullable_types()
        with _explain(path):
            # Read ahead, or without a buffer for each column, all of a group of rows would be in memory.
            self._file = ParquetFile(path, pre_buffer=False, buffer_size=BUFFER)
            schema, self.rows = self._file.schema_arrow, int(self._file.metadata.num_rows)
            about = {"columns": [], "index_columns": [], **(schema.pandas_metadata or {})}
        self.names = [name for name in schema.names if name not in about["index_columns"]]
        self._about = {column.get("field_name", column["name"]): column for column in about["columns"]}
        _refuse_repeated(self.names, path)

    def column(self, name: str) -> "pd.Series[Any]":
        """Return a column, its rows numbered from 1."""
        with _explain(self._path):
            values = self._to_pandas(self._file.read([name]), [name])[name]
        return values.set_axis(range(1, self.rows + 1))

    def batches(self, names: Sequence[str], rows: int) -> Iterator["pd.DataFrame"]:
        """Yield columns, at most so many rows at a time."""
        with _explain(self._path):
            for batch in self._file.iter_batches(rows, columns=list(names)):
                yield self._to_pandas(batch, names)

    def _to_pandas(self, read: Any, names: Sequence[str]) -> "pd.DataFrame":
        # Selected once more: to pyarrow the name "a" is that of all fields of a column "a.b" as well. Of what
        # pandas wrote only the part of these columns: to parse all for each of thousands takes minutes.
        about = [self._about[name] for name in names if name in self._about]
        pandas = json.dumps({"columns": about, "index_columns": [], "column_indexes": []})
        chosen = read.select(list(names)).replace_schema_metadata({"pandas": pandas})
        frame: pd.DataFrame = chosen.to_pandas(types_mapper=self._types.get)
        return frame


Frame = Csv | Parquet


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


def _nullable_types() -> dict[Any, Any]:
    """Return what pandas.read_parquet(dtype_backend="numpy_nullable") makes of the types of Arrow."""
    import pandas as pd
    import pyarrow as pa

    names = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64"]
    types = {pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name) for name in names}
    text = pd.StringDtype()
    return types | {pa.bool_(): pd.BooleanDtype(), pa.string(): text, pa.large_string(): text}
