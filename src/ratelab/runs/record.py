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
from ratelab.runs.feed import Feed
from ratelab.runs.journal import RunJournal
from ratelab.runs.models import Models
from ratelab.runs.planned import PlannedRun
from ratelab.runtime import devices
from ratelab.runtime.signals import held_back
from ratelab.tracking import Diverged, now_ms, status_after
from ratelab.tracking.names import metric_name
from ratelab.training import Chunk

if TYPE_CHECKING:
    import keras


class RunRecord:
    """Takes the chunks of a run, then its result; must be closed, whatever happens.

    Each chunk is in the journal before the store is given it, for which nobody waits. What the journal has of
    the run from before, it takes first: the store gets all of it once more, for it may lack some, and
    training goes on from there.

    As a context manager it closes itself, and lets every error pass but a divergence, which is a result. What
    is noted is given to the store as well: a signal is raised before both or after both.

    Args:
        planned: the run.
        feed: gives the store what is noted.
        journal: its part of the program's.
        members: the numbers of the runs that it is to train with, itself among them; none for a single run.
    """

    def __init__(
        self, planned: PlannedRun, feed: Feed, journal: RunJournal, members: Sequence[int] = ()
    ) -> None:
        self._planned, self._feed, self._journal = planned, feed, journal
        self._models = Models(journal.path.parent)
        self._number, self._members = planned.number, tuple(members)
        self._course, self._differs, self._has_ended = Course(planned), False, False
        described = description.describe(planned, self._members, journal.path)
        feed.begin(self._number, journal.note_begun(described, description.store_of(planned)))
        for place, chunk in journal.chunks():
            self._course.add(chunk)
            feed.take(self._number, place)

    @property
    def result(self) -> Result:
        """How the run ended; "failed" until it is known better; what the store has of it is known later."""
        return replace(self._course.result, run_id=self._feed.id_of(self._number))

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
        """Let it be recorded from now on with which runs it is trained."""
        self._members = tuple(members)

    @held_back()
    def add(self, chunk: Chunk) -> None:
        """Record an epoch.

        Raises:
            Diverged: if the loss is not finite at its end; all of it has been recorded.
            ValueError: no store could take what was measured, such as a metric of an impossible name.
        """
        self._feed.check(self._number)
        if not self.epochs:
            for name in chunk.measured:
                metric_name(name)
        self._course.add(chunk)
        self._feed.take(self._number, self._journal.note_chunk(chunk, self._members))
        if chunk.diverged_step is not None:
            raise Diverged(chunk.diverged_step)

    def finish(
        self,
        test: Mapping[str, float] | None,
        build_model: "Callable[[], keras.Model] | None" = None,
    ) -> None:
        """Record what the test split gave, if known, and the model, if it is wanted; then close.

        The model outlives this program before the run has ended. One that cannot be built or saved is a
        warning.
        """
        tested_at = self._journal.note_tested(now_ms())
        if build_model is not None:
            self._give_model(build_model)
        with held_back():
            self._course.finish(test)
            self._has_ended = True
            ended = self._journal.note_ended(status="finished", test=test, tested_at=tested_at)
            self._feed.take(self._number, ended)

    def _give_model(self, build_model: "Callable[[], keras.Model]") -> None:
        try:
            with held_back():  # see `single`
                model = build_model()
                self._models.save(self._journal.key, model)
        except Exception as error:
            self._feed.warn(self._number, "the model", error)
        else:
            self._feed.take_model(self._number, model, self._example())

    def _example(self) -> np.ndarray:
        """Return one example as the model sees it."""
        data = self._planned.job.data
        example = data.test.inputs[:1]
        if data.scale is not None:
            return (example * np.float32(data.scale)).astype(np.float32)
        return example.astype(np.float32 if np.issubdtype(example.dtype, np.floating) else np.int32)

    @held_back()
    def close(self, error: BaseException) -> None:
        """Record that `error` ended the run; nothing if it has been closed before."""
        if self._has_ended:
            return
        self._has_ended = True
        if isinstance(error, Diverged):
            noted = self._journal.note_ended(status="diverged", step=error.step)
        else:
            noted = self._journal.note_stopped(status_after(error), error)
        self._feed.take(self._number, noted)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.close(error)
        return isinstance(error, Diverged)


def restore(planned: PlannedRun, feed: Feed, journal: RunJournal) -> Result:
    """Return the result of a run that had ended before; give the store all of it, if it may lack some.

    Args:
        planned: the run, as it was planned then.
        feed: gives the store what is noted.
        journal: its part, which says how it ended; beside it is its model, if the store may lack that.
    """
    past = journal.past
    assert past is not None  # noqa: S101 - it has ended
    assert past.ended is not None  # noqa: S101 - the same
    models = Models(journal.path.parent)
    has_model = models.has(journal.key)
    if past.is_stored and not has_model:
        course = Course(planned)
        for _, chunk in journal.chunks():
            course.add(chunk)
        if past.ended["status"] == "finished":
            course.finish(past.ended["test"])
        return replace(course.result, run_id=past.run_id)

    def build_model() -> "keras.Model":
        devices.configure(planned.config.device)
        return models.load(journal.key, planned.job.build_model())

    with RunRecord(planned, feed, journal, past.members or ()) as record:
        if past.ended["status"] == "diverged":
            raise Diverged(int(past.ended["step"]))
        record.finish(past.ended["test"], build_model if has_model else None)
    return record.result


def describe_look(planned: PlannedRun, chunk: Chunk) -> str:
    """Return what judges the run, as it was after an epoch, in a word or two.

    It is on the validation split.
    """
    outcome = description.outcomes_of(planned).judging
    return f"val {write_value(outcome, chunk.validation[outcome.metric])}"
