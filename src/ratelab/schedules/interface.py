"""What a schedule is, and the table that is made of it before training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.schedules.plateau import Reactive
from ratelab.validation import Count, UserError, checked, name_of, signature_of
from ratelab.validation.blame import blame

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

    Args:
        build: makes a schedule. It may return a function of an array of steps, one of a single step, or a
            list of rates, one for each of `steps`.
        learning_rate: the base rate.
        steps: the length of the run, or of the part of it that the schedule has.

    Returns:
        A function of an array of steps, whichever of these it was; what is `Reactive` stays so, and whatever
        is no schedule at all.

    Raises:
        UserError: if there is not one rate for each of the steps.

    >>> build_schedule(lambda steps: lambda step: step / steps, 0.1, 4)(np.array([1.0, 2.0]))
    array([0.25, 0.5 ])
    """
    supplied = {"learning_rate": learning_rate, "steps": steps}
    names = signature_of(build).parameters
    made = build(**{name: value for name, value in supplied.items() if name in names})
    name = f"schedule: what {getattr(build, '__qualname__', name_of(build))} returned"
    if isinstance(made, Reactive):
        decide = made.rates

        def decide_rates(step: Steps, losses: Sequence[float]) -> Floats:
            return evaluate(lambda t: decide(t, losses), step, name)

        return Reactive(decide_rates)
    momentum = momentum_of(made)
    rate: Schedule = _as_function(made, steps, name, "rate")
    if momentum is None:
        return rate
    return WithMomentum(rate, _as_function(momentum, steps, name, "momentum"))


def evaluate(function: Callable[..., Any], steps: Any, name: str = "schedule", what: str = "rate") -> Floats:
    """Return what a function of the step gives for `steps`.

    It is asked for all of them at once. A function with an `if`, or of the module math, takes no array and
    raises something: then it is asked for each step as a number.

    Args:
        function: of the step.
        steps: of any shape; whole numbers.
        name: of the function, for messages.
        what: it gives for a step.

    Returns:
        float64, of the shape of `steps`.

    Raises:
        UserError: naming the first step for which it raises something or gives no real number.

    >>> evaluate(lambda step: 0.1 if step < 2 else 0.01, np.arange(3))
    array([0.1 , 0.1 , 0.01])
    """
    asked = np.asarray(steps)
    # What overflows or divides by zero is not warned of: the rate is refused later, with its step.
    with np.errstate(all="ignore"):
        try:
            with blame(f"{name}, asked for all steps at once,", _Unanswered):
                found = np.asarray(function(asked.copy()))  # a copy, since the function may change it
        except _Unanswered as refusal:
            return _evaluate_one_by_one(function, asked, name, what, refusal)
        if asked.size == found.size == 1:  # a function of one step took it for a number
            found = found.reshape(asked.shape)
        if found.shape != asked.shape:
            raise UserError(f"{name}: must return one {what} a step, shape {asked.shape}, got {found.shape}.")
        return _real_numbers(found, asked, name, what)


@checked
def tabulate(
    schedule: Callable[..., Any], steps: Count, first: int = 0, name: str = "schedule"
) -> npt.NDArray[np.float32]:
    """Evaluate a schedule at `steps` steps in float64, rounded once: what trains is what is logged.

    Args:
        schedule: a function from an array of steps to an array of rates of the same shape.
        steps: how many.
        first: the number of the first.
        name: of the schedule, for messages.

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
        rates = evaluate(schedule, np.arange(first, first + steps), name).astype(np.float32)
    bad = ~np.isfinite(rates) | (rates < 0)
    if bad.any():
        worst = int(bad.argmax())
        raise UserError(
            f"{name}: the rate must be finite and >= 0, got {rates[worst]} at step {first + worst}."
        )
    rates.flags.writeable = False  # what trains and what is logged are this one array
    return rates


class _Unanswered(UserError):  # noqa: N818 - it names what happened to the question
    """A function raised something when it was asked."""


def _as_function(made: Any, steps: int, name: str, what: str) -> Any:
    """Return a function of an array of steps from what a user's function returned, if it is any schedule."""
    if isinstance(made, list | tuple | np.ndarray):
        table = made
        if len(table) != steps:
            raise UserError(f"{name}: must have one {what} a step, {steps} of them, got {len(table)}.")
        return lambda step: evaluate(table.__getitem__, step, name, what)
    if not callable(made):
        return made
    return lambda step: evaluate(made, step, name, what)


def _evaluate_one_by_one(
    function: Callable[..., Any], asked: npt.NDArray[Any], name: str, what: str, at_once: UserError
) -> Floats:
    """Ask for each step as a Python number; tell both refusals where they are of two kinds."""
    values = []
    for step in asked.flat:
        one = int(step) if step == int(step) else float(step)
        try:
            with blame(f"{name}, asked for step {one},", _Unanswered):
                value = np.asarray(function(one))
        except _Unanswered as alone:
            same = type(alone.__cause__) is type(at_once.__cause__)
            raise UserError(str(alone) if same else f"{at_once}; {alone}") from alone.__cause__
        if value.shape != ():
            raise UserError(f"{name}: must return one {what} for step {one}, got shape {value.shape}.")
        values.append(value.item())
    return _real_numbers(np.array(values, object).reshape(asked.shape), asked, name, what)


def _real_numbers(found: npt.NDArray[Any], asked: npt.NDArray[Any], name: str, what: str) -> Floats:
    """Return float64 of any kind of real numbers; the first value that is none is named with its step."""
    if found.dtype.kind in "iuf":
        return np.asarray(found, np.float64)
    values = found.ravel().tolist()  # Python's own numbers, also of bfloat16, which NumPy does not know
    for step, value in zip(asked.flat, values, strict=True):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise UserError(f"{name}: the {what} must be a real number, got {value!r:.80} at step {step:g}.")
    with blame(f"{name}: a {what}"):  # an integer may be too large
        return np.array([float(value) for value in values]).reshape(asked.shape)
