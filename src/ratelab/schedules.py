"""Learning-rate schedules: pure functions of the step, evaluated once, before training, into an array."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.plateau import plateau
from ratelab.validation import Count, Positive, Rate, UserError, checked

Steps = npt.NDArray[Any]
Schedule = Callable[[Steps], npt.NDArray[np.float64]]

__all__ = ["Schedule", "exponential", "fixed", "plateau", "tabulate"]


@checked
def fixed(learning_rate: Rate) -> Schedule:
    """Keep the base rate: rate(t) = learning_rate.

    Args:
        learning_rate: the base rate, finite and >= 0.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if the rate is negative or not finite.

    >>> fixed(0.1)(np.arange(3))
    array([0.1, 0.1, 0.1])
    """
    return lambda step: np.full(np.shape(step), learning_rate, np.float64)


@checked
def exponential(
    learning_rate: Rate, *, decay_steps: Positive, decay_rate: Positive, staircase: bool = False
) -> Schedule:
    """Decay by a factor: rate(t) = learning_rate * decay_rate ** (t / decay_steps).

    With `staircase` the exponent is floor(t / decay_steps): the rate falls in jumps, and the new value
    holds from the boundary on.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        decay_steps: steps for one factor of `decay_rate`; > 0.
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

    def rate(step: Steps) -> npt.NDArray[np.float64]:
        periods = np.asarray(step, np.float64) / decay_steps
        return learning_rate * np.float64(decay_rate) ** (np.floor(periods) if staircase else periods)

    return rate


@checked
def tabulate(schedule: Callable[..., Any], steps: Count, first: int = 0) -> npt.NDArray[np.float32]:
    """Evaluate a schedule at `steps` steps in float64, rounded once: what trains is what is logged.

    Args:
        schedule: a function from an array of steps to an array of rates of the same shape.
        steps: how many.
        first: the number of the first.

    Returns:
        float32[steps], read-only.

    Raises:
        UserError: if a rate is negative or not finite (the first such step is named), or the shape is wrong.

    >>> tabulate(fixed(0.5), 2)
    array([0.5, 0.5], dtype=float32)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rates = np.asarray(schedule(np.arange(first, first + steps)), np.float64).astype(np.float32)
    if rates.shape != (steps,):
        raise UserError(f"schedule: must return one rate a step, shape ({steps},), got {rates.shape}.")
    bad = ~np.isfinite(rates) | (rates < 0)
    if bad.any():
        worst = int(bad.argmax())
        raise UserError(
            f"schedule: the rate must be finite and >= 0, got {rates[worst]} at step {first + worst}."
        )
    rates.flags.writeable = False
    return rates
