"""The rows of a table as numbers, split by split: in memory, or beyond a limit in files that nobody sees."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ratelab.data.columns import Encoding
from ratelab.data.conversion import Array
from ratelab.data.frames import Frame
from ratelab.validation import UserError

if TYPE_CHECKING:
    import pandas as pd

GIB = 2**30
MOST_IN_MEMORY = GIB  # bytes of all splits together
BATCH = 2**25  # bytes of rows that are encoded at a time
ROOMY = "/var/tmp"  # noqa: S108 - only files without a name are made there


def encode(
    frame: Frame, encodings: Mapping[str, Encoding], parts: Sequence[npt.NDArray[np.intp]], name: str
) -> list[Array]:
    """Return the rows of each split, float32 [rows, columns], the columns side by side.

    The table is read once, a few rows at a time. What is larger than `MOST_IN_MEMORY` becomes read-only
    memory maps of files that have no name, so that nothing is left however the program ends. They lie in the
    folder that the environment calls TMPDIR, else in /var/tmp: /tmp may itself lie in memory.

    Args:
        frame: has these columns.
        encodings: of each column, by its name.
        parts: which rows make up each split, in ascending order.
        name: of the table in errors.

    Raises:
        UserError: if there is too little room on the disk.
    """
    names, width = list(encodings), sum(encoding.width for encoding in encodings.values())
    row = width * np.dtype(np.float32).itemsize
    with _open_files(len(parts), row * sum(map(len, parts)), name) as files:
        start = 0
        for batch in frame.batches(names, max(1, BATCH // (8 * len(names) + row))):
            encoded = _apply(encodings, batch, width)
            for part, file in zip(parts, files, strict=True):
                first, last = np.searchsorted(part, [start, start + len(batch)])
                _write(encoded[part[first:last] - start], file)
            start += len(batch)
    return [_read(file, len(part), width) for part, file in zip(parts, files, strict=True)]


@contextmanager
def _open_files(count: int, size: int, name: str) -> Iterator[Sequence[IO[bytes]]]:
    """Open so many files, which together get so many bytes, in memory or on the disk; they stay open."""
    if size <= MOST_IN_MEMORY:
        yield [io.BytesIO() for _ in range(count)]
        return
    folder = os.environ.get("TMPDIR") or (ROOMY if Path(ROOMY).is_dir() else tempfile.gettempdir())
    try:
        free = shutil.disk_usage(folder).free
        if free < size:
            raise _lack_room(name, size, folder, f"has {free / GIB:.2f}")
        # Without a buffer: what a full disk refuses must not be tried again when the file is closed.
        yield [tempfile.TemporaryFile(dir=folder, buffering=0) for _ in range(count)]  # noqa: SIM115 - kept
    except OSError as error:
        raise _lack_room(name, size, folder, f"cannot be used ({error.strerror})") from None


def _lack_room(name: str, size: int, folder: str, reason: str) -> UserError:
    return UserError(
        f"{name}: as numbers it takes {size / GIB:.2f} GiB of disk, and {folder} {reason}; set the variable "
        "TMPDIR of the environment to a folder with more room."
    )


def _apply(encodings: Mapping[str, Encoding], batch: "pd.DataFrame", width: int) -> npt.NDArray[np.float32]:
    encoded = np.empty((len(batch), width), np.float32)
    first = 0
    with np.errstate(over="ignore"):  # what is beyond float32 is found with what is not finite
        for name, encoding in encodings.items():
            encoded[:, first : first + encoding.width] = encoding.apply(batch[name])
            first += encoding.width
    return encoded


def _write(rows: npt.NDArray[np.float32], file: IO[bytes]) -> None:
    left = memoryview(rows.tobytes())
    while left:  # a disk that is nearly full takes a part
        left = left[file.write(left) :]


def _read(file: IO[bytes], rows: int, width: int) -> Array:
    if isinstance(file, io.BytesIO):
        return np.frombuffer(file.getbuffer(), np.float32).reshape(rows, width)
    return np.memmap(file, np.float32, "r", shape=(rows, width))
