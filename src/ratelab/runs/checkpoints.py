"""Checkpoints beside the journal: written aside and renamed, so that what is found is whole."""

import contextlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ratelab.runs.journal import Journal
from ratelab.runtime.journal_file import read_whole, write_whole
from ratelab.training import Checkpoint

NAME = "checkpoints"
_KEPT = 2  # of the same runs: the last one may be ahead of a journal that lost its end


class Checkpoints:
    """The checkpoints of a run or sweep; one that cannot be kept is said once, and training goes on.

    Args:
        folder: of the run or sweep.
        journal: its journal: what a checkpoint goes on behind is in it.
    """

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder, self._journal = folder / NAME, journal
        self._has_failed = False

    def save(self, members: Sequence[int], checkpoint: Checkpoint) -> None:
        """Keep a checkpoint of runs that train as one program; the last two of them are kept."""
        try:
            self._folder.mkdir(exist_ok=True)
            self._journal.sync()
            path = self._folder / f"{self._prefix(members)}{checkpoint.epochs:09d}"
            arrays = {str(place): array for place, array in enumerate(checkpoint.state)}
            own = {"going": checkpoint.going, "val_losses": checkpoint.val_losses}
            fields = {"members": list(members), "epochs": checkpoint.epochs}
            write_whole(path, "checkpoint", fields, {**own, **arrays})
            for old in self._find(members)[_KEPT:]:
                old.unlink()
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                sys.stderr.write(f"warning: {self._folder}: no checkpoint is kept: {error.strerror}.\n")

    def load(self, members: Sequence[int], epochs: int) -> Checkpoint | None:
        """Return the last checkpoint of these runs that is whole; None if there is none.

        Args:
            members: in the order in which they train.
            epochs: how many of each the journal has; a checkpoint behind them would leave a gap.
        """
        for path in self._find(members):
            entry = read_whole(path)
            if entry is None or entry.fields["members"] != list(members) or entry.fields["epochs"] > epochs:
                continue
            arrays = dict(entry.arrays)
            going, val_losses = arrays.pop("going"), arrays.pop("val_losses")
            return Checkpoint(entry.fields["epochs"], going, val_losses, tuple(arrays.values()))
        return None

    def drop(self, members: Sequence[int]) -> None:
        """Remove those of runs that have ended."""
        for path in self._find(members):
            with contextlib.suppress(OSError):
                path.unlink()

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _find(self, members: Sequence[int]) -> list[Path]:
        """Return the files of these runs, or of others that begin with the same one, newest first."""
        return sorted(self._folder.glob(f"{self._prefix(members)}?????????"), reverse=True)

    def _prefix(self, members: Sequence[int]) -> str:
        # the first is in no other program at the same time; all of them may be too long for a name
        return f"{self._journal.key(members[0] if members else 0)}-"
