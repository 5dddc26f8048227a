"""What a tracker and a run can do, whatever is behind them: MLflow, or nothing. Nobody asks which it is."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from rich.text import Text

from ratelab.tracking.recorded import Recorded

if TYPE_CHECKING:
    import keras


class Run(Protocol):
    """One run, open as long as the block of `Tracker.run`.

    Each method but `metrics` returns when what it was given is stored. A store that takes nothing for the
    moment is waited for, two minutes at most; then they raise `StoreError`.

    Attributes:
        id: what the store calls it; empty where nothing is tracked.
        name: what people see.
        lacks_metrics: whether some of its metrics could not be stored, of which the user has been warned.
    """

    id: str
    name: str
    lacks_metrics: bool

    def metrics(self, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray) -> None:
        """Hand points of one metric over; return at once unless those that wait are very many.

        Where the store, after all patience, does not take them, the user is warned, and the rest is dropped.

        Args:
            key: the metric.
            steps: integers, one a point.
            values: numbers, one a point; NaN and infinities are allowed.
            timestamps: milliseconds since 1970, one a point.

        Raises:
            ValueError: the arrays do not belong together, or the store would refuse the name.
        """

    def artifact_text(self, text: str, path: str) -> None:
        """Keep `text` as the artifact `path`."""

    def artifact(self, local_path: Path, folder: str | None = None) -> None:
        """Keep a file, or all that a folder holds, under `folder` of the artifacts."""

    def log_keras_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Keep the model as "model", with the signature that `example` (first axis: batch) gives it."""

    def tag(self, key: str, text: str) -> None:
        """Set a tag; one that cannot be set is a warning."""

    def warn(self, what: str, error: Exception) -> None:
        """Say that `what` could not be kept, and why; the run goes on and may end as FINISHED."""

    def fail(self, reason: str, traceback_text: str) -> None:
        """Mark the run as failed although its block goes on; it becomes FAILED when the block ends."""

    def leave(self) -> None:
        """Let the store have it as it is when the block ends: it is opened again, by its key."""


class Tracker(Protocol):
    """The way to the store, one a process; `with` stores everything before it ends.

    Attributes:
        uri: of the store, as `prepare_store` returned it; empty where nothing is tracked.
        is_lost: whether the store was waited for in vain and has taken nothing since, or it is given up.
    """

    uri: str

    @property
    def is_lost(self) -> bool:
        """Say it; nothing is asked of the store."""

    @property
    def seconds_asked(self) -> float:
        """For how long the store has not answered the oldest question that is open; 0 if none is."""

    def run(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        key: str | None = None,
        is_resumed: bool = False,
        parent_id: str | None = None,
    ) -> AbstractContextManager[Run]:
        """Open a run for a `with` block; when the block has ended, everything is stored, then the status.

        Args:
            name: what people see.
            params: logged at once; what the store would cut or refuse is also kept in full, in the artifact
                `params_full.json`.
            tags: set in the same step; kept in full as `tags_full.json`.
            key: by it this run is found again, for no other has it; None: nobody will ask.
            is_resumed: a run that the store has under this key goes on; else a new one begins.
            parent_id: the run that this one is a child of.

        Raises:
            BaseException: whatever left the block, after the run has been marked as FAILED or KILLED.
        """

    def has_run(self, key: str) -> bool:
        """Say whether the store has a run under this key, not deleted; True where nothing is tracked."""

    def links(self, run_ids: Sequence[str], sweep_id: str | None) -> list[Text]:
        """Return the lines to print that say where these runs, and no others, are seen side by side.

        Args:
            run_ids: the runs, as in `Run.id`.
            sweep_id: the sweep that they are all of, if they are of one.

        Returns:
            What to do, then links, one a line; nothing where nothing is tracked. Nothing is asked of the
            store.
        """

    def find_runs(self, sweep_id: str) -> Recorded | None:
        """Return the runs of a sweep as the store has them, once everything written so far is stored.

        Returns:
            None where nothing is tracked.

        Raises:
            UserError: the store holds no run of this sweep.
            Exception: as `flush` does.
        """

    def give_up(self) -> None:
        """Wait for the store no more from now on: what it does not take at once it is given another day."""

    def flush(self) -> None:
        """Return when every metric written so far is stored.

        Raises:
            Exception: what kept those of a run from being stored, if nobody was told yet.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store the rest and stop; an error in that is raised, or becomes a note of the one on its way."""


class Diverged(Exception):  # noqa: N818 - it names what happened to the run
    """The loss of a run became NaN or infinite.

    Args:
        step: the first step where it was so.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


def now_ms() -> int:
    """Return the time as MLflow counts it, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
