"""What a worker does with a stack: train it together if it can be, in smaller parts if not."""

import functools
import itertools
import math
import traceback
from collections.abc import Iterator, Mapping, Sequence

from ratelab.runtime import devices
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Event, Saved, Stack
from ratelab.training import (
    CannotStack,
    Checkpoint,
    Chunk,
    Job,
    ProgramCache,
    Training,
    bytes_of_job,
    with_checkpoints,
)
from ratelab.validation import UserError

Jobs = Mapping[int, Job]
Epochs = Iterator[tuple[list[Chunk | None], Checkpoint | None]]


@functools.cache
def trainer_of_process(memory: int) -> "StackTrainer":
    """Return the trainer that all tasks of this process share, with its compiled programs."""
    return StackTrainer(0, memory)


class StackTrainer:
    """Trains stacks in this process, one after another.

    Args:
        worker: its number, which every event carries.
        memory: bytes that the runs of a stack may take, besides the data.
    """

    def __init__(self, worker: int, memory: int) -> None:
        self._worker, self._memory = worker, memory
        self._programs = ProgramCache()
        self._bytes: dict[str, int] = {}
        self._every: float | None = None
        self._training: tuple[Training, tuple[int, ...]] | None = None

    def train(self, stack: Stack) -> Iterator[Event]:
        """Yield an event for every epoch and every end of a run.

        A stack that cannot be compiled or allocated is halved; a run that cannot begin by itself is broken.
        """
        try:
            devices.configure(stack.runs[0].config.device)
            jobs = {run.number: run.job for run in stack.runs}
        except Exception as error:
            yield from (self._report_broken(number, error) for number in stack.numbers)
            return
        models = {run.number for run in stack.runs if run.config.tracking.log_model}
        self._every = stack.runs[0].config.checkpoint.every
        yield from self._train(jobs, models, stack.start)

    def save(self) -> Saved | None:
        """Return what the runs in training need to go on behind what was told of them; for any thread."""
        training, members = self._training or (None, ())
        checkpoint = None if training is None else training.passed
        return None if checkpoint is None else Saved(self._worker, members, checkpoint)

    def _train(self, jobs: Jobs, models: set[int], start: Checkpoint | None = None) -> Iterator[Event]:
        try:
            training, epochs = self._begin(list(jobs.values()), start)
        except Exception as error:
            if len(jobs) == 1:
                yield from (self._report_broken(number, error) for number in jobs)
                return
            # What is too large for the memory may fit by halves; what cannot be stacked never will.
            parts = len(jobs) if isinstance(error, CannotStack) else 2
        else:
            yield from self._finish(training, epochs, list(jobs), models)
            return
        numbers = list(jobs)
        size = math.ceil(len(numbers) / parts)
        for first in range(0, len(numbers), size):
            part = {number: jobs[number] for number in numbers[first : first + size]}
            yield from self._train(part, models)

    def _begin(self, jobs: Sequence[Job], start: Checkpoint | None) -> tuple[Training, Epochs]:
        """Train the first epoch: whatever is wrong with a stack is wrong from the beginning."""
        if len(jobs) > 1 and len(jobs) * self._bytes_of(jobs[0]) > self._memory:
            raise MemoryError
        training = Training(jobs, self._programs.get(jobs[0], len(jobs)), start)
        epochs = with_checkpoints(training, self._every)
        first = list(itertools.islice(epochs, 1))  # none where only the test split is left to look at
        return training, itertools.chain(first, epochs)

    def _finish(
        self,
        training: Training,
        epochs: Epochs,
        numbers: Sequence[int],
        models: set[int],
    ) -> Iterator[Event]:
        left, members = dict(enumerate(numbers)), tuple(numbers)
        self._training = training, members
        try:
            for chunks, checkpoint in epochs:
                for place, chunk in enumerate(chunks):
                    if chunk is not None:
                        yield Epoch(self._worker, numbers[place], chunk, members)
                        if chunk.diverged_step is not None:
                            del left[place]
                if checkpoint is not None:
                    yield Saved(self._worker, members, checkpoint)
            results = training.test() if left else []
            for place, number in list(left.items()):
                weights = training.model(place).get_weights() if number in models else None
                del left[place]
                yield Ended(self._worker, number, results[place], weights)
        except Exception as error:
            yield from (self._report_broken(number, error) for number in left.values())
        self._training = None

    def _bytes_of(self, job: Job) -> int:
        if job.program_key not in self._bytes:
            self._bytes[job.program_key] = bytes_of_job(job)
        return self._bytes[job.program_key]

    def _report_broken(self, number: int, error: Exception) -> Broke:
        is_mistake = isinstance(error, UserError)
        # Of a function of the user's that raised, the message has only the last frame.
        is_blamed = is_mistake and error.__cause__ is not None
        text = "".join(traceback.format_exception(error)) if is_blamed or not is_mistake else ""
        return Broke(self._worker, number, str(error) or type(error).__name__, text, is_blamed)
