"""The record of one run: every step as it comes, the result, where it comes from; sound however it ends."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from ratelab.comparison import Result, write_value
from ratelab.runs import description
from ratelab.runs.course import Course
from ratelab.runs.journal import RunJournal
from ratelab.runs.planned import PlannedRun
from ratelab.runs.stored import StoredRun
from ratelab.runtime import lost_metrics
from ratelab.runtime.signals import held_back
from ratelab.tracking import Diverged, Tracker, now_ms, status_after
from ratelab.training import Chunk

if TYPE_CHECKING:
    import keras


class RunRecord:
    """Opens the run in the store; takes its chunks, then its result; must be closed, whatever happens.

    Each chunk is in the journal before the store sees it. What the journal has of the run from before, it
    takes first: the store gets all of it once more, for it may lack some, and training goes on from there.

    As a context manager it closes itself, and lets every error pass but a divergence, which is a result.

    Args:
        planned: the run.
        tracker: where it is recorded.
        journal: its part of the program's.
        parent_id: the run of the sweep that it belongs to.
        members: the numbers of the runs that it is to train with, itself among them; none for a single run.

    Raises:
        Exception: whatever the store raises; the run, if it was made, is then FAILED.
    """

    def __init__(
        self,
        planned: PlannedRun,
        tracker: Tracker,
        journal: RunJournal,
        parent_id: str | None = None,
        members: Sequence[int] = (),
    ) -> None:
        self._planned, self._journal, self._members = planned, journal, tuple(members)
        self._course, self._differs, self._has_ended = Course(planned), False, False
        described = description.describe(planned, self._members, journal.path)
        journal.note_begun(described, description.store_of(planned))
        self._stored = StoredRun(tracker, described, journal.key, parent_id, journal.past is not None)
        try:
            journal.note_opened(self._stored.id)
            for chunk in journal.chunks():
                self._store(chunk)
        except BaseException as error:
            self._stored.close(error)
            raise

    @property
    def result(self) -> Result:
        """How the run ended; "failed" until it is known better."""
        stored = self._stored
        return replace(self._course.result, run_id=stored.id, lacks_metrics=stored.lacks_metrics)

    @property
    def epochs(self) -> int:
        """How many epochs it has recorded."""
        return self._course.epochs

    @property
    def members(self) -> tuple[int, ...]:
        """The numbers of the runs that it is trained with, itself among them; none for a single run."""
        return self._members

    @property
    def steps(self) -> int:
        """How many updates it has recorded."""
        return self._course.steps

    def is_new(self, chunk: Chunk) -> bool:
        """Say whether an epoch comes for the first time; one that comes again is compared with the first.

        It comes again where a stack is trained once more, after a death of its worker or of the program.
        """
        if chunk.epoch >= self._course.epochs:
            return True
        if not self._differs and not self._journal.is_repeated(chunk):
            self._differs = True
            sys.stderr.write(
                f"warning: {self._planned.name}: epoch {chunk.epoch + 1} came out otherwise when it was "
                "trained again; kept is what was recorded first. docs/reliability.md says why.\n"
            )
        return False

    def note_members(self, members: Sequence[int]) -> None:
        """Record with which runs it is trained, if these are others than was planned."""
        if tuple(members) != self._members:
            self._members = tuple(members)
            self._stored.note_members(members)

    def add(self, chunk: Chunk) -> None:
        """Record an epoch.

        Raises:
            Diverged: if the loss is not finite at its end; all of it has been recorded.
        """
        self._journal.note_chunk(chunk, self._members)
        self._store(chunk)
        if chunk.diverged_step is not None:
            raise Diverged(chunk.diverged_step)

    def _store(self, chunk: Chunk) -> None:
        """Take an epoch and hand it over to the store."""
        self._course.add(chunk)
        self._stored.add(chunk)

    def finish(
        self,
        test: Mapping[str, float] | None,
        build_model: "Callable[[], keras.Model] | None" = None,
    ) -> None:
        """Record what the test split gave, if known, and the model, if it is wanted; then close.

        A model that cannot be built or saved, as a table that cannot be kept, is a warning.

        Raises:
            StoreError: the store does not take that the run has finished; its result is known all the same.
        """
        self._stored.add_test(test, self._journal.note_tested(now_ms()))
        if build_model is not None:
            with self._stored.keeping("the model"):
                with held_back():  # see `single`
                    model = build_model()
                self._stored.add_model(model, self._example())
        # before the store is told, which may not take it: the run has trained all the same
        self._course.finish(test)
        self._journal.note_ended(status="finished", test=test)
        self._has_ended = True
        self._stored.finish()
        self._note_stored()

    def _example(self) -> np.ndarray:
        """Return one example as the model sees it."""
        data = self._planned.job.data
        example = data.test.inputs[:1]
        if data.scale is not None:
            return (example * np.float32(data.scale)).astype(np.float32)
        return example.astype(np.float32 if np.issubdtype(example.dtype, np.floating) else np.int32)

    def close(self, error: BaseException) -> None:
        """Record that `error` ended the run; nothing if it has been closed before."""
        if self._has_ended:
            return
        self._has_ended = True
        if isinstance(error, Diverged):
            self._journal.note_ended(status="diverged", step=error.step)
        else:
            self._journal.note_stopped(status_after(error), error)
        self._stored.close(error)
        if isinstance(error, Diverged):
            self._note_stored()
        self._note_lacking()

    def _note_stored(self) -> None:
        self._note_lacking()
        if not self._stored.lacks_metrics:
            self._journal.note_stored()

    def _note_lacking(self) -> None:
        lost_metrics.note_run(self._stored.id, self._stored.lacks_metrics, self._journal.path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.close(error)
        return isinstance(error, Diverged)


def restore(
    planned: PlannedRun, tracker: Tracker, journal: RunJournal, parent_id: str | None = None
) -> Result:
    """Return the result of a run that had ended before; give the store all of it, if it may lack some.

    Args:
        planned: the run, as it was planned then.
        tracker: where it is recorded.
        journal: its part, which says how it ended.
        parent_id: the run of the sweep that it belongs to.
    """
    past = journal.past
    assert past is not None  # noqa: S101 - it has ended
    assert past.ended is not None  # noqa: S101 - the same
    if past.is_stored:
        course = Course(planned)
        for chunk in journal.chunks():
            course.add(chunk)
        if past.ended["status"] == "finished":
            course.finish(past.ended["test"])
        return replace(course.result, run_id=past.run_id)
    with RunRecord(planned, tracker, journal, parent_id, past.members or ()) as record:
        if past.ended["status"] == "diverged":
            raise Diverged(int(past.ended["step"]))
        record.finish(past.ended["test"])
    return record.result


def describe_look(planned: PlannedRun, chunk: Chunk) -> str:
    """Return what judges the run, as it was after an epoch, in a word or two.

    It is on the validation split.
    """
    outcome = description.outcomes_of(planned).judging
    return f"val {write_value(outcome, chunk.validation[outcome.metric])}"
