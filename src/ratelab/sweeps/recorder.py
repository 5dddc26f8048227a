"""The runs of a sweep on their way from the workers that train them into their records."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from omegaconf import DictConfig

from ratelab.comparison import Result
from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.feed import Feed
from ratelab.runs.journal import Journal
from ratelab.runs.planned import PlannedRun
from ratelab.runs.record import RunRecord, describe_look
from ratelab.runtime import devices
from ratelab.runtime.endings import clean_up
from ratelab.runtime.progress import Reporter
from ratelab.runtime.signals import raise_if_told_to_stop
from ratelab.sweeps.resources import Workers
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Event, Saved, Started
from ratelab.tracking import Diverged
from ratelab.validation import UserError

if TYPE_CHECKING:
    import keras


class TrainingFailed(RuntimeError):  # noqa: N818 - it names what happened to the run
    """A run broke in its worker; the note is the traceback from there."""


class Recorder:
    """Records what the workers report, in the order in which it comes; used as a context manager.

    Args:
        runs: of the sweep.
        workers: who train them; already started.
        feed: gives the store what is noted.
        journal: where they are noted before.
        checkpoints: of the sweep.
        ended: the results of runs that need no training, by their numbers.
        progress: is told how far they are.
        fail: is told of every run that failed.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        workers: Workers,
        feed: Feed,
        journal: Journal,
        checkpoints: Checkpoints,
        ended: Mapping[int, Result],
        progress: Reporter,
        fail: Callable[[Exception], None],
    ) -> None:
        self._runs = {run.number: run for run in runs}
        self._workers, self._events = workers, iter(workers)
        self._feed, self._progress, self._tell_failure = feed, progress, fail
        self._records: dict[int, RunRecord] = {}
        self._journal, self._checkpoints, self._results = journal, checkpoints, dict(ended)
        self._errors: dict[int, Exception] = {}

    @property
    def results(self) -> dict[int, Result]:
        """Of the runs that ended, by their numbers."""
        return self._results

    def await_run(self, run: PlannedRun, cfg: DictConfig) -> Result:
        """Record what comes until `run` has ended; return its result.

        This is the body of its job in Hydra: so the result of a run that a worker has trained reaches the
        function under `@hydra.main`, which gets this as its argument `run`.

        Args:
            run: one of the sweep's.
            cfg: what that function hands on; the worker trains what Hydra has composed.

        Raises:
            UserError: if `cfg` is not what was composed, and for a mistake that showed only in the worker,
                such as a model that does not fit.
            TrainingFailed: for any other error there.
            Exception: for an error in recording the run.
        """
        if not run.is_of(cfg):
            raise UserError(
                f"{run.name}: the configuration was changed after Hydra had composed it, but a sweep is "
                "trained as composed; give the change as an override, or choose hydra/launcher=basic."
            )
        raise_if_told_to_stop()  # what a signal raised in another job may have been swallowed there
        while run.number not in self._results:
            self._record(next(self._events))
        if run.number in self._errors:
            raise self._errors[run.number]
        return self._results[run.number]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what has come so far if something ended the sweep early; end every record."""
        if error is None:
            self._close_all(RuntimeError("the sweep ended before this run"))
        else:
            clean_up(error, self._record_rest, partial(self._close_all, error))

    def _record_rest(self) -> None:
        for event in self._workers.stop():
            self._record(event)

    def _close_all(self, error: BaseException) -> None:
        clean_up(error, *(partial(record.close, error) for record in self._records.values()))

    def _record(self, event: Event) -> None:
        """Take note of an event; what goes wrong is an error of its run."""
        if isinstance(event, Started):
            self._open(event)
            return
        if isinstance(event, Saved):
            self._save(event)
            return
        record = self._records.get(event.number)
        if record is None:  # comes again from a stack that is trained once more
            return
        try:
            if isinstance(event, Epoch):
                self._add(event, record)
            elif isinstance(event, Ended):
                wanted = event.weights is not None
                record.finish(event.test, partial(self._build_model, event) if wanted else None)
                self._end(event, record)
            else:
                raise _error_of(event)
        except Exception as error:
            record.close(error)
            self._end(event, record)
            if not isinstance(error, Diverged):
                self._fail(event.number, error)

    def _add(self, event: Epoch, record: RunRecord) -> None:
        """Record an epoch, unless it comes again from a stack that is trained once more."""
        if record.is_new(event.chunk):
            self._feed.check(event.number)  # here, for the progress counts only what is recorded
            look = describe_look(self._runs[event.number], event.chunk)
            self._progress.advance(event.worker, event.chunk, look)
            record.note_members(event.members)
            record.add(event.chunk)

    def _save(self, event: Saved) -> None:
        """Keep a checkpoint, if all that it goes on behind has been noted."""
        going = [self._records[number] for number in event.members if number in self._records]
        if going and all(record.epochs >= event.checkpoint.epochs for record in going):
            self._checkpoints.save(event.members, event.checkpoint)

    def _open(self, event: Started) -> None:
        """Open the runs of a stack that has begun."""
        runs = [self._runs[number] for number in event.stack.numbers if number not in self._results]
        if not runs:  # its worker died when all of them had ended
            return
        name = runs[0].name
        if len(runs) > 1:  # the seed stands first, for a terminal cuts a long name at its end
            name = f"seed={runs[0].config.seed}: {', '.join(run.labels.group for run in runs)}"
        self._progress.start(event.worker, name, runs[0].pace, sum(map(self._count_left, runs)))
        for run in runs:
            if run.number in self._records:
                continue
            own = self._journal.of(run.number)
            self._records[run.number] = RunRecord(run, self._feed, own, event.stack.numbers)

    def _count_left(self, run: PlannedRun) -> int:
        """Return how many updates of a run have not been recorded."""
        record = self._records.get(run.number)
        return run.steps - (self._journal.of(run.number).steps if record is None else record.steps)

    def _end(self, event: Epoch | Ended | Broke, record: RunRecord) -> None:
        # Gone from here, it takes nothing any more of a stack that is trained once more.
        del self._records[event.number]
        self._results[event.number] = record.result
        if all(number in self._results for number in record.members):
            self._checkpoints.drop(record.members)
        missing = self._runs[event.number].steps - record.steps
        self._progress.end(event.worker, missing)

    def _fail(self, number: int, error: Exception) -> None:
        self._errors[number] = error
        self._tell_failure(error)

    def _build_model(self, event: Ended) -> "keras.Model":
        """Build the model here: workers send weights, not models."""
        run = self._runs[event.number]
        devices.configure(run.config.device)
        model: keras.Model = run.job.build_model()
        model.set_weights(event.weights)
        return model


def _error_of(event: Broke) -> Exception:
    is_told = event.is_blamed or not event.traceback
    error: Exception = UserError(event.message) if is_told else TrainingFailed(event.message)
    if event.traceback:
        error.add_note(event.traceback)
    return error
