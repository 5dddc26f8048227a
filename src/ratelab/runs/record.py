"""The record of one run: every step as it comes, the result, where it comes from; sound however it ends."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from ratelab.comparison import Measured, Result, write_value
from ratelab.comparison.outcomes import resolve_task
from ratelab.runs import description
from ratelab.runs.planned import PlannedRun
from ratelab.runs.steps_file import StepsFile
from ratelab.runtime import lost_metrics, provenance
from ratelab.runtime.signals import held_back
from ratelab.tracking import Diverged, Run, Tracker, now_ms, warn_of_loss
from ratelab.tracking.names import safe_params
from ratelab.training import Chunk

if TYPE_CHECKING:
    import keras


class RunRecord:
    """Opens the run in the store; takes its chunks, then its result; must be closed, whatever happens.

    As a context manager it closes itself, and lets every error pass but a divergence, which is a result.

    Args:
        planned: the run.
        tracker: where it is recorded.
        parent_id: the run of the sweep that it belongs to.
        members: the numbers of the runs that it is to train with, itself among them; none for a single run.

    Attributes:
        epochs: how many chunks it took.
        steps: how many updates it has recorded.

    Raises:
        Exception: whatever the store raises; the run, if it was made, is then FAILED.
    """

    def __init__(
        self,
        planned: PlannedRun,
        tracker: Tracker,
        parent_id: str | None = None,
        members: Sequence[int] = (),
    ) -> None:
        self.epochs = 0
        self.steps = 0
        self._planned, self._seconds, self._examples = planned, 0.0, 0
        self._file, self._looks = StepsFile(), list[Measured]()
        self._last: Chunk | None = None
        self._members = tuple(members)
        params, tags = description.params(planned), description.tags(planned, self._members)
        # If anything in here raises, the run that was made ends as FAILED and is not left RUNNING.
        with contextlib.ExitStack() as stack:
            opened = tracker.run(planned.name, params=params, tags=tags, parent_id=parent_id)
            self._run = stack.enter_context(opened)
            stack.enter_context(_keep_steps(self._run, self._file))
            with warn_of_loss(self._run, "the description of the run (config.yaml and others)"):
                description.log_files(self._run, planned)
            self._stack = stack.pop_all()  # from here on `finish` or `close` ends the run
        self._ended = replace(begun_result(planned), run_id=self._run.id)

    @property
    def result(self) -> Result:
        """How the run ended; "failed" until it is known better."""
        return replace(self._ended, validation=tuple(self._looks), lacks_metrics=self._run.lacks_metrics)

    def note_members(self, members: Sequence[int]) -> None:
        """Record with which runs it is trained, if these are others than was planned."""
        if tuple(members) != self._members:
            self._members = tuple(members)
            self._run.tag("stack", description.write_members(members))

    def add(self, chunk: Chunk) -> None:
        """Record an epoch: every rate, some losses, the validation at the step where it was measured.

        Where the batch grows, also every `batch_size` and `examples_seen`; else `batch_size` is a parameter,
        and the examples seen after a step are (step + 1) * batch_size.

        Raises:
            Diverged: if the loss is not finite at its end; all of it has been recorded.
        """
        self.epochs += 1
        self._file.add(chunk)
        self._last, self.steps = chunk, self.steps + len(chunk.train_loss)
        self._seconds += chunk.seconds
        shown = chunk.steps % self._planned.config.tracking.train_loss_every == 0
        metrics = self._run.metrics
        for key, values in chunk.applied.items():
            metrics(key, chunk.steps, values, chunk.timestamps)
        metrics("train_loss", chunk.steps[shown], chunk.train_loss[shown], chunk.timestamps[shown])
        if chunk.diverged_step is not None:
            raise Diverged(chunk.diverged_step)
        look = {**chunk.measured, "train_seconds": self._seconds}
        for key, value in look.items():
            metrics(key, chunk.steps[-1:], np.array([value]), chunk.timestamps[-1:])
        self._examples += int(chunk.batch_size.sum())
        value = chunk.validation[self._ended.outcome.metric]
        self._looks.append(Measured(int(chunk.steps[-1]), value, self._seconds, self._examples))

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
        last = self._last
        assert last is not None  # noqa: S101 - a run has at least one epoch
        if test is not None:
            for name, value in test.items():
                self._run.metrics(f"test_{name}", last.steps[-1:], np.array([value]), np.array([now_ms()]))
        if build_model is not None:
            with warn_of_loss(self._run, "the model"):
                with held_back():  # see `single`
                    model = build_model()
                self._run.log_keras_model(model, self._example())
        # before the store is told, which may not take it: the run has trained all the same
        self._ended = replace(
            self._ended,
            status="finished",
            test={} if test is None else dict(test),
            final_rate=float(last.learning_rate[-1]),
        )
        self._stack.close()
        lost_metrics.note_run(self._run.id, self._run.lacks_metrics)

    def _example(self) -> np.ndarray:
        """Return one example as the model sees it."""
        data = self._planned.job.data
        example = data.test.inputs[:1]
        if data.scale is not None:
            return (example * np.float32(data.scale)).astype(np.float32)
        return example.astype(np.float32 if np.issubdtype(example.dtype, np.floating) else np.int32)

    def close(self, error: BaseException) -> None:
        """Record that `error` ended the run; nothing if it has been closed before."""
        if isinstance(error, Diverged):
            self._ended = replace(self._ended, status="diverged", diverged_step=error.step)
        self._stack.__exit__(type(error), error, error.__traceback__)
        lost_metrics.note_run(self._run.id, self._run.lacks_metrics)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.close(error)
        return isinstance(error, Diverged)


@contextlib.contextmanager
def _keep_steps(run: Run, steps: StepsFile) -> Iterator[None]:
    """Keep the steps collected as the artifact steps.parquet, however the block ends."""
    with contextlib.closing(steps):
        try:
            yield
        finally:
            with warn_of_loss(run, "steps.parquet"):
                if (path := steps.finish()) is not None:
                    run.artifact(path)


def begun_result(planned: PlannedRun) -> Result:
    """Return the result of a run that has just begun: "failed" until it is known better."""
    judging = description.outcomes_of(planned).judging
    return Result(
        seed=planned.config.seed,
        choices=resolve_task(planned.labels.choices, judging.metric),
        settings=safe_params(description.params(planned))[0],  # as the store has them
        data_digest=planned.job.data.digest,
        origin=provenance.collect().tags,
        outcome=judging,
    )


def describe_look(planned: PlannedRun, chunk: Chunk) -> str:
    """Return what judges the run, as it was after an epoch, in a word or two.

    It is on the validation split.
    """
    outcome = description.outcomes_of(planned).judging
    return f"val {write_value(outcome, chunk.validation[outcome.metric])}"
