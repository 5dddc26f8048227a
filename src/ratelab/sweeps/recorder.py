"""The runs of a sweep on their way: workers train them in stacks, and here each is recorded as it comes."""

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ratelab.comparison import Result
from ratelab.report import schedule_lines
from ratelab.runs.job_of import plan
from ratelab.runs.planned import Assignment
from ratelab.runs.record import Recording, unfinished
from ratelab.runs.session import Session
from ratelab.runtime import devices
from ratelab.sweeps.resources import Team
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Event, Member, Started
from ratelab.tracking import Diverged
from ratelab.validation import UserError

if TYPE_CHECKING:
    import keras

__all__ = ["Conductor", "TrainingFailed"]


class TrainingFailed(RuntimeError):  # noqa: N818 - it names what happened to the run
    """A run broke in its worker; the note is the traceback from there."""


class Conductor:
    """Trains nothing before the first result is asked for; then records all runs in the order they come.

    Args:
        assignments: the runs of the sweep.
        session: where they belong.
        team: the workers.

    Attributes:
        order: the numbers of the jobs, those first whose results come first.
    """

    def __init__(self, assignments: Sequence[Assignment], session: Session, team: Team) -> None:
        self._assignments = {assignment.number: assignment for assignment in assignments}
        self._session = session
        self._stacks = team.cut([_member(assignment) for assignment in assignments])
        self._workers = team.start(self._stacks)
        self.order = [number for stack in self._stacks for number in stack.numbers]
        self._events: Iterator[Event] | None = None
        self._recordings: dict[int, Recording] = {}
        self._results: dict[int, Result] = {}
        self._errors: dict[int, Exception] = {}
        self._stack = contextlib.ExitStack()

    @property
    def results(self) -> list[Result]:
        """Of the runs that ended, in the order of the jobs."""
        return [self._results[number] for number in sorted(self._results)]

    def result(self, number: int) -> Result:
        """Record what comes until run `number` has ended; return its result.

        Raises:
            UserError: for a mistake that showed only in the worker, such as a model that does not fit.
            TrainingFailed: for any other error there.
            Exception: for an error in recording the run.
        """
        if self._events is None:
            self._events = self._start()
        while number not in self._results:
            self._record(next(self._events))
        if number in self._errors:
            raise self._errors[number]
        return self._results[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what has come so far if something ended the sweep early; stop the workers."""
        try:
            if error is not None and self._events is not None:
                for event in self._workers.stop():
                    self._record(event)
        finally:
            self._stack.close()
            for recording in self._recordings.values():
                recording.close(error or RuntimeError("the sweep ended before this run"))

    def _start(self) -> Iterator[Event]:
        """Start the workers, then whatever can be done while they import."""
        workers = self._stack.enter_context(self._workers)
        assignments = self._assignments.values()
        self._session.begin(len(assignments), sum(assignment.steps for assignment in assignments))
        for assignment in assignments:
            if assignment.config.print_schedule:
                rates = plan(assignment.config).rates.table
                self._session.console.print(
                    "\n".join([assignment.name, *schedule_lines(rates)]), highlight=False
                )
        return iter(workers)

    def _record(self, event: Event) -> None:
        """Take note of an event; what goes wrong is an error of its run."""
        if isinstance(event, Started):
            self._open(event)
            return
        recording = self._recordings.get(event.number)
        if recording is None:  # comes again from a stack that is trained once more
            return
        try:
            if isinstance(event, Epoch):
                self._add(event, recording)
            elif isinstance(event, Ended):
                recording.finish(event.test, self._model(event))
                self._end(event, recording)
            else:
                raise _error(event)
        except Exception as error:
            recording.close(error)
            self._end(event, recording)
            if not isinstance(error, Diverged):
                self._fail(event.number, error)

    def _add(self, event: Epoch, recording: Recording) -> None:
        if event.chunk.epoch == recording.epochs:
            self._session.progress.advance(event.worker, len(event.chunk.train_loss))
            recording.add(event.chunk)

    def _open(self, event: Started) -> None:
        """Open the runs of a stack that has begun."""
        runs = [self._assignments[number] for number in event.stack.numbers if number not in self._results]
        name = ", ".join(run.labels.group for run in runs) + f" seed={runs[0].config.seed}"
        done = sum(self._recordings[run.number].steps for run in runs if run.number in self._recordings)
        self._session.progress.start(event.worker, name, sum(run.steps for run in runs) - done)
        for run in runs:
            if run.number in self._recordings:
                continue
            try:
                self._recordings[run.number] = Recording(run, self._session)
            except Exception as error:
                self._results[run.number] = unfinished(run)
                self._fail(run.number, error)

    def _end(self, event: Epoch | Ended | Broke, recording: Recording) -> None:
        del self._recordings[event.number]
        self._results[event.number] = recording.result
        missing = self._assignments[event.number].steps - recording.steps
        self._session.progress.end(event.worker, missing)

    def _fail(self, number: int, error: Exception) -> None:
        self._errors[number] = error
        self._session.fail_parent(error)

    def _model(self, event: Ended) -> "keras.Model | None":
        """Build the model here, if it is to be logged."""
        if event.weights is None:
            return None
        config = self._assignments[event.number].config
        devices.configure(config.device)
        model: keras.Model = plan(config).build_model()
        model.set_weights(event.weights)
        return model


def _member(assignment: Assignment) -> Member:
    kind = f"{assignment.program_key} {assignment.steps}"
    return Member(assignment.number, assignment.config, kind, assignment.environment)


def _error(event: Broke) -> Exception:
    if not event.traceback:
        return UserError(event.message)
    error = TrainingFailed(event.message)
    error.add_note(event.traceback)
    return error
