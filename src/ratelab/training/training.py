"""The training of a stack of runs, an epoch at a time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data import epoch_order
from ratelab.training.checkpoint import Checkpoint
from ratelab.training.chunks import Chunk
from ratelab.training.job import Hyperparameters, Job, build_from_seed
from ratelab.training.program import Program
from ratelab.training.segments import Segments


@dataclass(frozen=True)
class _Epoch:
    """The updates of one epoch of all runs.

    Attributes:
        number: from 0.
        place: which updates of the run they are.
        rates: float32[steps, jobs].
        losses: float32[steps, jobs].
        timestamps: int64[steps].
        seconds: of all runs together, without those of compilation.
    """

    number: int
    place: slice
    rates: npt.NDArray[np.float32]
    losses: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.int64]
    seconds: float


class Training:
    """A stack of runs that share their batches: iterate over it for the chunks, then ask for the results.

    A single run is a stack of one.

    Args:
        jobs: what to train; seed, batches and `program_key` are the same in all.
        program: compiled for this `program_key` and this number of jobs.
        start: where the same jobs, in the same order, go on; None: at the beginning.

    Attributes:
        passed: the checkpoint of the last epoch that whoever iterates is through with; None before that.

    Raises:
        UserError: if the batches have more sizes than can be compiled for this model, or `start` is that of
            another model or optimizer.
    """

    def __init__(self, jobs: Sequence[Job], program: Program, start: Checkpoint | None = None) -> None:
        self.jobs, self._program = list(jobs), program
        first = self.jobs[0]
        # Two streams, so that the order of the batches does not depend on how many numbers a model draws.
        # Runs of one seed share both, whatever else they differ in: that makes comparisons paired.
        weights_seed, self._order_seed = np.random.SeedSequence(first.seed).spawn(2)
        self._model = build_from_seed(first.build_model, weights_seed)
        self._state = program.initial_state(self._model)
        self._segments = Segments(
            first.batches, exact=not program.by_example, most=program.data.most_examples
        )
        self._hyperparameters = Hyperparameters([job.hyperparameters for job in self.jobs])
        self._epochs, self._going = 0, [True for _ in self.jobs]
        self._val_losses: list[list[float]] = [[] for _ in self.jobs]
        if start is not None:
            self._epochs, self._going = start.epochs, start.going.tolist()
            self._val_losses = start.val_losses.tolist()
            self._state = program.restore(self._state, start.state)
        self._passed: tuple[Any, ...] | None = None

    def __iter__(self) -> Iterator[list[Chunk | None]]:
        """Yield one list an epoch, a chunk for each job; None for a job that diverged before."""
        while self._epochs < self.jobs[0].batches.epochs and any(self._going):
            trained = self._train(self._epochs, self._val_losses)
            validation = self._program.evaluate(self._state, "validation")
            for losses, measured in zip(self._val_losses, validation, strict=True):
                losses.append(measured["loss"])
            chunks = [
                self._chunk(place, trained, validation[place]) if is_going else None
                for place, is_going in enumerate(self._going)
            ]
            # A job that diverged is trained on, unseen: to take it out would mean to compile a smaller stack.
            self._going = [chunk is not None and chunk.diverged_step is None for chunk in chunks]
            self._epochs += 1
            yield chunks
            self._passed = self._take()

    def checkpoint(self) -> Checkpoint:
        """Return what is needed to go on behind the last epoch; between two epochs only."""
        return self._write(*self._take())

    @property
    def passed(self) -> Checkpoint | None:
        """That of the last epoch that whoever iterates is through with, for any thread at any time."""
        passed = self._passed
        return None if passed is None else self._write(*passed)

    def _take(self) -> tuple[Any, ...]:
        # tensors do not change, so to keep the state costs its memory and no time
        return self._epochs, list(self._going), [list(losses) for losses in self._val_losses], self._state

    def _write(self, epochs: int, going: list[bool], val_losses: list[list[float]], state: Any) -> Checkpoint:
        arrays = self._program.flatten(state)
        return Checkpoint(epochs, np.array(going), np.array(val_losses, np.float64), arrays)

    def test(self) -> list[dict[str, float] | None]:
        """Return "loss" and the metrics of the task on the test split, of each run that looks at it."""
        # Where no run may know, nobody looks: the test split is for judging, not for choosing.
        if not any(job.test for job in self.jobs):
            return [None for _ in self.jobs]
        results = self._program.evaluate(self._state, "test")
        return [result if job.test else None for job, result in zip(self.jobs, results, strict=True)]

    def model(self, number: int = 0) -> Any:
        """Return the Keras model with the weights of job `number`; it is one model for all jobs."""
        self._program.assign(self._state, number, self._model)
        return self._model

    def _train(self, epoch: int, val_losses: Sequence[Sequence[float]]) -> _Epoch:
        """Do the updates of an epoch, segment by segment."""
        job = self.jobs[0]
        place = slice(*job.batches.first_steps[epoch : epoch + 2].tolist())
        rates = [own.rates.segment(place, seen) for own, seen in zip(self.jobs, val_losses, strict=True)]
        rates_by_step = np.stack(rates, 1)
        parts = []
        examples = epoch_order(self._order_seed, epoch, len(job.data.train), 1).ravel()
        begin, compiling = time.time(), -self._program.seconds_compiling
        for piece in self._program.data.pieces(self._segments.of_epoch(epoch, examples)):
            first = piece.segment.first_step - place.start
            part = rates_by_step[first : first + piece.segment.steps]
            self._state, losses = self._program.run(self._state, piece, part, self._hyperparameters)
            parts.append(losses)
        # Whichever run came first would be charged with what serves all that come after it.
        begin += compiling + self._program.seconds_compiling
        seconds = time.time() - begin
        # Inside the loop there is no clock to look at, and every update takes about as long as the next.
        stamps = np.linspace(begin * 1e3, (begin + seconds) * 1e3, len(rates_by_step)).astype(np.int64)
        return _Epoch(epoch, place, rates_by_step, np.concatenate(parts), stamps, seconds)

    def _chunk(self, i: int, trained: _Epoch, validation: Mapping[str, float]) -> Chunk:
        """Return what run `i` gave in an epoch, up to and with the first loss that is not finite."""
        job, losses = self.jobs[i], trained.losses[:, i]
        bad = ~np.isfinite(losses)
        steps = int(bad.argmax()) + 1 if bad.any() else len(losses)
        place = slice(trained.place.start, trained.place.start + steps)
        # Copies: a view of one column would keep the arrays of the whole stack alive until it is recorded.
        rates = trained.rates[:steps, i].copy()
        return Chunk(
            trained.number,
            place.start,
            rates,
            losses[:steps].copy(),
            trained.timestamps[:steps],
            validation,
            seconds=trained.seconds / len(self.jobs),
            batch_size=job.batches.sizes[place],
            examples_seen=None if job.batches.is_constant else job.batches.examples_seen[place],
            momentum=None if job.momenta is None else job.momenta[place],
            # Of the last update that was done, which in a chunk that ends early is not the last of the epoch.
            noise_scale=job.noise_scale(place.stop - 1, float(rates[-1])),
        )
