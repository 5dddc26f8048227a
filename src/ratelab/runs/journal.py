"""The journal of a program: what its runs have given, on disk before the store sees it, to go on from."""

import contextlib
import errno
import os
import socket
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ratelab.runs.description import Description
from ratelab.runs.past import ARRAYS, NAME, NUMBERS, Past, chunk_of, digest_of
from ratelab.runtime import provenance
from ratelab.runtime.journal_file import Arrays, Entry, JournalFile, JournalHeldError
from ratelab.runtime.passwords import without_password
from ratelab.runtime.signals import held_back, raise_if_told_to_stop
from ratelab.training import Chunk
from ratelab.validation import UserError

_PATIENCE = 120.0  # seconds that a full disk is waited for, as a store is
_PAUSE = 0.5
_FULL = {errno.ENOSPC, errno.EDQUOT}


Noted = int | Entry  # where a record is in the file; the record itself where the file took it no more


class Journal:
    """The journal of the runs of this program, which holds it until it is closed.

    A disk that is full is waited for, two minutes at most. What cannot be written then is said, once, and
    nothing more is written: the runs go on, and those after that place could not be resumed.

    Args:
        folder: of the sweep, or of the single run; there is one.
        identity: what the first record says of run or sweep; of a sweep its id is in it.
        is_resumed: go on with the journal that is there. Else one of another run or sweep makes room.

    Attributes:
        path: of the file, absolute.
        past: what it held when it was opened.
        is_resumed: as given.
        files: as given to `begin`.
        is_over: whether this program came to its end.
        has_sweep: whether the store has the end of the sweep as a whole.

    Raises:
        UserError: another program, which is alive, holds what is to go on.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], is_resumed: bool) -> None:
        self.path, self._identity, self.is_resumed = folder.absolute() / NAME, identity, is_resumed
        self._file: JournalFile | None = None
        self._lock, self._takes_more = threading.Lock(), True
        self.files: Mapping[str, str] = {}
        self.is_over = self.has_sweep = False
        self.past = Past()
        try:
            self._open()
        except JournalHeldError:
            if is_resumed:
                raise UserError(
                    f"{folder} is still being written, by a program that is alive; let that end first."
                ) from None
            _say(f"{self.path}: another program writes it, so this run could not be resumed after a death.")
        except OSError as error:
            self._give_up(error)
        self._id = str(self.past.program.get("id") or uuid.uuid4().hex)

    def _open(self) -> None:
        self._file = JournalFile(self.path)
        self.past = Past(self._file.entries)
        sweep_id = self._identity["sweep_id"]
        # a sweeper that searches launches again and again, into one folder, and what comes then goes on here
        goes_on = self.is_resumed or (sweep_id and self.past.program.get("sweep_id") == sweep_id)
        if self.past.program and not goes_on:
            self.close()
            self.path.replace(self.path.with_name(f"{NAME}.before"))
            self._file, self.past = JournalFile(self.path), Past()

    def begin(self, origin: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Note that this program begins, or goes on.

        Args:
            origin: what made it.
            files: texts that the description of each of its runs has, by their names.
        """
        self.files = dict(files)
        self.append(
            "program", {"id": self._id, **self._identity, **origin, **_describe_process(), "files": files}
        )

    def plan(self, settings: Mapping[int, Mapping[str, Any]], stacks: Sequence[Sequence[int]]) -> None:
        """Note what is to be trained: the settings of each run by its number, and who trains together."""
        self.append("plan", {"runs": [*settings.items()], "stacks": [list(stack) for stack in stacks]})

    def note_sweep(
        self, store: Mapping[str, str], name: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> None:
        """Note the run of the sweep as a whole, before the store sees it.

        Args:
            store: its "uri", "experiment" and "directory".
            name: what people see.
            params: of that run.
            tags: of that run.
        """
        self.append("sweep", {"store": store, "name": name, "params": params, "tags": tags})

    def note_opened(self, number: int, run_id: str) -> None:
        """Note that the store has begun a run."""
        self.append("opened", {"run": number, "id": run_id})

    def note_stored(self, number: int, copy: str = "") -> None:
        """Note that the store has all of a run that is in the journal now.

        Args:
            number: of the run.
            copy: the URI, without a password, of another store than that in which the run was begun.
        """
        self.append("stored", {"run": number, "copy": copy})

    def note_sweep_stored(self) -> None:
        """Note that the store has that run, and how it ended."""
        self.append("sweep stored", {})
        self.has_sweep = True

    def key(self, number: int | None = None) -> str:
        """Return what finds in the store the run of a job, or, for None, that of the sweep."""
        return f"{self._id}-{'sweep' if number is None else number}"

    def of(self, number: int) -> "RunJournal":
        """Return the part of one run."""
        return RunJournal(self, number)

    def note_over(self) -> None:
        """Note that the program came to its end; what failed may be left to train, the rest to store."""
        self.append("over", {})
        self.is_over = True

    def finish(self) -> None:
        """Note that nothing is left to train or to store."""
        self.append("finished", {})
        self.sync()

    def append(self, kind: str, fields: Mapping[str, Any], arrays: Arrays | None = None) -> Noted:
        """Append a record, as `JournalFile.append` does; wait where there is no room. Any thread may."""
        until, is_told = time.monotonic() + _PATIENCE, False
        while self._file is not None and self._takes_more:
            try:
                with held_back(), self._lock:
                    return self._file.append(kind, fields, arrays)
            except OSError as error:
                if error.errno not in _FULL or time.monotonic() > until:
                    self._give_up(error)
                    break
                if not is_told:
                    is_told = True
                    _say(f"{self.path}: the disk is full. It is waited for, two minutes at most.")
            raise_if_told_to_stop()
            time.sleep(_PAUSE)
        return Entry(kind, fields, arrays or {}, 0, 0)

    def sync(self) -> None:
        """Return when what was appended survives the death of the machine as well."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # such as a file system that knows of no such thing
                self._file.sync()

    def read(self, noted: Noted) -> Entry:
        """Return a record that `append` has returned, or that was found in the file."""
        if isinstance(noted, Entry):
            return noted
        assert self._file is not None  # noqa: S101 - it was appended there
        return self._file.read_at(noted)

    def read_again(self) -> Past:
        """Return all that the file holds by now."""
        return Past(self._file.entries if self._file is not None else ())

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up(self, error: OSError) -> None:
        _say(f"{self.path}: {error.strerror}. What is trained from here on cannot be resumed after a death.")
        self._takes_more = False  # what is in it can still be read


class RunJournal:
    """The part of a journal that is about one run.

    Args:
        journal: the whole.
        number: of the run.

    Attributes:
        past: what it held of the run when it was opened; None if there was nothing.
    """

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number
        self.past = journal.past.runs.get(number)
        self._digests = list(self.past.digests) if self.past else []

    @property
    def path(self) -> Path:
        """Of the file, absolute."""
        return self._journal.path

    @property
    def key(self) -> str:
        """What finds the run in the store."""
        return self._journal.key(self._number)

    @property
    def steps(self) -> int:
        """How many updates were recorded before."""
        return self.past.steps if self.past else 0

    def chunks(self) -> Iterator[tuple[Noted, Chunk]]:
        """Yield the epochs that were recorded before, in their order, and where they are noted."""
        for place in self.past.places if self.past else []:
            yield place, chunk_of(self._journal.read(place))

    def note_begun(self, described: Description, store: Mapping[str, str]) -> Noted:
        """Note what the run says about itself, and in which store, before that sees it."""
        shared = self._journal.files.items()
        files = dict(item for item in described.files.items() if item not in shared)
        return self._append("begun", {**vars(described), "files": files, "store": store})

    def note_chunk(self, chunk: Chunk, members: Sequence[int]) -> Noted:
        """Note an epoch, and which runs were trained together; it is on disk before the store sees it."""
        numbers = {name: getattr(chunk, name) for name in NUMBERS}
        arrays = {name: getattr(chunk, name) for name in ARRAYS if getattr(chunk, name) is not None}
        fields = {**numbers, "validation": dict(chunk.validation), "members": list(members)}
        noted = self._append("chunk", fields, arrays)
        self._digests.append(digest_of(chunk))
        return noted

    def is_repeated(self, chunk: Chunk) -> bool:
        """Say whether an epoch that was trained again gave what it gave before."""
        return self._digests[chunk.epoch] == digest_of(chunk)

    def note_tested(self, now: int) -> int:
        """Note when the test split was looked at, in milliseconds since 1970; return the first such time."""
        if self.past is not None and self.past.tested_at is not None:
            return self.past.tested_at
        self._append("tested", {"at": now})
        return now

    def note_ended(self, **how: Any) -> Noted:
        """Note how the run ended; it then survives the machine's death.

        Args:
            how: "status", and "test" and when it was, "tested_at", or "step".
        """
        noted = self._append("ended", how)
        self._journal.sync()
        return noted

    def note_stopped(self, status: str, error: BaseException) -> Noted:
        """Note that something has ended the run before its end: as what, and why if it failed."""
        failed = status == "FAILED"
        reason = f"{type(error).__name__}: {error}" if failed else ""
        trace = "".join(traceback.format_exception(error)) if failed else ""
        return self._append(
            "stopped",
            {"status": status, "reason": without_password(reason), "traceback": without_password(trace)},
        )

    def _append(self, kind: str, fields: Mapping[str, Any], arrays: Arrays | None = None) -> Noted:
        return self._journal.append(kind, {"run": self._number, **fields}, arrays)


def _describe_process() -> dict[str, Any]:
    """Return what starts this program once more, and what tells it from all others."""
    started = psutil.Process().create_time()
    return {
        "command": provenance.find_command(),
        "directory": str(Path.cwd()),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": started,
    }


def _say(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")
