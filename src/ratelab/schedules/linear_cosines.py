"""A line times a cosine, without and with noise: two schedules that a search over formulas found."""

from typing import Annotated

import numpy as np
from pydantic import Field

from ratelab.schedules.durations import Duration, in_steps
from ratelab.schedules.interface import Rates, Schedule, Steps
from ratelab.validation import Count, Positive, Rate, checked

Seed = Annotated[int, Field(ge=0)]


@checked
def linear_cosine(
    learning_rate: Rate,
    steps: Count,
    *,
    decay_steps: Duration = 1.0,
    num_periods: Positive = 0.5,
    alpha: Rate = 0.0,
    beta: Rate = 0.001,
) -> Schedule:
    """Multiply a line and a cosine: rate(t) = learning_rate * ((alpha + 1 - x) * c + beta).

    x = min(t, decay_steps) / decay_steps, c = (1 + cos(2 * pi * num_periods * x)) / 2.

    Use it where a cosine is used; it falls faster in the middle of the run.

    Args:
        learning_rate: the base rate; step 0 has (1 + alpha + beta) times as much; finite and >= 0.
        steps: the length of the run.
        decay_steps: steps, or a fraction of the run, until the final rate; > 0.
        num_periods: periods of the cosine; > 0.
        alpha: added to the line; finite and >= 0.
        beta: added to the product, so the last rate; finite and >= 0.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Bello et al. 2017, arXiv 1709.07417; tf.train.linear_cosine_decay.

    >>> linear_cosine(1.0, 4, beta=0.0)(np.array([0, 2, 4]))
    array([1.  , 0.25, 0.  ])
    """
    period = in_steps(decay_steps, steps)

    def rate(step: Steps) -> Rates:
        line, wave = _line_and_wave(step, period, num_periods)
        return learning_rate * ((alpha + line) * wave + beta)

    return rate


@checked
def noisy_linear_cosine(
    learning_rate: Rate,
    steps: Count,
    *,
    seed: Seed = 0,
    decay_steps: Duration = 1.0,
    initial_variance: Rate = 1.0,
    variance_decay: Rate = 0.55,
    num_periods: Positive = 0.5,
    alpha: Rate = 0.0,
    beta: Rate = 0.001,
) -> Schedule:
    """Add noise to the line: rate(t) = learning_rate * max(0, (alpha + 1 - x + noise(t)) * c + beta).

    x and c as in `linear_cosine`. noise(t) is number t of the standard normal numbers of `seed`, times the
    root of initial_variance / (1 + t) ** variance_decay, in which t stops at decay_steps: the same seed and
    step give the same rate, whatever else was asked. TensorFlow 1 draws anew at each call and lets
    the rate become negative; here it stops at 0.

    Use it to find out whether noise in the rate helps, against `linear_cosine`, with several seeds.

    Args:
        learning_rate: the base rate; finite and >= 0.
        steps: the length of the run.
        seed: of the noise; >= 0. In conf/ it is the seed of the run.
        decay_steps: steps, or a fraction of the run, until the final rate; > 0.
        initial_variance: of the noise at step 0; finite and >= 0.
        variance_decay: the power of 1 + t by which the variance falls; finite and >= 0.
        num_periods: periods of the cosine; > 0.
        alpha: added to the line; finite and >= 0.
        beta: added to the product; finite and >= 0.

    Returns:
        A function from steps of any shape, whole and >= 0, to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Bello et al. 2017, arXiv 1709.07417; tf.train.noisy_linear_cosine_decay.

    >>> rates = noisy_linear_cosine(1.0, 4, seed=1)
    >>> rates(np.arange(4))[2] == rates(2)
    np.True_
    """
    period = in_steps(decay_steps, steps)

    def rate(step: Steps) -> Rates:
        line, wave = _line_and_wave(step, period, num_periods)
        spread = np.sqrt(initial_variance / (1 + np.minimum(step, period)) ** variance_decay)
        return learning_rate * np.maximum((alpha + line + spread * _normal(seed, step)) * wave + beta, 0)

    return rate


def _line_and_wave(step: Steps, period: float, num_periods: float) -> tuple[Rates, Rates]:
    done = np.minimum(np.asarray(step, np.float64) / period, 1)
    return 1 - done, (1 + np.cos(2 * np.pi * num_periods * done)) / 2


def _normal(seed: int, step: Steps) -> Rates:
    """Return number t of the stream of `seed`, for each step t; a stream does not depend on its length."""
    numbers = np.random.default_rng(seed).standard_normal(int(np.max(step, initial=0)) + 1)
    return numbers[np.asarray(step, np.int64)]
