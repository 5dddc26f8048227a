"""Rates that rise and fall: once, or again and again."""

from typing import Literal

import numpy as np

from ratelab.schedules.cosines import half_cosine
from ratelab.schedules.durations import Duration, in_steps
from ratelab.schedules.interface import Floats, Schedule, Steps, WithMomentum
from ratelab.validation import AtLeastOne, Count, Fraction, Positive, Rate, checked


@checked
def cyclic(
    learning_rate: Rate,
    steps: Count,
    *,
    step_size: Duration = 0.125,
    div_factor: AtLeastOne = 4.0,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Positive = 0.9999,
) -> Schedule:
    """Rise and fall in lines: rate(t) = low + (learning_rate - low) * triangle(t) * height(t).

    low = learning_rate / div_factor. triangle(t) goes from 0 to 1 in `step_size` steps, back in as many, and
    so on. height(t) is 1 for triangular, halves with each cycle for triangular2, gamma ** t for exp_range.

    Use it where the best rate is known only to within a factor: the rates between low and high
    are all visited, several times.

    Args:
        learning_rate: the highest rate, that of the first peak; finite and >= 0.
        steps: the length of the run.
        step_size: steps, or a fraction of the run, of half a cycle; > 0.
        div_factor: the highest rate over the lowest, that of step 0; >= 1.
        mode: triangular, triangular2 or exp_range.
        gamma: the factor of each step for exp_range; > 0.

    Returns:
        A function from steps of any shape to rates of the same shape.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Smith 2017, arXiv 1506.01186; torch.optim.lr_scheduler.CyclicLR.

    >>> cyclic(1.0, 8, step_size=2, div_factor=2.0)(np.arange(6))
    array([0.5 , 0.75, 1.  , 0.75, 0.5 , 0.75])
    """
    half, low = in_steps(step_size, steps), learning_rate / div_factor

    def height(t: Floats, cycle: Floats) -> Floats:
        if mode == "triangular":
            return np.ones_like(t)
        return np.exp2(-cycle) if mode == "triangular2" else np.float64(gamma) ** t

    def rate(step: Steps) -> Floats:
        t = np.asarray(step, np.float64)
        cycle = np.floor(t / (2 * half))
        triangle: Floats = 1 - np.abs(t / half - 2 * cycle - 1)
        return low + (learning_rate - low) * triangle * height(t, cycle)

    return rate


@checked
def one_cycle(
    learning_rate: Rate,
    steps: Count,
    *,
    pct_start: Fraction = 0.3,
    div_factor: AtLeastOne = 25.0,
    final_div_factor: AtLeastOne = 1e4,
    cycle_momentum: bool = True,
    base_momentum: Fraction = 0.85,
    max_momentum: Fraction = 0.95,
) -> Schedule:
    """Rise, then fall to almost nothing: rate(t) = b + (a - b) * (1 + cos(pi * u)) / 2.

    u goes from 0 to 1 twice. Up to t = pct_start * T - 1, where T is `steps`, a is the first rate,
    learning_rate / div_factor, and b the peak, learning_rate. From there to t = T - 1, a is the peak and b is
    1 / final_div_factor of the first rate. The momentum goes the other way: max_momentum, base_momentum at
    the peak, max_momentum again.

    Use it for short runs with a high peak, and with momentum.

    Args:
        learning_rate: the highest rate, that of the peak; finite and >= 0.
        steps: the length of the run, T.
        pct_start: how much of the run the rate rises; 0 to below 1.
        div_factor: the highest rate over the first; >= 1.
        final_div_factor: the first rate over the last; >= 1.
        cycle_momentum: give the schedule the attribute `momentum`, a function from steps to momenta.
        base_momentum: the lowest momentum, that of the peak; 0 to below 1.
        max_momentum: the highest momentum; 0 to below 1.

    Returns:
        A function from steps of any shape to rates of the same shape, with the attribute `momentum`.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Smith & Topin 2018, arXiv 1708.07120; torch.optim.lr_scheduler.OneCycleLR.

    >>> schedule = one_cycle(1.0, 10, pct_start=0.5)
    >>> schedule(np.array([0, 4, 9])), schedule.momentum(np.array([0, 4, 9]))
    (array([4.e-02, 1.e+00, 4.e-06]), array([0.95, 0.85, 0.95]))
    """
    # The first step is number 0 and the last T - 1, so the peak is at pct_start * T - 1, as in torch; it need
    # not be a whole step.
    peak, first = pct_start * steps - 1, learning_rate / div_factor

    def rate(step: Steps) -> Floats:
        return _pass_levels(step, peak, steps - 1, (first, learning_rate, first / final_div_factor))

    def momentum(step: Steps) -> Floats:
        return _pass_levels(step, peak, steps - 1, (max_momentum, base_momentum, max_momentum))

    return WithMomentum(rate, momentum) if cycle_momentum else rate


def _pass_levels(step: Steps, peak: float, last: int, levels: tuple[float, float, float]) -> Floats:
    """Go from the first level to the second at `peak`, then to the third at `last`, in half cosines."""
    t, (first, second, third) = np.asarray(step, np.float64), levels
    # A rise of one step or less has no room: the run begins after the peak.
    before = _interpolate(first, second, t / peak) if peak > 0 else np.full(t.shape, second)
    after = _interpolate(second, third, np.minimum((t - peak) / (last - peak), 1))
    return np.where((t <= peak) & (peak > 0), before, after)


def _interpolate(start: float, end: float, done: Floats) -> Floats:
    """Go from `start` to `end` in half a cosine while `done` goes from 0 to 1."""
    return end + (start - end) * half_cosine(done)
