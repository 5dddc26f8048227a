"""A rate that stays, and one that stays for a while."""

import numpy as np

from ratelab.schedules.durations import Duration, in_steps
from ratelab.schedules.interface import Floats, Schedule, Steps
from ratelab.validation import Count, Rate, UserError, checked


@checked
def fixed(learning_rate: Rate) -> Schedule:
    """Keep the base rate: rate(t) = learning_rate.

    Use it as the baseline: a schedule that does not beat the best fixed rate is not worth its keys.

    Args:
        learning_rate: the base rate, finite and >= 0.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if the rate is negative or not finite.

    References:
        Robbins & Monro 1951, A stochastic approximation method, which asks for more than this.

    >>> fixed(0.1)(np.arange(3))
    array([0.1, 0.1, 0.1])
    """
    return lambda step: np.full(np.shape(step), learning_rate, np.float64)


@checked
def piecewise(
    learning_rate: Rate, steps: Count, *, boundaries: list[Duration], factors: list[Rate]
) -> Schedule:
    """Hold a rate between boundaries: rate(t) = learning_rate * factors[i] for b[i-1] < t <= b[i].

    At a boundary the old rate still holds, as in Keras and TensorFlow 1; `staircase` and `join` have the new
    one there.

    Use it to repeat a published recipe, such as a tenth of the rate after a half and after three quarters of
    the run, for residual networks.

    Args:
        learning_rate: the base rate; finite and >= 0.
        steps: the length of the run.
        boundaries: where the rate changes, rising: steps, or fractions of the run.
        factors: of the base rate, one more than boundaries; finite and >= 0.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds, boundaries do not rise, or the numbers do not match.

    References:
        tf.train.piecewise_constant; keras.optimizers.schedules.PiecewiseConstantDecay;
        He et al. 2016, arXiv 1512.03385.

    >>> piecewise(1.0, 8, boundaries=[2, 0.5], factors=[1, 0.5, 0.25])(np.arange(6))
    array([1.  , 1.  , 1.  , 0.5 , 0.5 , 0.25])
    """
    edges = np.array([in_steps(boundary, steps) for boundary in boundaries])
    if (np.diff(edges) <= 0).any():
        raise UserError(f"piecewise: boundaries must rise, got {boundaries}")
    if len(factors) != len(boundaries) + 1:
        raise UserError(
            f"piecewise: factors must be one more than the {len(boundaries)} boundaries, got {factors}"
        )
    rates = learning_rate * np.array(factors, np.float64)

    def rate(step: Steps) -> Floats:
        # "left" puts a step that is a boundary before it, so that the old rate still holds there.
        return rates[np.searchsorted(edges, step, side="left")]

    return rate
