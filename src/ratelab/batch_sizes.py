"""Batch sizes are data: how many examples each update of a run takes is planned before training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ratelab.validation import Count, Positive, UserError, checked

PART_OF_EXAMPLES = 10  # the largest batch, if none is given, is this part of the training examples
# A plan has 12 bytes for an update, its rate has 4, and what computes the rates has some 40 for a moment.
MOST_UPDATES = 100_000_000
MOST_EPOCHS = 1_000_000
BYTES_AN_UPDATE = 56
SHORTEST_GROWTH = 1e-6  # updates; below, numbers of growths are beyond float64
UPDATES_A_SECOND = 10_000  # of the tutorial's model on one core, roughly

__all__ = ["BatchPlan", "BatchSize", "constant", "growing", "plan_batches", "plan_steps"]


@dataclass(frozen=True)
class BatchSize:
    """How large the batches of a run are to be.

    Attributes:
        wanted: from the number of examples seen so far to the size of the next batch; >= 1, rounded later.
        largest: no batch is larger; where more is wanted, the rate falls instead; None: all examples.
        period: the size changes only where the number of examples seen reaches a multiple of it.
    """

    wanted: Callable[[int], float]
    largest: int | None = None
    period: float = 1


@dataclass(frozen=True)
class BatchPlan:
    """The size of every batch of a run.

    Attributes:
        sizes: int32[steps], examples in each update.
        rate_factors: float64[steps], by what the rate of each update is multiplied: 1 but where a batch is
            smaller than it should be.
        first_steps: int64[epochs + 1], the number of the first update of each epoch; behind it, how many
            there are.
    """

    sizes: npt.NDArray[np.int32]
    rate_factors: npt.NDArray[np.float64]
    first_steps: npt.NDArray[np.int64]

    @property
    def steps(self) -> int:
        """How many updates there are."""
        return len(self.sizes)

    @property
    def epochs(self) -> int:
        """How many passes over the examples."""
        return len(self.first_steps) - 1

    @cached_property
    def is_constant(self) -> bool:
        """Say whether all batches have one size."""
        return bool((self.sizes == self.sizes[0]).all())

    @cached_property
    def examples_seen(self) -> npt.NDArray[np.int64]:
        """int64[steps], examples seen after each update."""
        return np.cumsum(self.sizes, dtype=np.int64)

    def first(self, steps: int) -> "BatchPlan":
        """Return the plan of the first `steps` updates, at most as many as there are.

        >>> plan_batches(constant(3), examples=10, epochs=2).first(4).first_steps
        array([0, 3, 4])
        """
        bounds = self.first_steps[: np.searchsorted(self.first_steps, steps) + 1]
        return BatchPlan(self.sizes[:steps], self.rate_factors[:steps], np.minimum(bounds, steps))


@checked
def constant(batch_size: Count) -> BatchSize:
    """Let every batch have `batch_size` examples: B(n) = batch_size.

    Args:
        batch_size: > 0.

    Returns:
        How large the batches are to be.

    Raises:
        UserError: if `batch_size` is out of its bounds.

    >>> plan_batches(constant(3), examples=10, epochs=1).sizes
    array([3, 3, 3], dtype=int32)
    """
    return BatchSize(lambda _seen: batch_size, None, math.inf)


@checked
def growing(
    batch_size: Count,
    examples: Count,
    *,
    decay_rate: Annotated[float, Field(gt=0, le=1)],
    decay_steps: Positive,
    largest: Count | None = None,
) -> BatchSize:
    """Let the batch grow: B(n) = batch_size * decay_rate ** -floor(n / (batch_size * decay_steps)).

    n is the number of examples seen; B is rounded to a whole number. Where B would be above `largest`, the
    batch has `largest` examples and the rate is multiplied by largest / B. At a fixed rate this is the
    partner of a staircase decay at the batch `batch_size`, with the same `decay_rate` and `decay_steps`: the
    noise scale, rate / batch, is the same after the same number of examples.

    Args:
        batch_size: of the first updates, B(0).
        examples: in the training split.
        decay_rate: the factor; in (0, 1].
        decay_steps: updates of `batch_size` examples for one factor; >= 1e-6.
        largest: from `batch_size` to `examples`; None: a tenth of them, or `batch_size` if that is more.

    Returns:
        How large the batches are to be.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Smith, Kindermans, Ying & Le 2018, arXiv 1711.00489, who also take a tenth.

    >>> size = growing(2, 100, decay_rate=0.5, decay_steps=3, largest=4)
    >>> plan = plan_batches(size, examples=22, epochs=1)
    >>> plan.sizes
    array([2, 2, 2, 4, 4, 4, 4], dtype=int32)
    >>> plan.rate_factors
    array([1.  , 1.  , 1.  , 1.  , 1.  , 0.5 , 0.25])
    """
    if largest is None:
        largest = max(batch_size, examples // PART_OF_EXAMPLES)
    if not batch_size <= largest <= examples:
        raise UserError(
            f"growing: largest must be from {batch_size}, batch_size, to {examples}, the training examples, "
            f"got {largest}."
        )
    if decay_steps < SHORTEST_GROWTH:
        raise UserError(f"growing: decay_steps must be at least {SHORTEST_GROWTH:g}, got {decay_steps}.")
    period = batch_size * decay_steps

    def wanted(seen: int) -> float:
        # A size beyond float64 becomes inf, which `largest` cuts, with a factor of 0 for the rate.
        with np.errstate(over="ignore"):
            return float(batch_size * np.float64(decay_rate) ** -math.floor(seen / period))

    return BatchSize(wanted, largest, period)


def plan_batches(size: BatchSize, examples: int, epochs: int) -> BatchPlan:
    """Plan the batches of all epochs; what is left of an epoch and does not fill a batch is left out.

    Args:
        size: how large they are to be.
        examples: in the training split; >= 1.
        epochs: passes over them; >= 1.

    Returns:
        The plan of all updates; it has as many as fill a batch.

    Raises:
        UserError: if a batch is wanted that is smaller than 1, and for more updates or epochs than one run
            may have; the message says what they would need.

    >>> plan_batches(constant(4), examples=10, epochs=2).first_steps
    array([0, 2, 4])
    """
    largest = examples if size.largest is None else min(size.largest, examples)
    _refuse_length(size, examples, epochs, largest)
    # Stretches of equal batches: size, factor of the rate, number of updates. A size is asked for once a
    # stretch, since the plan of a long run has millions of updates and few sizes.
    runs: list[tuple[int, float, int]] = []
    firsts, seen, steps = [0], 0, 0
    for _ in range(epochs):
        left = examples
        while True:
            batch, factor = _round_size(size.wanted(seen), largest, seen)
            if batch > left:
                break
            # The next batch that begins at a multiple of the period, or behind it, may have another size.
            # Until then there is at least this one, whatever rounding leaves.
            until = (math.floor(seen / size.period) + 1) * size.period - seen
            count = min(left // batch, max(1, math.ceil(min(until, left) / batch)))
            runs.append((batch, factor, count))
            steps += count
            if steps > MOST_UPDATES:
                raise UserError(
                    f"epochs: a run has at most {MOST_UPDATES:,} updates; lower epochs, {epochs:,}."
                )
            if len(runs) > MOST_EPOCHS * 2:
                raise UserError(
                    f"batch: the size may change {MOST_EPOCHS:,} times in a run; it would be looked at every "
                    f"{size.period:g} examples. Raise batch.decay_steps."
                )
            left, seen = left - count * batch, seen + count * batch
        firsts.append(steps)
    sizes, factors, counts = zip(*runs, strict=True)
    return BatchPlan(
        np.repeat(np.array(sizes, np.int32), counts), np.repeat(factors, counts), np.array(firsts, np.int64)
    )


def plan_steps(size: BatchSize, examples: int, steps: int) -> BatchPlan:
    """Plan `steps` updates, in as many epochs as they take, the last one perhaps a part of one.

    Args:
        size: how large the batches are to be.
        examples: in the training split; >= 1.
        steps: >= 1.

    Returns:
        The plan of exactly `steps` updates.

    Raises:
        UserError: as `plan_batches`.

    >>> plan_steps(constant(3), examples=10, steps=4).first_steps
    array([0, 3, 4])
    """
    if steps > MOST_UPDATES:
        raise UserError(f"steps: a run has at most {MOST_UPDATES:,} updates, got {steps:,}.")
    # A growing batch makes later epochs shorter, so how many are needed is found by trying.
    epochs = 1
    while (plan := plan_batches(size, examples, epochs)).steps < steps:
        epochs = max(epochs + 1, epochs * steps // plan.steps)
    return plan.first(steps)


def _refuse_length(size: BatchSize, examples: int, epochs: int, largest: int) -> None:
    """Raise UserError if a run has more epochs or updates than it may, before any of them is planned."""
    # With the largest batch that there can be in most of the run: more updates there are for certain.
    batch = _round_size(size.wanted(0), largest, 0)[0] if math.isinf(size.period) else largest
    updates = examples // batch * epochs
    if epochs <= MOST_EPOCHS and updates <= MOST_UPDATES:
        return
    days, gibibytes = updates / UPDATES_A_SECOND / 86_400, updates * BYTES_AN_UPDATE / 2**30
    raise UserError(
        f"epochs: a run has at most {MOST_EPOCHS:,} epochs and {MOST_UPDATES:,} updates. {epochs:,} epochs "
        f"of {examples // batch:,} updates would need {gibibytes:,.0f} GiB of memory and, with "
        f"{UPDATES_A_SECOND:,} updates a second, {days:,.1f} days. Lower epochs or raise batch_size."
    )


def _round_size(wanted: float, largest: int, seen: int) -> tuple[int, float]:
    """Return the size of a batch, and by what its rate is multiplied."""
    if not wanted >= 1:  # nan is refused as well
        raise UserError(f"batch: the size must be at least 1, got {wanted} after {seen} examples.")
    if wanted > largest:
        return largest, largest / wanted
    return math.floor(wanted + 0.5), 1.0  # halves up: round(2.5) is 2, and round(3.5) is 4
