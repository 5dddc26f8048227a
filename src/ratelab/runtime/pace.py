"""How far training is, how fast each kind of program is, and how long what is left will take."""

import time
from collections.abc import Hashable, Sequence, Sized
from dataclasses import dataclass
from typing import Protocol

SECONDS_TO_MEASURE = (
    0.2  # of training: a pace from a few milliseconds would be told as a million steps a second
)


class Epoch(Protocol):
    """What is asked of an epoch of a run; a chunk of training has it."""

    @property
    def epoch(self) -> int:
        """Its number, from 0."""

    @property
    def train_loss(self) -> Sized:
        """A loss for each update."""

    @property
    def seconds(self) -> float:
        """Of training, as the worker measured them; in a stack, the run's equal part."""


@dataclass
class _Kind:
    """Runs of one compiled program.

    Attributes:
        left: the updates to do.
        steps: those that were measured.
        seconds: of training, for them.
        passed: the whole seconds that stacks took, from their beginning to that of the next one.
        trained: the seconds of training in those stacks.
    """

    left: int = 0
    steps: int = 0
    seconds: float = 0.0
    passed: float = 0.0
    trained: float = 0.0

    @property
    def seconds_a_step(self) -> float | None:
        """What an update of a run costs one worker; None before enough of them were measured."""
        if self.seconds < SECONDS_TO_MEASURE:
            return None
        # Of short runs the most is not training: to begin, to look at the splits, to be recorded.
        beside = max(1.0, self.passed / self.trained) if self.trained else 1.0
        return self.seconds / self.steps * beside


@dataclass
class _Stack:
    """What a worker trains: its kind, the updates left of all its runs, whether its program ran before."""

    kind: _Kind
    left: int
    is_compiled: bool
    begin: float
    seconds: float = 0.0
    has_begun: bool = False


class Pace:
    """Keeps count of the updates of all runs, and of what an update of each kind of program costs.

    Models differ in their cost by a factor of hundreds, so a mean over all updates says nothing of the time
    that is left. Nor do the moments at which epochs arrive: they wait in pipes and then come all at once.

    Args:
        runs: of each run that is to come its kind, equal where runs cost the same, and its updates.

    Attributes:
        runs: how many there are.
        ended: how many of them have ended.
        steps: the updates of all runs, without those that runs left out.
        done: the updates that were done.
    """

    def __init__(self, runs: Sequence[tuple[Hashable, int]]) -> None:
        self.runs, self.ended = len(runs), 0
        self.steps, self.done = sum(steps for _, steps in runs), 0
        self._stacks: dict[int, _Stack] = {}
        self._kinds: dict[Hashable, _Kind] = {}
        for kind, steps in runs:
            self._kinds.setdefault(kind, _Kind()).left += steps

    def start(self, worker: int, kind: Hashable, steps: int) -> None:
        """Note that a worker begins with runs of one kind, `steps` updates in all."""
        before, own, now = self._stacks.get(worker), self._kinds[kind], time.monotonic()
        # A worker that left its stack unfinished died: in its place is a new process, which compiles anew.
        if before is None or before.kind is not own or before.left > 0:
            self._stacks[worker] = _Stack(own, steps, is_compiled=False, begin=now)
            return
        if before.is_compiled:
            own.passed += now - before.begin
            own.trained += before.seconds
        self._stacks[worker] = _Stack(own, steps, is_compiled=True, begin=now)

    def advance(self, worker: int, epoch: Epoch) -> None:
        """Count an epoch of a run of the worker."""
        stack, steps = self._stacks[worker], len(epoch.train_loss)
        stack.has_begun = True
        # Without the compilation too the first epoch of a program is slower: no memory is in a cache yet.
        if epoch.epoch or stack.is_compiled:
            stack.kind.steps += steps
            stack.kind.seconds += epoch.seconds
        stack.seconds += epoch.seconds
        stack.left -= steps
        stack.kind.left -= steps
        self.done += steps

    def end(self, worker: int, missing: int) -> None:
        """Count the end of a run of the worker, which left out `missing` updates."""
        stack = self._stacks[worker]
        stack.left -= missing
        stack.kind.left -= missing
        self.steps -= missing
        self.ended += 1

    def is_compiling(self, worker: int | None = None) -> bool:
        """Say whether the worker, or every one there is, waits for a program that did not run before."""
        stacks = [*self._stacks.values()] if worker is None else [self._stacks[worker]]
        return bool(stacks) and not any(stack.is_compiled or stack.has_begun for stack in stacks)

    @property
    def unmeasured(self) -> int:
        """How many kinds still have updates to do and were not measured yet."""
        return sum(kind.left > 0 and kind.seconds_a_step is None for kind in self._kinds.values())

    @property
    def kinds(self) -> int:
        """How many kinds of programs there are."""
        return len(self._kinds)

    def speed(self, worker: int | None = None) -> float | None:
        """Return updates a second of a worker, or of all that have some left to do; None where not known."""
        if worker is not None:
            cost = self._stacks[worker].kind.seconds_a_step
            return None if cost is None else 1 / cost
        going = [one for one in self._stacks.values() if one.left > 0 and (one.is_compiled or one.has_begun)]
        costs = [stack.kind.seconds_a_step for stack in going]
        return sum(1 / cost for cost in costs if cost is not None) or None

    def seconds_left(self, worker: int | None = None) -> float | None:
        """Return how long a worker needs for its runs, or all workers for all; None where not known."""
        if worker is not None:
            stack = self._stacks[worker]
            return _cost(stack.left, stack.kind)
        costs = [_cost(kind.left, kind) for kind in self._kinds.values() if kind.left > 0]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs) or not self._stacks:
            return None
        # The end is that of the slowest worker, however little there is left for the others.
        slowest = max(_cost(stack.left, stack.kind) or 0.0 for stack in self._stacks.values())
        return max(sum(known) / len(self._stacks), slowest)


def _cost(steps: int, kind: _Kind) -> float | None:
    cost = kind.seconds_a_step
    return None if cost is None else max(0, steps) * cost
