"""Tracking switched off: the interface of `Tracker` and `Run`, nothing behind it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import keras


class NullRun:
    """A run that nobody records.

    Args:
        name: as in `Run`.
    """

    def __init__(self, name: str) -> None:
        self.id = ""
        self.name = name

    def metrics(self, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray) -> None:
        """Do nothing."""

    def params(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Do nothing."""

    def tag(self, key: str, value: Any) -> None:
        """Do nothing."""

    def artifact_text(self, text: str, path: str) -> None:
        """Do nothing."""

    def artifact(self, local_path: Path, folder: str | None = None) -> None:
        """Do nothing."""

    def log_keras_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Do nothing."""

    def fail(self, reason: str, traceback_text: str) -> None:
        """Do nothing."""


class NullTracker:
    """A tracker that keeps nothing, for `tracking=none`."""

    uri = ""
    experiment_id = ""

    @contextmanager
    def run(
        self,
        name: str,
        *,
        params: Mapping[str, Any],  # noqa: ARG002 - the interface of Tracker
        tags: Mapping[str, str],  # noqa: ARG002 - the same
        parent_id: str | None = None,  # noqa: ARG002 - the same
    ) -> Iterator[NullRun]:
        """Let the block run; its exceptions pass."""
        yield NullRun(name)

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""
