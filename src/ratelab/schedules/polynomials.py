"""Rates that reach their end with the run: powers of what is left of it, and one that stays until then."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from ratelab.schedules.cosines import half_cosine
from ratelab.schedules.durations import Duration, OptionalDuration, in_steps, whole_steps
from ratelab.schedules.floors import lift
from ratelab.schedules.interface import Floats, Schedule, Steps
from ratelab.validation import Count, Fraction, Positive, Rate, UserError, checked


@checked
def polynomial(
    learning_rate: Rate,
    steps: Count,
    *,
    decay_steps: Duration = 1.0,
    end_learning_rate: Rate = 0.0,
    power: Positive = 2.0,
    cycle: bool = False,
    floor: Fraction = 0.0,
) -> Schedule:
    """Decay as a power: rate(t) = (learning_rate - end) * (1 - min(t, D) / D) ** power + end.

    D is `decay_steps`, end is `end_learning_rate`. With `cycle`, D is the next multiple of `decay_steps`
    that is not before t: the rate jumps up after each.

    Use it where the length of the run is known; the power bends the line (2 and more: low for long).

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        decay_steps: steps, or a fraction of the run, until the end rate; > 0.
        end_learning_rate: finite and >= 0.
        power: > 0.
        cycle: begin again, lower, and do not stay at the end rate.
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        tf.train.polynomial_decay; keras.optimizers.schedules.PolynomialDecay.

    >>> polynomial(1.0, 4)(np.arange(5))
    array([1.    , 0.5625, 0.25  , 0.0625, 0.    ])
    >>> polynomial(1.0, 8, decay_steps=4, power=1.0, cycle=True)(np.array([0, 3, 4, 5, 8]))
    array([1.   , 0.25 , 0.   , 0.375, 0.   ])
    """
    period = in_steps(decay_steps, steps)

    def rate(step: Steps) -> Floats:
        t = np.asarray(step, np.float64)
        # Step 0 is in the first period, although it is a multiple of the period itself.
        end = period * np.maximum(1, np.ceil(t / period)) if cycle else period
        left = 1 - np.minimum(t / end, 1)
        return (learning_rate - end_learning_rate) * left**power + end_learning_rate

    return lift(rate, learning_rate, floor)


@checked
def linear_to_zero(learning_rate: Rate, steps: Count, *, floor: Fraction = 0.0) -> Schedule:
    """Go to zero in a line: rate(t) = learning_rate * (1 - t / steps).

    The last update, t = steps - 1, still has the rate learning_rate / steps.

    Use it first where the length of the run is known: it has nothing to tune, and theory and large
    comparisons agree on it.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Li et al. 2020, arXiv 1905.04753; Defazio et al. 2023, arXiv 2310.07831.

    >>> linear_to_zero(1.0, 4)(np.arange(5))
    array([1.  , 0.75, 0.5 , 0.25, 0.  ])
    """
    return lift(lambda step: learning_rate * (1 - _progress(step, steps)), learning_rate, floor)


@checked
def rex(learning_rate: Rate, steps: Count, *, d: Fraction = 0.5, floor: Fraction = 0.0) -> Schedule:
    """Stay high, then fall: rate(t) = learning_rate * z / (1 - d + d * z), where z = 1 - t / steps.

    d = 0 is the line to zero; the nearer d comes to 1, the longer the rate stays high.

    Use it for short budgets, where a line or a cosine gives up a high rate too early.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        d: 0 to below 1; the paper has 0.5.
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Chen, Wolfe & Kyrillidis 2022, arXiv 2107.04197.

    >>> rex(1.0, 4)(np.array([0, 2, 4])).round(4)
    array([1.    , 0.6667, 0.    ])
    """

    def rate(step: Steps) -> Floats:
        left = 1 - _progress(step, steps)
        return learning_rate * left / (1 - d + d * left)

    return lift(rate, learning_rate, floor)


@checked
def wsd(
    learning_rate: Rate,
    steps: Count,
    *,
    cooldown_steps: OptionalDuration = 0.2,
    cooldown: Literal["linear", "1-sqrt", "cosine"] = "1-sqrt",
    floor: Fraction = 0.0,
) -> Schedule:
    """Stay, then cool down: rate(t) = learning_rate * f(u), where u = (t - T + C) / C, and 0 before T - C.

    T is `steps`, C is `cooldown_steps`; f(u) is 1 - u (linear), 1 - sqrt(u), or (1 + cos(pi * u)) / 2
    (cosine).
    Warm-up, stable, decay: the warm-up is a composition, as for every schedule (`warmup=linear`).

    Use it where the length of the run is not settled: before the cool-down the rate does not depend on it.
    So one stable part could serve runs of several lengths, with only the cool-down trained for each; here
    that is not so yet: every run is trained from its first step.

    Args:
        learning_rate: the rate of the stable part; finite and >= 0.
        steps: the length of the run.
        cooldown_steps: steps, or a fraction of the run, of the cool-down; 0 to `steps`.
        cooldown: linear, 1-sqrt or cosine.
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Haegele et al. 2024, arXiv 2405.18392; Hu et al. 2024, arXiv 2404.06395;
        transformers.get_wsd_schedule.

    >>> wsd(1.0, 6, cooldown_steps=4)(np.arange(7)).round(4)
    array([1.    , 1.    , 1.    , 0.5   , 0.2929, 0.134 , 0.    ])
    """
    length = whole_steps("wsd: cooldown_steps", cooldown_steps, steps)
    if length > steps:
        raise UserError(
            f"wsd: cooldown_steps must be at most the {steps} steps of the run, got {cooldown_steps}"
        )
    shapes: dict[str, Callable[[Floats], Floats]] = {
        "linear": lambda done: 1 - done,
        "1-sqrt": lambda done: 1 - np.sqrt(done),
        "cosine": half_cosine,
    }

    def rate(step: Steps) -> Floats:
        since = np.asarray(step, np.float64) - (steps - length)
        # Without a cool-down every step of the run lies before it, whatever it is divided by.
        done = np.clip(since / max(length, 1), 0, 1)
        return learning_rate * shapes[cooldown](done)

    return lift(rate, learning_rate, floor)


def _progress(step: Steps, steps: int) -> Floats:
    """Return how much of the run is over, 0 to 1."""
    return np.minimum(np.asarray(step, np.float64) / steps, 1)
