"""Half a cosine, one half after another, and a line times a cosine, without and with noise."""

from typing import Annotated

import numpy as np
from pydantic import Field

from ratelab.schedules.durations import Duration, in_steps
from ratelab.schedules.floors import lift
from ratelab.schedules.interface import Floats, Schedule, Steps
from ratelab.validation import AtLeastOne, Count, Fraction, Positive, Rate, UserError, checked

Seed = Annotated[int, Field(ge=0)]


@checked
def cosine(
    learning_rate: Rate,
    steps: Count,
    *,
    decay_steps: Duration = 1.0,
    alpha: Rate = 0.0,
    floor: Fraction = 0.0,
) -> Schedule:
    """Follow half a cosine: rate(t) = learning_rate * (alpha + (1 - alpha) * (1 + cos(pi * x)) / 2).

    x = min(t, decay_steps) / decay_steps; after it the rate stays at learning_rate * alpha.

    Use it as the usual choice for networks trained for a known number of steps.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        decay_steps: steps, or a fraction of the run, until the final rate; > 0.
        alpha: the final rate as a part of the base rate; finite and >= 0.
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Loshchilov & Hutter 2017, arXiv 1608.03983; tf.train.cosine_decay;
        keras.optimizers.schedules.CosineDecay.

    >>> cosine(1.0, 4)(np.arange(5)).round(4)
    array([1.    , 0.8536, 0.5   , 0.1464, 0.    ])
    """
    period = in_steps(decay_steps, steps)

    def rate(step: Steps) -> Floats:
        done = np.minimum(np.asarray(step, np.float64) / period, 1)
        return learning_rate * (alpha + (1 - alpha) * half_cosine(done))

    return lift(rate, learning_rate, floor)


@checked
def cosine_restarts(
    learning_rate: Rate,
    steps: Count,
    *,
    first_decay_steps: Duration = 0.25,
    t_mul: AtLeastOne = 1.0,
    m_mul: Positive = 1.0,
    alpha: Rate = 0.0,
    floor: Fraction = 0.0,
) -> Schedule:
    """Restart the cosine: rate(t) = learning_rate * (alpha + (1 - alpha) * m_mul^i * (1 + cos(pi * x)) / 2).

    i counts the restarts before t, x is how much of period i is over. Period i lasts
    first_decay_steps * t_mul^i; at its first step the rate is high again.

    Use it to have good weights before the end, one set a period, and to leave narrow minima.

    Args:
        learning_rate: the base rate, the one of step 0; finite and >= 0.
        steps: the length of the run.
        first_decay_steps: steps, or a fraction of the run, of the first period; at least one step.
        t_mul: how much longer each period is than the one before; >= 1.
        m_mul: how much lower each begins than the one before; > 0.
        alpha: the lowest rate as a part of the base rate; finite and >= 0.
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Loshchilov & Hutter 2017, arXiv 1608.03983; tf.train.cosine_decay_restarts;
        keras.optimizers.schedules.CosineDecayRestarts.

    >>> cosine_restarts(1.0, 6, first_decay_steps=2, t_mul=2.0, m_mul=0.5)(np.arange(7)).round(4)
    array([1.    , 0.5   , 0.5   , 0.4268, 0.25  , 0.0732, 0.25  ])
    """
    first = in_steps(first_decay_steps, steps)
    if first < 1:
        raise UserError(
            f"cosine_restarts: first_decay_steps must be one step or more of {steps}, got {first_decay_steps}"
        )

    def rate(step: Steps) -> Floats:
        t = np.asarray(step, np.float64)
        # TensorFlow takes the period from a logarithm, which near a restart may round to its wrong side.
        starts = _list_starts(first, t_mul, float(np.max(t, initial=0)))
        period = np.searchsorted(starts, t, side="right") - 1
        done = (t - starts[period]) / (first * t_mul**period)
        return learning_rate * (alpha + (1 - alpha) * m_mul**period * half_cosine(done))

    return lift(rate, learning_rate, floor)


@checked
def linear_cosine(
    learning_rate: Rate,
    steps: Count,
    *,
    decay_steps: Duration = 1.0,
    num_periods: Positive = 0.5,
    alpha: Rate = 0.0,
    beta: Rate = 0.001,
    floor: Fraction = 0.0,
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
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

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

    def rate(step: Steps) -> Floats:
        line, wave = _line_and_wave(step, period, num_periods)
        return learning_rate * ((alpha + line) * wave + beta)

    return lift(rate, learning_rate, floor)


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
    floor: Fraction = 0.0,
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
        floor: the part of the base rate that the rate falls to instead of 0: the whole course f(t) becomes
            floor * learning_rate + (1 - floor) * f(t); 0 to below 1.

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

    def rate(step: Steps) -> Floats:
        line, wave = _line_and_wave(step, period, num_periods)
        spread = np.sqrt(initial_variance / (1 + np.minimum(step, period)) ** variance_decay)
        return learning_rate * np.maximum((alpha + line + spread * _normal(seed, step)) * wave + beta, 0)

    return lift(rate, learning_rate, floor)


def half_cosine(done: Floats) -> Floats:
    """Go from 1 to 0 while `done` goes from 0 to 1."""
    return (1 + np.cos(np.pi * done)) / 2


def _list_starts(first: float, factor: float, last: float) -> Floats:
    """Return where the periods up to step `last` begin; each is `factor` times as long as the one before."""
    if factor == 1:
        return first * np.arange(np.floor(last / first) + 1)
    # Period n begins at first * (factor^n - 1) / (factor - 1). Solved for n at `last`, and one more, so that
    # rounding cannot leave one out.
    beyond = last / first * (factor - 1)
    # A factor beyond float64 gives one period that never ends.
    periods = np.floor(np.log1p(beyond) / np.log(factor)) + 2 if np.isfinite(beyond) else 2
    lengths = first * factor ** np.arange(periods)
    return np.concatenate([[0.0], np.cumsum(lengths)])


def _line_and_wave(step: Steps, period: float, num_periods: float) -> tuple[Floats, Floats]:
    """Return 1 - x and c, as `linear_cosine` names them."""
    done = np.minimum(np.asarray(step, np.float64) / period, 1)
    return 1 - done, (1 + np.cos(2 * np.pi * num_periods * done)) / 2


def _normal(seed: int, step: Steps) -> Floats:
    """Return number t of the stream of `seed`, for each step t; a stream does not depend on its length."""
    numbers = np.random.default_rng(seed).standard_normal(int(np.max(step, initial=0)) + 1)
    return numbers[np.asarray(step, np.int64)]
