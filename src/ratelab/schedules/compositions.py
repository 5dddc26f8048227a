"""Schedules made of schedules: a warm-up in front, one after another, a multiple."""

from collections.abc import Sequence

import numpy as np

from ratelab.schedules.durations import Duration, OptionalDuration, whole_steps
from ratelab.schedules.interface import (
    Build,
    Floats,
    Schedule,
    Steps,
    WithMomentum,
    build_schedule,
    momentum_of,
)
from ratelab.validation import Count, Fraction, Rate, UserError, checked


@checked
def warmup(
    learning_rate: Rate,
    steps: Count,
    *,
    schedule: Build,
    warmup_steps: OptionalDuration,
    start_factor: Fraction = 0.0,
) -> Schedule:
    """Climb to a schedule: rate(t) = first * (start_factor + (1 - start_factor) * t / W) for t < W.

    W is `warmup_steps`, first is the first rate of the schedule: the base rate, where it starts there. From
    step W on the schedule runs, over the remaining steps - W. Step 0 has the rate first * start_factor, so 0
    by default, and step W the whole of it: as in optax and transformers; torch's LinearLR is the same with
    start_factor = 1/3. A momentum keeps its first value while the rate climbs.

    Use it with momentum, Adam, large batches or high rates, whenever the first steps are rough.

    Args:
        learning_rate: the base rate; finite and >= 0.
        steps: the length of the whole run.
        schedule: makes a schedule from a base rate and a number of steps: `cosine`, or a partial of it.
        warmup_steps: steps, or a fraction of the run; 0 to below `steps`.
        start_factor: what step 0 has of the first rate; 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds, or no step would be left for the schedule.

    References:
        Goyal et al. 2017, arXiv 1706.02677.

    >>> from ratelab.schedules import linear_to_zero
    >>> warmup(1.0, 8, schedule=linear_to_zero, warmup_steps=4)(np.arange(8))
    array([0.  , 0.25, 0.5 , 0.75, 1.  , 0.75, 0.5 , 0.25])
    """
    climb = whole_steps("warmup: warmup_steps", warmup_steps, steps)
    if climb >= steps:
        raise UserError(
            f"warmup: warmup_steps must be less than the {steps} steps of the run, got {warmup_steps}"
        )
    then = build_schedule(schedule, learning_rate, steps - climb)
    if climb == 0:
        return then
    # A schedule that reacts is no function of the step, and where its climb should lead is not known.
    if not callable(then):
        raise UserError(
            f"warmup: schedule must be a function of the step, got {type(then).__name__}: it takes no warm-up"
        )
    first = float(then(np.zeros(1))[0])

    def rise(step: Steps) -> Floats:
        return first * (start_factor + (1 - start_factor) * step / climb)

    momentum = momentum_of(then)
    if momentum is None:
        return _chain([rise, then], [0, climb], steps)
    start = float(momentum(np.zeros(1))[0])
    return _chain([WithMomentum(rise, lambda step: np.full(step.shape, start)), then], [0, climb], steps)


@checked
def join(
    learning_rate: Rate, steps: Count, *, schedules: list[Build], boundaries: list[Duration]
) -> Schedule:
    """Run one schedule after another: rate(t) = s_i(t - b_i) for b_i <= t < b_(i+1).

    s_i are the schedules, b_i where each begins: 0 and the boundaries. Each gets the base rate, and as its
    length the steps between its boundaries; at a boundary the new schedule holds. For another base rate put
    `scale` around a part.

    Use it for recipes in parts, such as a constant rate and then a cosine.

    Args:
        learning_rate: the base rate; finite and >= 0.
        steps: the length of the whole run.
        schedules: each makes a schedule from a base rate and a number of steps; at least one.
        boundaries: where the next begins, rising: steps, or fractions of the run; one fewer than schedules.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds, boundaries do not rise within the run, the numbers do
            not match, or only some of the schedules move the momentum.

    References:
        optax.join_schedules; torch.optim.lr_scheduler.SequentialLR.

    >>> from ratelab.schedules import fixed, linear_to_zero
    >>> join(1.0, 8, schedules=[fixed, linear_to_zero], boundaries=[0.5])(np.arange(8))
    array([1.  , 1.  , 1.  , 1.  , 1.  , 0.75, 0.5 , 0.25])
    """
    if len(schedules) != len(boundaries) + 1:
        raise UserError(
            f"join: boundaries must be one fewer than the {len(schedules)} schedules, got {boundaries}"
        )
    starts = [0, *(whole_steps("join: boundaries", boundary, steps) for boundary in boundaries)]
    lengths = np.diff([*starts, steps])
    if (lengths <= 0).any():
        raise UserError(f"join: boundaries must rise within the {steps} steps of the run, got {boundaries}")
    parts = [
        build_schedule(build, learning_rate, int(length))
        for build, length in zip(schedules, lengths, strict=True)
    ]
    return _chain(parts, starts, steps)


@checked
def scale(learning_rate: Rate, steps: Count, *, schedule: Build, factor: Rate) -> Schedule:
    """Multiply a schedule: rate(t) = factor * schedule(t).

    Use it for a part of `join` that has another base rate.

    Args:
        learning_rate: the base rate; finite and >= 0.
        steps: the length of the run.
        schedule: makes a schedule from a base rate and a number of steps.
        factor: finite and >= 0.

    Returns:
        A function from steps of any shape to rates of the same shape; a momentum stays as it is.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        torch.optim.lr_scheduler.ConstantLR.

    >>> from ratelab.schedules import linear_to_zero
    >>> scale(1.0, 4, schedule=linear_to_zero, factor=0.1)(np.arange(4))
    array([0.1  , 0.075, 0.05 , 0.025])
    """
    made = build_schedule(schedule, learning_rate, steps)
    momentum = momentum_of(made)

    def rate(step: Steps) -> Floats:
        return factor * made(step)

    return rate if momentum is None else WithMomentum(rate, momentum)


def _chain(parts: Sequence[Schedule], starts: Sequence[int], steps: int) -> Schedule:
    """Return the schedule that is parts[i] from starts[i] on, with a momentum if all of them have one."""
    momenta = [momentum for part in parts if (momentum := momentum_of(part)) is not None]
    rate = _chain_functions(parts, starts, steps)
    if not momenta:
        return rate
    # A part without one would leave open what the momentum is meanwhile: that of the optimizer, or the last?
    if len(momenta) < len(parts):
        raise UserError(
            f"join: all schedules or none must move the momentum, got {len(momenta)} of {len(parts)} that do"
        )
    return WithMomentum(rate, _chain_functions(momenta, starts, steps))


def _chain_functions(parts: Sequence[Schedule], starts: Sequence[int], steps: int) -> Schedule:
    """Return the function that is parts[i](t - starts[i]) from starts[i] on."""
    ends = [*starts[1:], steps]

    def chain(step: Steps) -> Floats:
        t = np.asarray(step, np.float64)
        # Every part is asked for all steps, and one of them is chosen. The steps before and after its own are
        # moved to its ends, where it is defined: a root of a negative number would be a warning.
        values = [
            part(np.clip(t - start, 0, end - start - 1))
            for part, start, end in zip(parts, starts, ends, strict=True)
        ]
        return np.select([t < end for end in ends[:-1]], values[:-1], values[-1])

    return chain
