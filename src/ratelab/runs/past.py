"""What a journal holds of the runs of a program, read back after its death, or while it goes on."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratelab.runtime.journal_file import Entries, Entry
from ratelab.training import Chunk

NAME = "journal"
NUMBERS = ("epoch", "first_step", "seconds", "noise_scale")
ARRAYS = ("learning_rate", "train_loss", "timestamps", "batch_size", "examples_seen", "momentum")
_REPEATED = ("learning_rate", "train_loss", "batch_size", "momentum")  # the same bits whenever it is trained


@dataclass
class PastRun:
    """What a journal holds of one run.

    Attributes:
        settings: what it was to do, flat, and the digest of its data.
        stack: the numbers of the runs that it was planned to train with, itself among them.
        run_id: the store's, if it was opened there.
        members: the numbers of the runs that it was trained with; None before its first epoch.
        steps: how many updates its epochs have.
        places: of its epochs in the file.
        digests: of what comes again when they are trained again.
        tested_at: when the test split was looked at, in milliseconds since 1970.
        ended: its "status", finished or diverged, and what was measured on the "test" split, or the "step"
            where it diverged; None where something is left to train.
        is_stored: whether the store had all of it that stands before that in the journal.
        copies: URIs of other stores that had.
        begun: what it says about itself, and its store; None if it has not begun.
        stopped: the "status" with which it ended before its end, "reason", "traceback"; None if it did not.
    """

    settings: Mapping[str, Any]
    stack: tuple[int, ...]
    run_id: str = ""
    members: tuple[int, ...] | None = None
    steps: int = 0
    places: list[int] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    tested_at: int | None = None
    ended: Mapping[str, Any] | None = None
    is_stored: bool = False
    copies: set[str] = field(default_factory=set)
    begun: Mapping[str, Any] | None = None
    stopped: Mapping[str, Any] | None = None

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """How it failed, if it did: as `stopped`."""
        return self.stopped if self.stopped is not None and self.stopped["status"] == "FAILED" else None

    def take_stored(self, copy: str) -> None:
        """Take note that the store, or another of this URI, has all of it that was read until now."""
        if copy:
            self.copies.add(copy)
        else:
            self.is_stored = True

    def outdate(self) -> None:
        """Take note that the journal goes on behind what any store has."""
        self.is_stored = False
        self.copies.clear()


class Past:
    """What a journal holds, as far as it is whole.

    Args:
        entries: of the file.

    Attributes:
        program: that began it: its id, command, folder and so on; empty if there is none.
        sweep: what the run of the sweep as a whole says about itself, and its store; None if there is none.
        sweep_is_stored: whether the store had that run and its end.
        runs: by their numbers.
        is_over: whether the program came to its end, with or without something left.
        has_finished: whether nothing was left to train or to store.
        end: where the last record ends.
        trouble: why the rest of the file was not read; "" if it was read whole.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.program: Mapping[str, Any] = {}
        self.sweep: Mapping[str, Any] | None = None
        self.sweep_is_stored = False
        self.runs: dict[int, PastRun] = {}
        self._files: Mapping[str, str] = {}
        self.is_over = self.has_finished = False
        for entry in entries:
            self._take(entry)
        self.trouble, self.end = getattr(entries, "trouble", ""), getattr(entries, "end", 0)

    @property
    def is_trained(self) -> bool:
        """Whether nothing is left to train; a sweep that did not come to its end may have planned more."""
        is_over = self.is_over or self.sweep is None
        return is_over and bool(self.runs) and all(run.ended is not None for run in self.runs.values())

    def _take(self, entry: Entry) -> None:
        fields = entry.fields
        if entry.kind == "program":
            self.program, self.is_over, self.has_finished = self.program or fields, False, False
            self._files, self.sweep_is_stored = fields.get("files", {}), False
        elif entry.kind == "sweep":
            self.sweep = fields
        elif entry.kind == "sweep stored":
            self.sweep_is_stored = True
        elif entry.kind in {"over", "finished"}:
            self.is_over, self.has_finished = True, entry.kind == "finished"
        elif entry.kind == "plan":
            stacks = {number: tuple(stack) for stack in fields["stacks"] for number in stack}
            for number, settings in fields["runs"]:
                self.runs.setdefault(number, PastRun(settings, stacks[number]))
        else:
            self._take_of_run(entry, self.runs[fields["run"]])

    def _take_of_run(self, entry: Entry, run: PastRun) -> None:
        fields = entry.fields
        if entry.kind == "begun":
            run.begun = {**fields, "files": {**self._files, **fields["files"]}}
            run.stopped = None
            run.outdate()
        elif entry.kind == "opened":
            run.run_id = fields["id"]
        elif entry.kind == "chunk":
            _take_chunk(entry, run)
        elif entry.kind == "tested":
            run.tested_at = fields["at"]
        elif entry.kind == "ended":
            run.ended = fields
            run.outdate()
        elif entry.kind == "stopped":
            run.stopped = fields
            run.outdate()
        elif entry.kind == "stored":
            run.take_stored(fields["copy"])


def _take_chunk(entry: Entry, run: PastRun) -> None:
    chunk = chunk_of(entry)
    run.members = tuple(entry.fields["members"])
    run.outdate()
    run.steps += len(chunk.train_loss)
    run.places.append(entry.place)
    run.digests.append(digest_of(chunk))
    if chunk.diverged_step is not None:
        run.ended = {"status": "diverged", "step": chunk.diverged_step}


def read_past(folder: Path) -> Past | None:
    """Return what the journal in a folder holds, also while a program writes it; None where there is none."""
    try:
        with (folder / NAME).open("rb") as file:
            return Past(Entries(file))
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest_of(chunk: Chunk) -> int:
    """Return a number of what an epoch gives again, to the bit, when it is trained again."""
    arrays = [getattr(chunk, name) for name in _REPEATED]
    parts = [b"" if array is None else array.tobytes() for array in arrays]
    text = json.dumps([chunk.first_step, *sorted(chunk.validation.items())]).encode()
    return zlib.crc32(b"".join([text, *parts]))


def chunk_of(entry: Entry) -> Chunk:
    """Return the epoch that a record holds."""
    numbers = {name: entry.fields[name] for name in NUMBERS}
    arrays: dict[str, Any] = {name: entry.arrays.get(name) for name in ARRAYS}
    return Chunk(**numbers, **arrays, validation=entry.fields["validation"])
