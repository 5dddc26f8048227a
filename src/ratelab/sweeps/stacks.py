"""Stacks of runs that train together, and what is reported of them."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ratelab.runs.planned import PlannedRun
from ratelab.training import Checkpoint, Chunk


@dataclass(frozen=True)
class Stack:
    """Runs of one kind and one seed: they see the same batches, so one program trains them together.

    Attributes:
        runs: in the order of the stack.
        start: where they go on; None: at the beginning.
    """

    runs: tuple[PlannedRun, ...]
    start: Checkpoint | None = field(default=None, compare=False, repr=False)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the jobs."""
        return tuple(run.number for run in self.runs)

    @property
    def process(self) -> object:
        """Stacks with equal values can be trained in one process, one after another."""
        first = self.runs[0]
        return first.config.device, first.environment


@dataclass(frozen=True)
class Started:
    """A worker begins with a stack, or begins again after another worker died with it."""

    worker: int
    stack: Stack


@dataclass(frozen=True)
class Epoch:
    """An epoch of a run; the last one if it diverged.

    Attributes:
        worker: where.
        number: of the job.
        chunk: what the epoch gave.
        members: the numbers of the jobs that train as one program, this one among them, in their order there.
            That is its stack, or the part of it that could be compiled and allocated.
    """

    worker: int
    number: int
    chunk: Chunk
    members: tuple[int, ...]


@dataclass(frozen=True)
class Saved:
    """What some runs need to go on behind the last epoch that was told of them.

    Attributes:
        worker: where.
        members: the numbers of the jobs that train as one program, in their order there.
        checkpoint: of all of them.
    """

    worker: int
    members: tuple[int, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Ended:
    """A run is done: what the test split gave, and the weights in Keras' order, if asked for."""

    worker: int
    number: int
    test: Mapping[str, float] | None
    weights: list[npt.NDArray[np.float32]] | None


@dataclass(frozen=True)
class Broke:
    """A run that cannot go on.

    Attributes:
        worker: where.
        number: of the job.
        message: of the error.
        traceback: where it was raised; "" where the message says it all.
        is_blamed: the traceback is that of a function of the user's; to be kept, for the message says it all.
    """

    worker: int
    number: int
    message: str
    traceback: str
    is_blamed: bool = False


Event = Started | Epoch | Saved | Ended | Broke


def seen_as(event: Event, worker: int) -> Event:
    """Return the same event with another number of its worker."""
    return replace(event, worker=worker)


def cut(runs: Iterable[PlannedRun], largest: int, workers: int) -> list[Stack]:
    """Cut runs into stacks: one kind and one seed each, nearly equal parts of at most `largest` runs.

    Where that gives fewer stacks than workers, the groups with the largest stacks are cut into more parts.

    Args:
        runs: in the order of the jobs.
        largest: runs in a stack; 1 trains every run by itself.
        workers: processes that will train.

    Returns:
        The stacks, those for one process together.
    """
    # Runs of several seeds share no batch: stacked they would be slower than one by one.
    groups: dict[object, list[PlannedRun]] = {}
    for run in runs:
        place = run.config.device, run.environment, run.kind, run.config.seed
        groups.setdefault(place, []).append(run)
    parts = {place: math.ceil(len(group) / largest) for place, group in groups.items()}

    def size(place: object) -> int:
        return math.ceil(len(groups[place]) / parts[place])

    # A worker without work costs more than a smaller stack does.
    while parts and sum(parts.values()) < workers:
        longest = max(parts, key=size)
        if size(longest) == 1:
            break
        parts[longest] += 1
    stacks = [stack for place, group in groups.items() for stack in _split(group, parts[place])]
    # A process can train one device setting and environment only, so each must come in one go.
    order = list(dict.fromkeys(stack.process for stack in stacks))
    return sorted(stacks, key=lambda stack: order.index(stack.process))


def _split(runs: Sequence[PlannedRun], number: int) -> list[Stack]:
    """Split into `number` stacks whose lengths differ by at most one."""
    bounds = [len(runs) * i // number for i in range(number + 1)]
    return [Stack(tuple(runs[first:end])) for first, end in itertools.pairwise(bounds)]
