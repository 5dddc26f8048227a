"""The store's side of a run: it is opened, given epochs and what was measured at the end, and ended."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ratelab.runs import description
from ratelab.runs.description import Description
from ratelab.runs.steps_file import StepsFile
from ratelab.tracking import Diverged, StoreError, Tracker, warn_of_loss
from ratelab.tracking.checksums import CHECKSUMS, Checksums
from ratelab.training import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras


class StoredRun:
    """A run in the store from its description to its end; must be ended or left, whatever happens.

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
        self._steps, self._seconds = StepsFile(), 0.0
        self._rate_every, self._loss_every = described.rate_every, described.loss_every
        self._tracker = tracker
        self._last: Chunk | None = None
        self._members = described.tags.get("stack", "")
        self._is_left = False
        self._sums = Checksums(described.params, described.tags)
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
            stack.enter_context(self._keep_steps())
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

    def tag(self, key: str, text: str) -> None:
        """Set a tag."""
        self._run.tag(key, text)

    def warn(self, what: str, error: Exception) -> None:
        """Say, also in the store, that `what` could not be kept."""
        self._run.warn(what, error)

    def add(self, chunk: Chunk, members: "Sequence[int]") -> None:
        """Give an epoch: the rates and losses that are wanted, the validation where it was measured.

        Wanted are every n-th rate and the last, and every n-th loss. Where the batch grows, `batch_size` and
        `examples_seen` go with the rates; else `batch_size` is a parameter, and the examples seen after a
        step are (step + 1) * batch_size.

        Args:
            chunk: the epoch.
            members: the numbers of the runs that it was trained with.
        """
        if (written := description.write_members(members)) != self._members:
            self._members = written
            self._run.tag("stack", written)
        self._last, self._seconds = chunk, self._seconds + chunk.seconds
        self._steps.add(chunk)
        metrics = self._run.metrics
        shown = chunk.steps % self._rate_every == 0
        shown[-1] = True
        for key, values in chunk.applied.items():
            metrics(key, chunk.steps[shown], values[shown], chunk.timestamps[shown])
        shown = chunk.steps % self._loss_every == 0
        metrics("train_loss", chunk.steps[shown], chunk.train_loss[shown], chunk.timestamps[shown])
        if chunk.diverged_step is None:
            look = {**chunk.measured, "train_seconds": self._seconds}
            for key, value in look.items():
                metrics(key, chunk.steps[-1:], np.array([value]), chunk.timestamps[-1:])
            self._sum_up(chunk, look)

    def add_test(self, test: Mapping[str, float] | None, when: int) -> None:
        """Give what was measured on the test split, if it was, and when, in milliseconds since 1970."""
        assert self._last is not None  # noqa: S101 - a run has at least one epoch
        for name, value in (test or {}).items():
            self._run.metrics(f"test_{name}", self._last.steps[-1:], np.array([value]), np.array([when]))
            self._sums.put(f"test_{name}", value)

    def add_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Give its model, with the signature that `example` (first axis: batch) gives it.

        Raises:
            StoreError: the store is gone; that it refuses a model which it was given is a warning.
        """
        try:
            self._run.log_keras_model(model, example)
        except Exception as error:
            if isinstance(error, StoreError) and self._tracker.is_lost:
                raise
            self._run.warn("the model", error)

    def finish(self) -> None:
        """End it as FINISHED.

        Raises:
            StoreError: the store does not take that.
        """
        self._run.tag(CHECKSUMS, self._sums.write())
        self._stack.close()

    def fail(self, reason: str, traceback: str) -> None:
        """End it as FAILED."""
        self._run.fail(reason, traceback)
        self._stack.close()

    def close(self, error: BaseException) -> None:
        """End it by `error`, of which what the store does not take of that becomes a note."""
        if isinstance(error, Diverged):  # a result as well
            self._run.tag(CHECKSUMS, self._sums.write(diverged_step=str(error.step)))
        self._stack.__exit__(type(error), error, error.__traceback__)

    def leave(self) -> None:
        """Let it be as it is in the store, for it is opened again; nothing more is given here."""
        self._is_left = True
        self._run.leave()
        self._stack.close()

    def _sum_up(self, chunk: Chunk, look: Mapping[str, float]) -> None:
        """Add the checksums of what a comparison reads of an epoch."""
        step, applied = int(chunk.steps[-1]), chunk.applied
        if "examples_seen" in applied:
            look = {**look, "examples_seen": applied["examples_seen"][-1]}
        for key, value in look.items():
            self._sums.add(key, step, value)
        self._sums.put("learning_rate", applied["learning_rate"][-1])

    @contextlib.contextmanager
    def _keep_steps(self) -> Iterator[None]:
        """Keep the steps collected as the artifact steps.parquet, however the block ends."""
        with contextlib.closing(self._steps):
            try:
                yield
            finally:
                with warn_of_loss(self._run, "steps.parquet"):
                    if not self._is_left and (path := self._steps.finish()) is not None:
                        self._run.artifact(path)
