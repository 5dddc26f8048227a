"""Tracking switched off: a tracker and runs with nothing behind them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from rich.text import Text

from ratelab.tracking.interface import Run, Tracker

if TYPE_CHECKING:
    import keras


class NullRun(Run):
    """A run that nobody records.

    Args:
        name: what people see.
    """

    def __init__(self, name: str) -> None:
        self.id = ""
        self.name = name
        self.lacks_metrics = False

    def metrics(self, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray) -> None:
        """Do nothing."""

    def artifact_text(self, text: str, path: str) -> None:
        """Do nothing."""

    def artifact(self, local_path: Path, folder: str | None = None) -> None:
        """Do nothing."""

    def log_keras_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Do nothing."""

    def tag(self, key: str, text: str) -> None:
        """Do nothing."""

    def warn(self, what: str, error: Exception) -> None:
        """Do nothing: nothing else is kept either."""

    def fail(self, reason: str, traceback_text: str) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""


class NullTracker(Tracker):
    """A tracker that keeps nothing, for `tracking=none`."""

    uri = ""
    is_lost, seconds_asked = False, 0.0

    @contextmanager
    def run(
        self,
        name: str,
        *,
        params: Mapping[str, Any],  # noqa: ARG002 - the interface
        tags: Mapping[str, str],  # noqa: ARG002 - the same
        key: str | None = None,  # noqa: ARG002 - the same
        is_resumed: bool = False,  # noqa: ARG002 - the same
        parent_id: str | None = None,  # noqa: ARG002 - the same
    ) -> Iterator[Run]:
        """Let the block run; its exceptions pass."""
        yield NullRun(name)

    def has_run(self, key: str) -> bool:  # noqa: ARG002 - the same
        """Say that nothing is missing."""
        return True

    def links(self, run_ids: Sequence[str], sweep_id: str | None) -> list[Text]:  # noqa: ARG002 - the same
        """Return nothing: nobody can see these runs."""
        return []

    def find_runs(self, sweep_id: str) -> None:
        """Return None: no run was recorded."""

    def give_up(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""
