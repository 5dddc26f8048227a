"""What a schedule is, and the table that is made of it before training."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.validation import Count, UserError, checked

Steps = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]  # rates, momenta, or parts of their formulas
Schedule = Callable[[Steps], Floats]
# Anything that makes a schedule from `learning_rate` and `steps`, or from those of them that it names.
Build = Callable[..., Schedule]


@dataclass(frozen=True)
class WithMomentum:
    """A schedule that moves the momentum as well: a function of the step with the attribute `momentum`.

    Attributes:
        rate: from steps to rates.
        momentum: from steps to momenta, of the same shape.

    >>> both = WithMomentum(rate=lambda t: 0.1 + 0 * t, momentum=lambda t: 0.9 + 0 * t)
    >>> both(np.arange(2)), both.momentum(np.arange(2))
    (array([0.1, 0.1]), array([0.9, 0.9]))
    """

    rate: Schedule
    momentum: Schedule

    def __call__(self, step: Steps) -> Floats:
        """Return the rates."""
        return self.rate(step)


def momentum_of(schedule: Callable[..., Any]) -> Schedule | None:
    """Return the function from steps to momenta that a schedule carries; None for most.

    >>> momentum_of(np.cos) is None
    True
    """
    return getattr(schedule, "momentum", None)


def build_schedule(build: Build, learning_rate: float, steps: int) -> Schedule:
    """Call `build` with those of the two that its signature names.

    >>> build_schedule(lambda steps: lambda step: step / steps, 0.1, 4)(np.array([1.0, 2.0]))
    array([0.25, 0.5 ])
    """
    supplied = {"learning_rate": learning_rate, "steps": steps}
    names = inspect.signature(build).parameters
    return build(**{name: value for name, value in supplied.items() if name in names})


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

    >>> tabulate(lambda step: 0.5 / (1 + step), 2)
    array([0.5 , 0.25], dtype=float32)
    """
    # In float64 and rounded once: formulas in float32 would be rounded at every operation, in an order that
    # differs between libraries. What overflows is not warned of but refused below, with its step.
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
    rates.flags.writeable = False  # what trains and what is logged are this one array
    return rates
