"""Arrays and data frames as files, from which every process of a sweep reads them.

A file is named after what it holds: the same data are written once, and runs on them are of one group.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from ratelab.data.arrays import KEYS
from ratelab.validation import UserError

FOLDER = Path("multirun") / "data"
_FORMS = (
    "data must be the name of an option, a function, a data frame, (x, y), ((x_train, y_train), (x_test, "
    f"y_test)), or a mapping with some of the keys {', '.join(KEYS)}"
)


def is_frame(value: Any) -> bool:
    """Say whether it is a data frame of pandas'."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "to_parquet")


def write_frame(frame: Any) -> Path:
    """Write a data frame, without its index, and return the file.

    Raises:
        UserError: it has columns that no table file can have.
    """
    import pandas as pd

    frame = frame.reset_index(drop=True)
    try:
        digest = hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
        digest.update(repr(list(zip(frame.columns, frame.dtypes, strict=True))).encode())
        return _write(digest.hexdigest(), ".parquet", frame.to_parquet)
    except (TypeError, ValueError) as error:  # pyarrow's are of these kinds
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"data: the data frame cannot be written as a table: {reason}.") from None


def write_arrays(value: Any) -> Path:
    """Write arrays as a .npz file and return it.

    Raises:
        UserError: for anything but those forms, and for arrays of objects.
    """
    arrays = {key: _as_array(key, one) for key, one in _name_arrays(value).items()}
    digest = hashlib.sha256()
    for key, array in sorted(arrays.items()):
        digest.update(f"{key} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return _write(digest.hexdigest(), ".npz", lambda file: np.savez(file, **arrays))


def _name_arrays(value: Any) -> Mapping[str, Any]:
    """Return the arrays by the keys that a file has for them."""
    if isinstance(value, Mapping):
        if value and set(value) <= set(KEYS):
            return value
        raise UserError(f"{_FORMS}, got a mapping with {', '.join(map(str, value)) or 'no key'}.")
    if isinstance(value, tuple | list) and len(value) == 2:
        first, second = value
        if all(isinstance(one, tuple) and len(one) == 2 for one in value):
            return {"x_train": first[0], "y_train": first[1], "x_test": second[0], "y_test": second[1]}
        if not any(isinstance(one, tuple) for one in value):
            return {"x": first, "y": second}
    raise UserError(f"{_FORMS}, got {type(value).__name__}.")


def _as_array(key: str, value: Any) -> Any:
    try:
        array = np.asarray(value)
    except Exception as error:  # of whatever it is
        raise UserError(f"data: {key} is no array: {error!s:.100}.") from None
    if array.dtype.kind == "O":
        raise UserError(
            f"data: {key} must hold numbers or texts, got an array of objects ({_list_kinds(array)}); give "
            "every row the same length and every value one type."
        )
    return array


def _list_kinds(array: Any) -> str:
    """Return the kinds of the first objects of an array."""
    return ", ".join(dict.fromkeys(type(one).__name__ for one in array.ravel()[:20]))


def _write(digest: str, suffix: str, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file that is there whole or not at all; one that is there holds this already."""
    path = FOLDER.absolute() / f"{digest[:16]}{suffix}"
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=suffix, delete=False) as file:
            write(file)
        os.replace(file.name, path)  # noqa: PTH105 - both are on one disk
    except OSError as error:
        raise UserError(f"data: {path} cannot be written ({error.strerror}); make room for it.") from None
    return path
