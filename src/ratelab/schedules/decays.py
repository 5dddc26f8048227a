"""Decays that go on for ever: what is left shrinks, and never is nothing."""

import numpy as np

from ratelab.schedules.durations import Duration, in_steps
from ratelab.schedules.interface import Floats, Schedule, Steps
from ratelab.validation import Count, Positive, Rate, checked


@checked
def exponential(
    learning_rate: Rate,
    steps: Count | None = None,
    *,
    decay_steps: Duration,
    decay_rate: Positive,
    staircase: bool = False,
) -> Schedule:
    """Decay by a factor: rate(t) = learning_rate * decay_rate ** (t / decay_steps).

    With `staircase` the exponent is floor(t / decay_steps): the rate falls in jumps, and the new value
    holds from the boundary on.

    Use it where the length of the run is open, and to repeat the tutorial.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run, needed only for a fraction of it.
        decay_steps: steps for one factor of `decay_rate`, or a fraction of the run if `steps` is given; > 0.
        decay_rate: the factor; > 0 (above 1 the rate grows).
        staircase: fall in jumps and not smoothly.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        tf.train.exponential_decay; keras.optimizers.schedules.ExponentialDecay.

    >>> exponential(0.1, decay_steps=10, decay_rate=0.5)(np.array([0, 10, 20]))
    array([0.1  , 0.05 , 0.025])
    >>> exponential(0.1, decay_steps=10, decay_rate=0.5, staircase=True)(np.array([0, 9, 10]))
    array([0.1 , 0.1 , 0.05])
    """

    def rate(step: Steps) -> Floats:
        return learning_rate * np.float64(decay_rate) ** _periods(step, decay_steps, steps, staircase)

    return rate


@checked
def natural_exp(
    learning_rate: Rate,
    steps: Count,
    *,
    decay_steps: Duration = 1.0,
    decay_rate: Rate = 3.0,
    staircase: bool = False,
) -> Schedule:
    """Decay as exp does: rate(t) = learning_rate * exp(-decay_rate * t / decay_steps).

    With `staircase` it is floor(t / decay_steps), and the new value holds from the boundary on. It is
    `exponential` with another name for the factor: exp(-decay_rate).

    Use it where a recipe of TensorFlow 1 gives the exponent.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        decay_steps: steps, or a fraction of the run, for one factor of exp(-decay_rate); > 0.
        decay_rate: the exponent; finite and >= 0.
        staircase: fall in jumps and not smoothly.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        tf.train.natural_exp_decay.

    >>> natural_exp(0.1, 10, decay_steps=5, decay_rate=1.0)(np.array([0, 5])).round(4)
    array([0.1   , 0.0368])
    """

    def rate(step: Steps) -> Floats:
        return learning_rate * np.exp(-decay_rate * _periods(step, decay_steps, steps, staircase))

    return rate


@checked
def inverse_time(
    learning_rate: Rate,
    steps: Count,
    *,
    decay_steps: Duration = 1.0,
    decay_rate: Rate = 9.0,
    staircase: bool = False,
) -> Schedule:
    """Decay as 1/t does: rate(t) = learning_rate / (1 + decay_rate * t / decay_steps).

    With `staircase` it is floor(t / decay_steps), and the new value holds from the boundary on.

    Use it for convex problems, softmax regression among them: 1/t is what the classical proofs ask for.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        decay_steps: steps, or a fraction of the run, for one more `decay_rate` in the denominator; > 0.
        decay_rate: finite and >= 0.
        staircase: fall in jumps and not smoothly.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        tf.train.inverse_time_decay; keras.optimizers.schedules.InverseTimeDecay; Robbins & Monro 1951.

    >>> inverse_time(0.1, 10, decay_steps=5, decay_rate=1.0)(np.array([0, 5]))
    array([0.1 , 0.05])
    """

    def rate(step: Steps) -> Floats:
        return learning_rate / (1 + decay_rate * _periods(step, decay_steps, steps, staircase))

    return rate


@checked
def inverse_sqrt(learning_rate: Rate, steps: Count, *, timescale: Duration = 0.1) -> Schedule:
    """Decay as 1/sqrt(t) does: rate(t) = learning_rate * sqrt(timescale / (t + timescale)).

    With a warm-up of W steps in front this is sqrt(timescale / (t + timescale - W)) from step W on, as in
    transformers' get_inverse_sqrt_schedule.

    Use it with a warm-up, for transformers whose training has no fixed end.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        timescale: steps, or a fraction of the run, after which 1/sqrt(2) is left; > 0.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        transformers.get_inverse_sqrt_schedule; Vaswani et al. 2017, arXiv 1706.03762;
        Zhai et al. 2021, arXiv 2106.04560.

    >>> inverse_sqrt(0.1, 100, timescale=4)(np.array([0, 12]))
    array([0.1 , 0.05])
    """
    scale = in_steps(timescale, steps)

    def rate(step: Steps) -> Floats:
        return learning_rate * np.sqrt(scale / (np.asarray(step, np.float64) + scale))

    return rate


def _periods(step: Steps, decay_steps: float, steps: int | None, staircase: bool) -> Floats:
    """Return t / decay_steps, rounded down for a staircase."""
    periods = np.asarray(step, np.float64) / in_steps(decay_steps, steps)
    return np.floor(periods) if staircase else periods
