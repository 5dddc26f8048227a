"""A table of the user's, CSV or Parquet: columns to learn from, and one to learn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ratelab.data.accepting import assemble
from ratelab.data.columns import encode, is_number, labels_of, place, refuse_mixture, to_numbers
from ratelab.data.conversion import Array
from ratelab.data.datasets import Dataset
from ratelab.data.frames import check_columns, read_frame
from ratelab.data.sizes import PART, Seed
from ratelab.data.splitting import cut
from ratelab.validation import UserError, checked
from ratelab.validation.sizes import Size

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 20  # different whole numbers; more are taken for numbers

Separator = Annotated[str, Field(min_length=1, max_length=1)]


@checked
def table(
    file: str,
    target: str,
    *,
    target_is: Literal["classes", "numbers"] | None = None,
    categories: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    missing: Literal["error", "mean", "drop"] = "error",
    missing_words: Sequence[str] = (),
    separator: Separator = ",",
    validation_size: Size = PART,
    test_size: Size = PART,
    split_seed: Seed = 0,
) -> Dataset:
    """Return a table as a data set: one column is learned from all others.

    Numbers are standardised and categories become one column each, by what the training split says. Targets
    are not standardised: an error of the model is in their own unit. Rows are cut by `split_seed`, where
    there are classes with equal parts of each. The table must fit into memory.

    Args:
        file: CSV with a line of names, perhaps compressed, or Parquet (.parquet, .pq).
        target: the column to learn.
        target_is: "classes" or "numbers"; None: texts, booleans, and whole numbers of at most 20 different
            values are classes, whole numbers of more values and all others are numbers.
        categories: columns whose numbers are names, such as postcodes, and those that mix texts and numbers.
        leave_out: columns that are not learned from, such as the number of a row.
        missing: what to do where a value is missing. "error": say where; "mean": take the mean of the
            training split, of a category none; "drop": leave out the row. A target is never made up.
        missing_words: texts of a CSV file that mean a missing value, such as NA or ?.
        separator: between the columns of a CSV file, one character.
        validation_size: how many rows validate, or which part of all.
        test_size: how many rows test, or which part of all.
        split_seed: decides which.

    Returns:
        Inputs float32 [rows, columns]; classes int32 [rows], in the order of their names, which are the
        labels, or numbers float32 [rows, 1].

    Raises:
        UserError: naming column, row and value.

    >>> import tempfile, pandas as pd
    >>> file = tempfile.NamedTemporaryFile(suffix=".csv")
    >>> pets = {"size": [1, 3], "colour": ["red", "blue"], "kind": ["cat", "dog"]}
    >>> pd.concat([pd.DataFrame(pets)] * 10).to_csv(file.name, index=False)
    >>> data = table(file.name, "kind")
    >>> data.labels, data.train.inputs[0].tolist(), data.train.targets[:4].tolist()
    (('cat', 'dog'), [-1.0, 0.0, 1.0], [0, 1, 0, 1])
    >>> file.close()
    """
    frame = read_frame(file, separator, missing_words)
    name = f"table: {Path(file).name}"
    _check_named(frame, target, categories, leave_out)
    frame = _settle_missing(frame.drop(columns=list(leave_out)), target, missing, name)
    labels, targets = _read_target(frame[target], target_is, name)
    parts = cut(targets, validation_size, test_size, split_seed)
    inputs = encode(frame.drop(columns=target), parts[0], categories, name)
    pairs = [(inputs[part], targets[part]) for part in parts]
    return assemble(pairs, name, labels, origin=str(list(frame.columns)))


def _check_named(
    frame: "pd.DataFrame", target: str, categories: Sequence[str], leave_out: Sequence[str]
) -> None:
    check_columns(frame, [target], "target")
    check_columns(frame, categories, "categories")
    check_columns(frame, leave_out, "leave_out")
    for name in [target, *categories]:
        if name in leave_out:
            raise UserError(f"data.leave_out: {name!r} is named in another place as well; take one of them.")
    if target in categories:
        raise UserError(f"data.categories: {target!r} is the target; set data.target_is=classes.")


def _settle_missing(frame: "pd.DataFrame", target: str, missing: str, name: str) -> "pd.DataFrame":
    if missing == "drop":
        kept = frame.dropna()
        if not len(kept):
            raise UserError(f"{name}: each of the {len(frame)} rows has a missing value; none is left.")
        return kept
    for column in [target] if missing == "mean" else frame.columns:
        values = frame[column]
        absent = np.flatnonzero(values.isna())
        if absent.size:
            or_mean = "" if column == target else ", or data.missing=mean to take the mean of the column"
            raise UserError(
                f"{place(values, int(absent[0]), name)} has no value, one of {absent.size} without; "
                f"give it, or set data.missing=drop to leave such rows out{or_mean}."
            )
    return frame


def _read_target(values: "pd.Series[Any]", target_is: str | None, name: str) -> tuple[tuple[str, ...], Array]:
    refuse_mixture(values, name, None if target_is == "classes" else "set data.target_is=classes")
    if target_is is None:
        target_is = "classes" if _looks_like_classes(values) else "numbers"
    if target_is == "classes":
        labels, classes = labels_of(values)
        return tuple(labels), classes
    if not is_number(values):
        raise UserError(
            f"{place(values, 0, name)} is {values.iloc[0]!r}, and data.target_is=numbers; "
            "set data.target_is=classes."
        )
    return (), to_numbers(values, name).reshape(-1, 1)


def _looks_like_classes(values: "pd.Series[Any]") -> bool:
    from pandas.api import types

    if not is_number(values) or types.is_bool_dtype(values.dtype):
        return True
    return types.is_integer_dtype(values.dtype) and values.nunique() <= MOST_CLASSES
