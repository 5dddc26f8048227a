"""Jobs and runs: what one run needs, and what each of its epochs gives."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ratelab.data import Dataset, epoch_order
from ratelab.optimizers import Optimizer

if TYPE_CHECKING:
    from ratelab.training.program import Program

__all__ = ["Chunk", "Job", "Training", "seeded_model"]


@dataclass(frozen=True)
class Job:
    """All that one run needs; nothing in it knows where the configuration came from.

    Attributes:
        seed: weights and batch order come from independent streams of it.
        learning_rate: float32[steps], the rate of every update of the run.
        build_model: makes the Keras model, its weights drawn from Keras' global seed.
        data: the three splits.
        optimizer: the update rule.
        batch_size: examples in one update.
        epochs: passes over the training split.
        xla: compile the loop with XLA; None: if the model consists of layers that gain from it.
        program_key: jobs with equal keys differ only in seed and rates, and share one compiled program.
    """

    seed: int
    learning_rate: npt.NDArray[np.float32]
    build_model: Callable[[], Any]
    data: Dataset
    optimizer: Optimizer
    batch_size: int
    epochs: int
    xla: bool | None
    program_key: str


@dataclass(frozen=True)
class Chunk:
    """What one epoch gives; ends early, at the step of the first loss that is not finite.

    Attributes:
        epoch: from 0.
        first_step: number of the first update of this chunk.
        learning_rate: float32[steps], the rates applied.
        train_loss: float32[steps], the loss of each batch, before its update.
        timestamps: int64[steps], milliseconds since 1970, spread evenly over the call.
        val_loss: mean over the validation split after the last update.
        val_accuracy: the same.
        seconds: training only.
    """

    epoch: int
    first_step: int
    learning_rate: npt.NDArray[np.float32]
    train_loss: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.int64]
    val_loss: float
    val_accuracy: float
    seconds: float

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """int64[steps], the numbers of the updates."""
        return np.arange(self.first_step, self.first_step + len(self.train_loss))

    @property
    def diverged_step(self) -> int | None:
        """The update whose loss, or after which the validation loss, was not finite; None if all is well."""
        finite = np.isfinite(self.train_loss[-1]) and np.isfinite(self.val_loss)
        return None if finite else int(self.steps[-1])


class Training:
    """One run: iterate over it for its chunks, then ask for the test result and the model.

    Args:
        job: what to train.
        program: compiled for this job's `program_key`; shared between runs.
    """

    def __init__(self, job: Job, program: "Program") -> None:
        self.job, self._program = job, program
        weights_seed, self._order_seed = np.random.SeedSequence(job.seed).spawn(2)
        self._model = seeded_model(job.build_model, weights_seed)
        self._state = program.initial_state(self._model)

    def __iter__(self) -> Iterator[Chunk]:
        """Yield one chunk an epoch; stop after one that diverged."""
        job, examples = self.job, len(self.job.data.train.labels)
        for epoch in range(job.epochs):
            order = epoch_order(self._order_seed, epoch, examples, job.batch_size)
            first = epoch * len(order)
            rates = job.learning_rate[first : first + len(order)]
            begin = time.time()
            self._state, losses = self._program.epoch(self._state, order, rates, first)
            seconds = time.time() - begin
            losses = losses[: _finite_length(losses)]
            val_loss, val_accuracy = self._program.evaluate(self._state, "validation")
            stamps = np.linspace(begin * 1e3, (begin + seconds) * 1e3, len(order)).astype(np.int64)
            used = slice(len(losses))
            chunk = Chunk(epoch, first, rates[used], losses, stamps[used], val_loss, val_accuracy, seconds)
            yield chunk
            if chunk.diverged_step is not None:
                return

    def test(self) -> tuple[float, float]:
        """Return loss and accuracy on the test split: to be asked once, at the end."""
        return self._program.evaluate(self._state, "test")

    def model(self) -> Any:
        """Return the Keras model with the weights as trained."""
        self._program.assign(self._state, self._model)
        return self._model


def seeded_model(build_model: Callable[[], Any], seed: np.random.SeedSequence) -> Any:
    """Build a Keras model, its weights and its dropout drawn from `seed`."""
    import keras

    keras.utils.set_random_seed(int(seed.generate_state(1)[0]))
    return build_model()


def _finite_length(losses: npt.NDArray[np.float32]) -> int:
    """Return how many losses count: up to and with the first that is not finite."""
    bad = ~np.isfinite(losses)
    return int(bad.argmax()) + 1 if bad.any() else len(losses)
