"""A rate that stays until the run nears its end."""

from typing import Literal

import numpy as np

from ratelab.schedules.cosines import half_cosine
from ratelab.schedules.durations import OptionalDuration, whole_steps
from ratelab.schedules.interface import Rates, Schedule, Steps
from ratelab.validation import Count, Rate, UserError, checked


@checked
def wsd(
    learning_rate: Rate,
    steps: Count,
    *,
    cooldown_steps: OptionalDuration = 0.2,
    cooldown: Literal["linear", "1-sqrt", "cosine"] = "1-sqrt",
) -> Schedule:
    """Stay, then cool down: rate(t) = learning_rate * f(u), where u = (t - T + C) / C, and 0 before T - C.

    T is `steps`, C is `cooldown_steps`; f(u) is 1 - u (linear), 1 - sqrt(u), or (1 + cos(pi * u)) / 2
    (cosine).
    Warm-up, stable, decay: the warm-up is a composition, as for every schedule (`warmup=linear`).

    Use it where runs of several lengths are wanted: the stable part of the longest serves them all, and
    only the cool-down is trained for each.

    Args:
        learning_rate: the rate of the stable part; finite and >= 0.
        steps: the length of the run.
        cooldown_steps: steps, or a fraction of the run, of the cool-down; 0 to `steps`.
        cooldown: linear, 1-sqrt or cosine.

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
    shapes = {"linear": _linear, "1-sqrt": _one_minus_sqrt, "cosine": half_cosine}

    def rate(step: Steps) -> Rates:
        since = np.asarray(step, np.float64) - (steps - length)
        return learning_rate * shapes[cooldown](np.clip(since / max(length, 1), 0, 1))

    return rate


def _linear(done: Rates) -> Rates:
    return 1 - done


def _one_minus_sqrt(done: Rates) -> Rates:
    return 1 - np.sqrt(done)
