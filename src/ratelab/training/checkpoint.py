"""All that a stack of runs needs to go on from the end of an epoch."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ratelab.training.chunks import Chunk

if TYPE_CHECKING:
    from ratelab.training.training import Training


@dataclass(frozen=True)
class Checkpoint:
    """The state of a stack after an epoch. The order of the batches needs none: it is that of the epoch.

    Attributes:
        epochs: how many are done.
        going: bool[jobs], whether a run has not diverged.
        val_losses: float64[jobs, epochs], which schedules that react to them are asked with.
        state: weights, optimizer slots and other variables, among them the state of what draws for dropout,
            each [jobs, ...], in the order in which TensorFlow flattens them.
    """

    epochs: int
    going: npt.NDArray[np.bool_]
    val_losses: npt.NDArray[np.float64]
    state: tuple[npt.NDArray[Any], ...]


def with_checkpoints(
    training: "Training", every: float | None
) -> Iterator[tuple[list[Chunk | None], Checkpoint | None]]:
    """Yield the epochs of a stack, each with a checkpoint if the last one is long enough ago.

    Args:
        training: iterated by this.
        every: seconds; None: there are none.
    """
    last = time.monotonic()
    for chunks in training:
        is_due = every is not None and time.monotonic() - last >= every
        if is_due:
            last = time.monotonic()
        yield chunks, training.checkpoint() if is_due else None
