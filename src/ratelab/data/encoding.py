"""The rows of a table as numbers, split by split: in memory, or beyond a limit in files that nobody sees."""

import io
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from ratelab.data.columns import fit
from ratelab.data.conversion import Array
from ratelab.data.frames import Frame
from ratelab.data.splitting import Indices
from ratelab.validation import UserError

GIB = 2**30
MOST_IN_MEMORY = GIB  # bytes of all splits together
BATCH = 2**25  # bytes of a table that are encoded at a time
FEWEST = 2_048  # rows of these, however wide: each column of a batch costs as much as a thousand values
ROOMY = "/var/tmp"  # noqa: S108 - only files without a name are made there


def encode(
    frame: Frame,
    names: Sequence[str],
    kept: Indices,
    parts: Sequence[Indices],
    categories: Collection[str],
    name: str,
) -> list[Array]:
    """Return the rows of each split as numbers, float32 [rows, columns], the columns side by side.

    The table is read column by column, then a few rows at a time. What is larger than `MOST_IN_MEMORY`
    becomes read-only memory maps of files without a name, so that nothing is left however the program ends.
    They lie in the folder that the environment calls TMPDIR, else in /var/tmp: /tmp may itself lie in memory.

    Args:
        frame: the table.
        names: of the columns to learn from.
        kept: which rows are not left out.
        parts: which of these make up each split, in ascending order; the first one trains.
        categories: as in `fit`.
        name: of the table in errors.

    Raises:
        UserError: for a column that cannot be encoded, and if there is too little room on the disk.
    """
    encodings = {one: fit(frame.column(one).iloc[kept], parts[0], categories, name) for one in names}
    width = sum(encoding.width for encoding in encodings.values())
    rows = [kept[part] for part in parts]
    start = 0
    with _open_files(len(parts), 4 * width * sum(map(len, rows)), name) as files:
        for batch in frame.batches(names, max(FEWEST, BATCH // (8 * (len(names) + width)))):
            blocks = [encoding.apply(batch[one]) for one, encoding in encodings.items()]
            with np.errstate(over="ignore"):  # what is beyond float32 is found with what is not finite
                encoded = np.concatenate(blocks, 1, dtype=np.float32)
            for own, file in zip(rows, files, strict=True):
                first, last = np.searchsorted(own, [start, start + len(batch)])
                _write(encoded[own[first:last] - start].tobytes(), file)
            start += len(batch)
        return [_to_array(file, len(own), width) for own, file in zip(rows, files, strict=True)]


@contextmanager
def _open_files(count: int, size: int, name: str) -> Iterator[Sequence[IO[bytes]]]:
    """Open so many files, which together get so many bytes, in memory or on the disk."""
    if size <= MOST_IN_MEMORY:
        yield [io.BytesIO() for _ in range(count)]
        return
    folder = os.environ.get("TMPDIR") or (ROOMY if Path(ROOMY).is_dir() else tempfile.gettempdir())
    try:
        free = shutil.disk_usage(folder).free
        if free < size:
            raise _lack_room(name, size, f"{folder} has {free / GIB:.2f}")
        with ExitStack() as stack:
            # Without a buffer: what a full disk refuses must not be tried again when the file is closed.
            yield [stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0)) for _ in range(count)]
    except OSError as error:
        raise _lack_room(name, size, f"{folder} cannot be used ({error.strerror})") from None


def _lack_room(name: str, size: int, reason: str) -> UserError:
    return UserError(
        f"{name}: as numbers it takes {size / GIB:.2f} GiB of disk, and {reason}; set TMPDIR in the "
        "environment to a folder with more."
    )


def _write(content: bytes, file: IO[bytes]) -> None:
    left = memoryview(content)
    while left:  # a disk that is nearly full takes a part
        left = left[file.write(left) :]


def _to_array(file: IO[bytes], rows: int, width: int) -> Array:
    if isinstance(file, io.BytesIO):
        return np.frombuffer(file.getbuffer(), np.float32).reshape(rows, width)
    return np.memmap(file, np.float32, "r", shape=(rows, width))
