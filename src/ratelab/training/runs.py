"""Jobs and their training: what one run needs, and what each epoch of a stack of runs gives."""

import time
from collections.abc import Callable, Iterator, Sequence
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
        program_key: jobs with equal keys differ only in seed, rates, epochs and the hyperparameters of the
            optimizer, and share one compiled program.
        test: look at the test split at the end; a run that is made to choose something does not.
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
    test: bool = True


@dataclass(frozen=True)
class Chunk:
    """What one epoch of one run gives; ends early, at the step of the first loss that is not finite.

    Attributes:
        epoch: from 0.
        first_step: number of the first update of this chunk.
        learning_rate: float32[steps], the rates applied.
        train_loss: float32[steps], the loss of each batch, before its update.
        timestamps: int64[steps], milliseconds since 1970, spread evenly over the call.
        val_loss: mean over the validation split after the last update.
        val_accuracy: the same.
        seconds: of training only; in a stack, this run's equal part.
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
    """A stack of runs that share their batches: iterate over it for the chunks, then ask for the results.

    A single run is a stack of one.

    Args:
        jobs: what to train; seed, epochs and `program_key` are the same in all.
        program: compiled for this `program_key` and this number of jobs.
    """

    def __init__(self, jobs: Sequence[Job], program: "Program") -> None:
        self.jobs, self._program = list(jobs), program
        first = self.jobs[0]
        weights_seed, self._order_seed = np.random.SeedSequence(first.seed).spawn(2)
        self._model = seeded_model(first.build_model, weights_seed)
        self._state = program.initial_state(self._model)
        self._hyperparameters = _columns(self.jobs)

    def __iter__(self) -> Iterator[list[Chunk | None]]:
        """Yield one list an epoch, a chunk for each job; None for a job that diverged before."""
        job, going = self.jobs[0], [True for _ in self.jobs]
        rates = np.stack([job.learning_rate for job in self.jobs], 1)
        for epoch in range(job.epochs):
            order = epoch_order(self._order_seed, epoch, len(job.data.train.labels), job.batch_size)
            first = epoch * len(order)
            part = rates[first : first + len(order)]
            begin = time.time()
            self._state, losses = self._program.epoch(self._state, order, part, first, self._hyperparameters)
            seconds = time.time() - begin
            stamps = np.linspace(begin * 1e3, (begin + seconds) * 1e3, len(order)).astype(np.int64)
            validation = self._program.evaluate(self._state, "validation")
            chunks = [
                _chunk(epoch, first, part[:, i], losses[:, i], stamps, validation[i], seconds / len(going))
                if going[i]
                else None
                for i in range(len(going))
            ]
            going = [chunk is not None and chunk.diverged_step is None for chunk in chunks]
            yield chunks
            if not any(going):
                return

    def test(self) -> list[tuple[float, float] | None]:
        """Return loss and accuracy on the test split of each run that looks at it: once, at the end."""
        if not any(job.test for job in self.jobs):
            return [None for _ in self.jobs]
        results = self._program.evaluate(self._state, "test")
        return [result if job.test else None for job, result in zip(self.jobs, results, strict=True)]

    def model(self, number: int = 0) -> Any:
        """Return the Keras model with the weights of job `number`; it is one model for all jobs."""
        self._program.assign(self._state, number, self._model)
        return self._model


def seeded_model(build_model: Callable[[], Any], seed: np.random.SeedSequence) -> Any:
    """Build a Keras model, its weights and its dropout drawn from `seed`."""
    import keras

    keras.utils.set_random_seed(int(seed.generate_state(1)[0]))
    return build_model()


def _chunk(
    epoch: int,
    first_step: int,
    rates: npt.NDArray[np.float32],
    losses: npt.NDArray[np.float32],
    stamps: npt.NDArray[np.int64],
    validation: tuple[float, float],
    seconds: float,
) -> Chunk:
    """Return what a run gave in an epoch, up to and with the first loss that is not finite."""
    bad = ~np.isfinite(losses)
    used = slice(int(bad.argmax()) + 1 if bad.any() else len(losses))
    return Chunk(
        epoch, first_step, rates[used].copy(), losses[used].copy(), stamps[used], *validation, seconds
    )


def _columns(jobs: Sequence[Job]) -> dict[str, npt.NDArray[np.float32]]:
    """Return each hyperparameter as float32[jobs]."""
    settings = [job.optimizer.hyperparameters for job in jobs]
    return {name: np.array([numbers[name] for numbers in settings], np.float32) for name in settings[0]}
