"""Giving a store what a journal has, record by record; what it does not take is given it another time."""

import sys
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ratelab.runs.description import Description
from ratelab.runs.journal import Journal, Noted
from ratelab.runs.models import Models
from ratelab.runs.past import Past, PastRun, chunk_of
from ratelab.runs.stored import StoredRun
from ratelab.runtime.endings import attempt
from ratelab.runtime.journal_file import Entry
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import Diverged, StoreError, Tracker
from ratelab.tracking.recorded import ENDED_BY, PROGRAM

if TYPE_CHECKING:
    import keras

_LACKS_METRICS = StoreError("the store does not take the metrics of a run")  # of which the user has been told


class Storing:
    """Hands the records of runs over to a store, in the order in which each run has them.

    A run of which the store does not take something is left as it is there, falls behind, and `catch_up`
    begins it again: with the same key, so nothing is there twice. One thread at a time may call.

    Args:
        tracker: of the store.
        journal: whose records they are.
        parent_id: the run of the sweep that they belong to.
        copy: the URI, without a password, of another store than that in which the runs were begun.
    """

    def __init__(
        self, tracker: Tracker, journal: Journal, parent_id: str | None = None, copy: str = ""
    ) -> None:
        self._tracker, self._journal, self._parent_id, self._copy = tracker, journal, parent_id, copy
        self._open: dict[int, StoredRun] = {}
        self._ids: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._errors: dict[int, Exception] = {}  # of the runs that are behind, or lack something at their end
        self._given: dict[int, int] = {}  # up to which place a run that had fallen behind was given
        self._unnoted: set[int] = set()  # of which the journal has not taken all: they cannot be begun again
        self._models: dict[int, tuple[keras.Model, np.ndarray]] = {}  # that the store has not taken yet
        self._kept = Models(journal.path.parent)
        self._is_told = self._has_lacked = False

    @property
    def lacking(self) -> Mapping[int, Exception]:
        """The runs of which the store lacks something, and why."""
        return self._errors

    @property
    def numbers(self) -> Iterable[int]:
        """Of the runs that were to be stored, as far as they have begun."""
        return sorted(self._ids.keys() | self._errors.keys())

    def id_of(self, number: int) -> str:
        """Return what the store calls a run; "" if it has not been opened there."""
        return self._ids.get(number, "")

    def has_begun(self, number: int) -> bool:
        """Say whether a run has been opened in the store."""
        return number in self._ids

    def has_ended(self, number: int) -> bool:
        """Say whether a run has been opened in the store and is not open there any more."""
        return number in self._ids and number not in self._open

    def take(self, number: int, noted: Noted) -> None:
        """Hand over what was noted of a run; nothing if the run has fallen behind."""
        if not isinstance(noted, int):
            self._unnoted.add(number)
        elif noted < self._given.get(number, 0):
            return
        try:
            self._take(number, self._journal.read(noted))
        except Exception as error:
            self._leave(number, error)

    def take_model(self, number: int, model: "keras.Model", example: np.ndarray) -> None:
        """Hand over the model of a run that has not ended yet; a run that is behind gets it later."""
        self._models[number] = model, example
        try:
            self._give_model(number)
        except Exception as error:
            self._leave(number, error)

    def warn(self, number: int, what: str, error: Exception) -> None:
        """Say that `what` of a run cannot be kept."""
        if number in self._open:
            self._open[number].warn(what, error)
        else:
            sys.stderr.write(f"warning: {what} of a run could not be kept: {error}\n")

    def catch_up(self, is_last: bool = False) -> None:
        """Begin again the runs that have fallen behind, until the store does not take one; say if it has all.

        Args:
            is_last: give it the others as well then, and what it takes of one of which it does not take all.
        """
        numbers = self._list_givable(is_last)
        if not numbers:
            return
        try:
            past = self._journal.read_again()
        except OSError:  # its disk may be well another time
            return
        for number in numbers:
            if not self._give(number, past, is_last) and not is_last:
                return
        if self._has_lacked and not self._errors:
            self._is_told = self._has_lacked = False
            sys.stderr.write("The store has been given what it had not taken.\n")

    def owe(self, numbers: Iterable[int]) -> None:
        """Let runs be behind, of which the store may lack something from an earlier day."""
        self._errors |= dict.fromkeys(numbers, StoreError("it has not been given all"))

    def end(self, error: BaseException) -> None:
        """End the runs that are open still, by `error`."""
        for number in [*self._open]:
            self._open.pop(number).close(error)

    def end_left(self, reason: str) -> None:
        """End the runs that are open still as KILLED: the program that trained them died."""
        for number, stored in [*self._open.items()]:
            try:
                stored.tag(ENDED_BY, reason)
                self._end(number, "stopped", {"status": "KILLED"})
            except Exception as error:
                self._leave(number, error)

    def _list_givable(self, is_last: bool) -> list[int]:
        """Return the runs that are behind and can be begun again; what no store could take is tried last."""
        return [
            number
            for number, error in sorted(self._errors.items())
            if number not in self._unnoted and (is_last or isinstance(error, StoreError))
        ]

    def _is_known(self, number: int) -> bool:
        past = self._journal.past.runs.get(number)
        return number in self._ids or (past is not None and past.begun is not None)

    def _take(self, number: int, entry: Entry) -> None:
        if entry.kind == "begun":
            if number not in self._errors:
                described = Description.read(entry.fields, self._journal.files)
                self._begin(number, described, self._is_known(number))
        elif number not in self._open:
            pass  # it is behind, or was ended by its last epoch, in which it diverged
        elif entry.kind == "chunk":
            self._add(number, entry)
        else:
            self._end(number, entry.kind, entry.fields)

    def _begin(self, number: int, described: Description, is_resumed: bool) -> StoredRun:
        key, self._names[number] = self._journal.key(number), described.name
        stored = StoredRun(self._tracker, described, key, self._parent_id, is_resumed)
        self._open[number], self._ids[number] = stored, stored.id
        self._journal.note_opened(number, stored.id)
        return stored

    def _add(self, number: int, entry: Entry) -> None:
        stored = self._open[number]
        stored.add(chunk_of(entry), entry.fields["members"])
        if stored.lacks_metrics:
            raise _LACKS_METRICS

    def _end(self, number: int, kind: str, fields: Mapping[str, Any]) -> None:
        """End a run as a record says; note that the store has all of it, if it has."""
        stored = self._open[number]
        self._give_model(number)
        if kind == "ended" and fields["status"] == "finished":
            stored.add_test(fields["test"], fields["tested_at"])
            stored.finish()
        elif fields["status"] == "FAILED":
            stored.fail(fields["reason"], fields["traceback"])
        else:
            error = Diverged(int(fields["step"])) if kind == "ended" else KeyboardInterrupt()
            stored.close(error)
            if notes := getattr(error, "__notes__", None):
                raise StoreError(notes[0])
        del self._open[number]
        if stored.lacks_metrics:
            self._errors[number], self._has_lacked = _LACKS_METRICS, True
        else:
            self._errors.pop(number, None)
            self._journal.note_stored(number, self._copy)

    def _give_model(self, number: int) -> None:
        """Hand over the model of a run, if it waits and the run is open."""
        if number in self._models and number in self._open:
            self._open[number].add_model(*self._models[number])
            del self._models[number]
            self._kept.drop(self._journal.key(number))

    def _leave(self, number: int, error: Exception) -> None:
        """Let a run be behind; say why, once. What no store could take ends it there as well, as FAILED."""
        stored = self._open.pop(number, None)
        if stored is not None:
            attempt(error, stored.leave if isinstance(error, StoreError) else partial(stored.close, error))
        self._errors[number], self._has_lacked = error, True
        if isinstance(error, StoreError) and not (self._is_told or error is _LACKS_METRICS):
            self._is_told = True
            sys.stderr.write(
                f"warning: {self._names[number]}: {str(error).rstrip('.')}. What the store lacks is in the "
                "journal; it is given another time.\n"
            )

    def _give(self, number: int, past: Past, is_last: bool) -> bool:
        """Begin again a run that is behind; say whether the store has now all of it that was noted."""
        run = past.runs.get(number)
        assert run is not None  # noqa: S101 - all that was noted of it is there
        try:
            stored = self._begin(number, self._describe(run), is_resumed=True)
            for place in run.places:
                entry = self._journal.read(place)
                if is_last:
                    stored.add(chunk_of(entry), entry.fields["members"])
                else:
                    self._add(number, entry)
            self._given[number] = past.end
            if how := run.ended or run.stopped:
                self._end(number, "stopped" if run.ended is None else "ended", how)
            else:
                del self._errors[number]
        except Exception as error:
            self._leave(number, error)
        return number not in self._errors

    def _describe(self, run: PastRun) -> Description:
        """Return what a run says about itself, but that this program records it now."""
        assert run.begun is not None  # noqa: S101 - only such ones are given
        tags = {**run.begun["tags"], PROGRAM: this_program(self._journal.path).write()}
        return Description.read({**run.begun, "tags": tags}, {})
