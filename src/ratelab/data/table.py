"""A table of the user's, CSV or Parquet: columns to learn from, and one to learn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ratelab.data.accepting import assemble
from ratelab.data.columns import is_number, labels_of, place, refuse_mixture, to_numbers
from ratelab.data.conversion import Array
from ratelab.data.datasets import Dataset
from ratelab.data.encoding import encode
from ratelab.data.frames import Frame, check_columns, open_frame
from ratelab.data.sizes import PART, Seed
from ratelab.data.splitting import Indices, cut
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

    Numbers are standardised and categories become one column each, by what the training split says; targets
    stay in their own unit. Rows are cut by `split_seed`, with equal parts of each class. All of a CSV file is
    in memory, of Parquet the target and a column at a time; inputs above 1 GiB lie in temporary files.

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
    frame = open_frame(file, separator, missing_words)
    name = f"table: {Path(file).name}"
    names = _choose_columns(frame.names, target, categories, leave_out, name)
    kept = _settle_missing(frame, names, target, missing, name)
    labels, targets = _read_target(frame.column(target).iloc[kept], target_is, name)
    parts = cut(targets, validation_size, test_size, split_seed)
    inputs = encode(frame, [one for one in names if one != target], kept, parts, categories, name)
    pairs = list(zip(inputs, [targets[part] for part in parts], strict=True))
    return assemble(pairs, name, labels, origin=str(names))


def _choose_columns(
    names: Sequence[str], target: str, categories: Sequence[str], leave_out: Sequence[str], name: str
) -> list[str]:
    """Return the names of the columns but those left out, once all that is named fits together."""
    check_columns(names, [target], "target")
    check_columns(names, categories, "categories")
    check_columns(names, leave_out, "leave_out")
    for one in [target, *categories]:
        if one in leave_out:
            raise UserError(f"data.leave_out: {one!r} is named in another place as well; take one of them.")
    if target in categories:
        raise UserError(f"data.categories: {target!r} is the target; set data.target_is=classes.")
    chosen = [one for one in names if one not in leave_out]
    if chosen == [target]:
        raise UserError(f"{name}: there is no column left to learn from, beside the target.")
    return chosen


def _settle_missing(frame: Frame, names: Sequence[str], target: str, missing: str, name: str) -> Indices:
    """Return which rows are kept; raise UserError for a value that may not be missing."""
    kept = np.ones(frame.rows, np.bool)
    for column in [target] if missing == "mean" else names:
        values = frame.column(column)
        absent = values.isna().to_numpy()
        if missing == "drop":
            kept &= ~absent
        elif absent.any():
            or_mean = "" if column == target else ", or data.missing=mean to take the mean of the column"
            raise UserError(
                f"{place(values, int(absent.argmax()), name)} has no value, one of {absent.sum()} without; "
                f"give it, or set data.missing=drop to leave such rows out{or_mean}."
            )
    if not kept.any():
        raise UserError(f"{name}: each of the {len(kept)} rows has a missing value; none is left.")
    return np.flatnonzero(kept)


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
