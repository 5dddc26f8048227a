"""What training gives: one chunk for each epoch of each run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Chunk:
    """What one epoch of one run gives; ends early, at the step of the first loss that is not finite.

    Attributes:
        epoch: from 0.
        first_step: number of the first update of this chunk.
        learning_rate: float32[steps], the rates applied.
        train_loss: float32[steps], the loss of each batch, before its update.
        timestamps: int64[steps], milliseconds since 1970, spread evenly over the call.
        validation: "loss" and the metrics of the task on the validation split, after the last update.
        seconds: of training only; in a stack, this run's equal part.
        batch_size: int32[steps], examples in each update.
        examples_seen: int64[steps], examples seen after each update; None where the batches of the run have
            one size, and it is (step + 1) * batch_size.
        momentum: float32[steps], the momenta applied; None where they do not change.
        noise_scale: after the last update, see `Job.noise_scale`.
    """

    epoch: int
    first_step: int
    learning_rate: npt.NDArray[np.float32]
    train_loss: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.int64]
    validation: Mapping[str, float]
    seconds: float
    batch_size: npt.NDArray[np.int32]
    examples_seen: npt.NDArray[np.int64] | None
    momentum: npt.NDArray[np.float32] | None
    noise_scale: float | None

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """int64[steps], the numbers of the updates."""
        return np.arange(self.first_step, self.first_step + len(self.train_loss))

    @property
    def val_loss(self) -> float:
        """The loss on the validation split, after the last update."""
        return self.validation["loss"]

    @property
    def diverged_step(self) -> int | None:
        """The update whose loss, or after which the validation loss, was not finite; None if all is well."""
        # The chunk ends at the first loss that is not finite, so the last one tells of all.
        finite = np.isfinite(self.train_loss[-1]) and np.isfinite(self.val_loss)
        return None if finite else int(self.steps[-1])

    @property
    def applied(self) -> dict[str, npt.NDArray[np.float64]]:
        """What was applied at each update and changes in the run, by the names of the metrics."""
        arrays: dict[str, npt.NDArray[Any]] = {"learning_rate": self.learning_rate}
        if self.momentum is not None:
            arrays["momentum"] = self.momentum
        if self.examples_seen is not None:
            arrays |= {"batch_size": self.batch_size, "examples_seen": self.examples_seen}
        # MLflow stores float64; every float32 is one, so nothing is rounded.
        return {name: values.astype(np.float64) for name, values in arrays.items()}

    @property
    def measured(self) -> dict[str, float]:
        """What was measured after the last update, by the names of the metrics."""
        values = {f"val_{name}": value for name, value in self.validation.items()}
        return values if self.noise_scale is None else values | {"noise_scale": self.noise_scale}
