"""A file of records that only grows: whatever was appended before a death is read after it, or reported."""

import contextlib
import fcntl
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

MAGIC = b"ratelab journal 1\n"
_HEAD = struct.Struct("<II")  # how long the payload is; CRC32 of that length and of the payload
_LENGTH = struct.Struct("<I")
_TRIES, _PAUSE = 10, 0.02  # of the lock; seconds

Arrays = Mapping[str, npt.NDArray[Any]]


class JournalHeldError(Exception):
    """Another program, which is alive, writes this journal."""


@dataclass(frozen=True)
class Entry:
    """A record.

    Attributes:
        kind: what it says.
        fields: what JSON can hold; also NaN and infinities.
        arrays: by their names, of any shape; numbers or truth values.
        place: where the record begins.
        end: where it ends.
    """

    kind: str
    fields: Mapping[str, Any]
    arrays: Arrays
    place: int
    end: int


class Entries:
    """The records of a journal, from its beginning to its end or to the first that is not whole.

    Args:
        file: opened for reading in binary; its position stays.

    Attributes:
        end: where the last record that is whole ends; 0 before it is read, and where there is no journal.
        trouble: why nothing behind that is read; "" if there is nothing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._number = file.fileno()
        self.end, self.trouble = 0, ""

    def __iter__(self) -> Iterator[Entry]:
        begin = os.pread(self._number, len(MAGIC), 0)
        if begin != MAGIC:
            self.trouble = "" if not begin else "does not begin as a journal of this version of ratelab does"
            return
        self.end = len(MAGIC)
        while entry := self._read():
            yield entry
            self.end = entry.end

    def _read(self) -> Entry | None:
        """Return the record at the end of those that were read; None, and say why, if it is not whole."""
        left = os.fstat(self._number).st_size - self.end
        if left == 0:
            return None
        head = os.pread(self._number, _HEAD.size, self.end)
        length, digest = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        if left < _HEAD.size + length:  # of a damaged length no memory is asked for
            self.trouble = f"its last record is not whole ({left} bytes)"
            return None
        payload = os.pread(self._number, length, self.end + _HEAD.size)
        if digest != _digest(payload):
            self.trouble = f"the record at byte {self.end} is damaged"
            return None
        return _unpack(payload, self.end)


class JournalFile:
    """A journal that is held by this program as long as it is open: no other can open it.

    What exists is read first, then appended to; what was not whole at its end is cut off by the first append.

    Args:
        path: of the file, which is made if it is absent.

    Attributes:
        path: as given.
        entries: those that it had when it was opened; they can be read at any time.

    Raises:
        JournalHeldError: another program holds it.
        OSError: it cannot be opened.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "journal"
    >>> journal = JournalFile(path)
    >>> place = journal.append("chunk", {"run": 3}, {"rates": np.float32([0.1, 0.2])})
    >>> journal.close()
    >>> journal = JournalFile(path)
    >>> [entry] = journal.entries
    >>> journal.close()
    >>> entry.kind, entry.fields, entry.arrays["rates"].tolist() == np.float32([0.1, 0.2]).tolist()
    ('chunk', {'run': 3}, True)
    >>> folder.cleanup()
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # unbuffered: what `append` has returned from survives this process, whatever kills it
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        if not _lock(self._file):
            self._file.close()
            raise JournalHeldError(str(path))
        self.entries = Entries(self._file)
        self._end: int | None = None

    def append(self, kind: str, fields: Mapping[str, Any], arrays: Arrays | None = None) -> int:
        """Append a record and return its place; a death of this process from then on leaves it whole.

        That of the machine may not: see `sync`.

        Args:
            kind: what it says.
            fields: what JSON can hold.
            arrays: numbers or truth values, by their names.

        Raises:
            OSError: the disk does not take it, and the journal is as it was before.
        """
        end = self._begin()
        data = memoryview(_pack(kind, fields, arrays or {}))
        try:
            written = 0
            while written < len(data):  # a disk with little room takes a part
                written += self._file.write(data[written:])
        except OSError:
            self._cut(end)
            raise
        self._end = end + len(data)
        return end

    def read_at(self, place: int) -> Entry:
        """Return the record that was found, whole, at a place."""
        length, _ = _HEAD.unpack(os.pread(self._file.fileno(), _HEAD.size, place))
        return _unpack(os.pread(self._file.fileno(), length, place + _HEAD.size), place)

    def sync(self) -> None:
        """Return when what was appended survives also the death of the machine.

        Raises:
            OSError: the disk does not say so.
        """
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the journal go."""
        self._file.close()

    def _begin(self) -> int:
        """Return where the next record begins; what is behind that is cut off."""
        if self._end is None:
            if not self.entries.end:
                for _ in self.entries:
                    pass
            self._end = self.entries.end
            self._cut(self._end)
        if self._end == 0:
            self._file.write(MAGIC)
            self._end = len(MAGIC)
        return self._end

    def _cut(self, end: int) -> None:
        self._file.truncate(end)
        self._file.seek(end)


def write_whole(path: Path, kind: str, fields: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a journal of one record aside and give it its name: a death leaves all of it or none.

    Args:
        path: of the file; what is there is replaced.
        kind: as `JournalFile.append` takes it, like the rest.
        fields: of the record.
        arrays: of the record.

    Raises:
        OSError: the disk does not take it.
    """
    aside = path.with_name(f"{path.name}.part")
    aside.unlink(missing_ok=True)
    with contextlib.closing(JournalFile(aside)) as file:
        file.append(kind, fields, arrays)
        file.sync()
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the new name may be gone after a power cut
    finally:
        os.close(folder)


def read_whole(path: Path) -> Entry | None:
    """Return the record of a file that `write_whole` has written; None if there is none that is whole."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return next(iter(Entries(file)), None)
    return None


def _lock(file: IO[bytes]) -> bool:
    """Lock a file; say whether that succeeded. Who only asks whether it is held has it for a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return True
    return False


def is_held(path: Path) -> bool:
    """Say whether a living program, on this host or where the file system knows of its locks, writes it.

    Raises:
        OSError: the file cannot be read, or knows of no locks.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        return False


def _digest(payload: bytes) -> int:
    # with the length in front: of a file of zeros, which a disk may leave, not even an empty record is whole
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload))))


def _pack(kind: str, fields: Mapping[str, Any], arrays: Arrays) -> bytes:
    forms = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    text = json.dumps([kind, fields, forms]).encode()
    parts = [_LENGTH.pack(len(text)), text, *(array.tobytes() for array in arrays.values())]
    payload = b"".join(parts)
    return _HEAD.pack(len(payload), _digest(payload)) + payload


def _unpack(payload: bytes, begin: int) -> Entry:
    (length,) = _LENGTH.unpack_from(payload)
    place = _LENGTH.size + length
    kind, fields, forms = json.loads(payload[_LENGTH.size : place])
    arrays = {}
    for name, kind_of_number, shape in forms:
        form = np.dtype(kind_of_number)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(payload, form, count, place).reshape(shape)
        place += count * form.itemsize
    return Entry(kind, fields, arrays, begin, begin + _HEAD.size + len(payload))
