"""The store's side of a run: it is opened, given epochs and what was measured at the end, and ended."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ratelab.runs import description
from ratelab.runs.description import Description
from ratelab.runs.steps_file import StepsFile
from ratelab.runtime.endings import attempt
from ratelab.tracking import Run, Tracker, warn_of_loss
from ratelab.training import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras


class StoredRun:
    """A run in the store from its description to its end; must be closed, whatever happens.

    What cannot be kept of it but its beginning and its end is a warning.

    Args:
        tracker: where it is recorded.
        described: what it says about itself.
        key: by which it is found again.
        parent_id: the run of the sweep that it belongs to.
        is_resumed: what the store has under this key goes on; all of it is given once more.

    Raises:
        Exception: whatever the store raises; the run, if it was made, is then FAILED.
    """

    def __init__(
        self,
        tracker: Tracker,
        described: Description,
        key: str,
        parent_id: str | None = None,
        is_resumed: bool = False,
    ) -> None:
        self._steps, self._seconds, self._every = StepsFile(), 0.0, described.loss_every
        self._last: Chunk | None = None
        self._half: Chunk | None = None  # that a signal may have left half handed over
        # If anything in here raises, the run that was made ends as FAILED and is not left RUNNING.
        with contextlib.ExitStack() as stack:
            opened = tracker.run(
                described.name,
                params=described.params,
                tags=described.tags,
                parent_id=parent_id,
                key=key,
                is_resumed=is_resumed,
            )
            self._run = stack.enter_context(opened)
            stack.enter_context(_keep_steps(self._run, self._steps))
            with warn_of_loss(self._run, "the description of the run (config.yaml and others)"):
                description.log_files(self._run, described.files)
            self._stack = stack.pop_all()  # from here on `finish` or `close` ends the run

    @property
    def id(self) -> str:
        """What the store calls it."""
        return self._run.id

    @property
    def lacks_metrics(self) -> bool:
        """Whether some of its metrics could not be stored, of which the user has been warned."""
        return self._run.lacks_metrics

    def note_members(self, members: "Sequence[int]") -> None:
        """Say with which runs it is trained, if these are others than was planned."""
        self._run.tag("stack", description.write_members(members))

    def tag(self, key: str, text: str) -> None:
        """Set a tag."""
        self._run.tag(key, text)

    def add(self, chunk: Chunk) -> None:
        """Give an epoch: every rate, some losses, the validation at the step where it was measured.

        Where the batch grows, also every `batch_size` and `examples_seen`; else `batch_size` is a parameter,
        and the examples seen after a step are (step + 1) * batch_size.
        """
        self._last, self._seconds = chunk, self._seconds + chunk.seconds
        self._steps.add(chunk)
        self._half = chunk
        self._hand_over(chunk)
        self._half = None

    def _hand_over(self, chunk: Chunk) -> None:
        """Give the store what an epoch gave; twice changes nothing."""
        shown = chunk.steps % self._every == 0
        metrics = self._run.metrics
        for key, values in chunk.applied.items():
            metrics(key, chunk.steps, values, chunk.timestamps)
        metrics("train_loss", chunk.steps[shown], chunk.train_loss[shown], chunk.timestamps[shown])
        if chunk.diverged_step is None:
            look = {**chunk.measured, "train_seconds": self._seconds}
            for key, value in look.items():
                metrics(key, chunk.steps[-1:], np.array([value]), chunk.timestamps[-1:])

    def add_test(self, test: Mapping[str, float] | None, when: int) -> None:
        """Give what was measured on the test split, if it was, and when, in milliseconds since 1970."""
        assert self._last is not None  # noqa: S101 - a run has at least one epoch
        for name, value in (test or {}).items():
            self._run.metrics(f"test_{name}", self._last.steps[-1:], np.array([value]), np.array([when]))

    @contextlib.contextmanager
    def keeping(self, what: str) -> Iterator[None]:
        """Let it go on, with a warning, without what the block would keep."""
        with warn_of_loss(self._run, what):
            yield

    def add_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Give its model, with the signature that `example` (first axis: batch) gives it."""
        self._run.log_keras_model(model, example)

    def finish(self) -> None:
        """End it as FINISHED.

        Raises:
            StoreError: the store does not take that.
        """
        self._stack.close()

    def fail(self, reason: str, traceback: str) -> None:
        """End it as FAILED."""
        self._run.fail(reason, traceback)
        self._stack.close()

    def close(self, error: BaseException) -> None:
        """End it by `error`; nothing if it has ended before."""
        if self._half is not None:
            attempt(error, partial(self._hand_over, self._half))
            self._half = None
        self._stack.__exit__(type(error), error, error.__traceback__)


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
