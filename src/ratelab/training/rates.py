"""The rates of a run, an epoch at a time, whether they are known before training or decided on the way."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ratelab.schedules import Reactive, Schedule, momentum_of, tabulate
from ratelab.schedules.interface import evaluate
from ratelab.validation import UserError

Column = npt.NDArray[np.float32]  # a number for each step


class Rates(Protocol):
    """Gives the rates of one epoch after another; asked twice, it gives the same ones."""

    @property
    def table(self) -> Column | None:
        """float32[steps], the rates of the whole run; None where they are decided on the way."""

    def segment(self, steps: slice, losses: Sequence[float]) -> Column:
        """Return the rates of the updates `steps`, given the validation losses of all epochs before."""


class Tabulated:
    """Rates that are known.

    Args:
        table: float32[steps].
    """

    def __init__(self, table: Column) -> None:
        self.table: Column = table

    def segment(self, steps: slice, losses: Sequence[float]) -> Column:  # noqa: ARG002 - as in Rates
        """Return a part of the table."""
        return self.table[steps]


class Decided:
    """Rates that follow the validation loss; they are known an epoch at a time.

    Args:
        schedule: decides.
        factors: float64[steps], by what each rate is multiplied then.
        name: of the schedule, for messages.
    """

    table = None  # there is none before the run is over

    def __init__(self, schedule: Reactive, factors: npt.NDArray[np.float64], name: str) -> None:
        self._schedule, self._factors, self._name = schedule, factors, name

    def segment(self, steps: slice, losses: Sequence[float]) -> Column:
        """Ask the schedule; raise UserError for a rate that is negative or not finite."""
        # Multiplied in float64, before the one rounding in `tabulate`, as for rates that are known.
        return tabulate(
            lambda step: evaluate(lambda t: self._schedule.rates(t, losses), step) * self._factors[steps],
            steps.stop - steps.start,
            steps.start,
            self._name,
        )


def rates_of(
    schedule: Schedule | Reactive, factors: npt.NDArray[np.float64], name: str = "schedule"
) -> Rates:
    """Return the rates of a schedule, each multiplied by its factor, float64[steps], before it is rounded.

    Args:
        schedule: for as many steps as there are factors.
        factors: float64[steps].
        name: of the schedule, for messages.

    Raises:
        UserError: if it is no schedule, or a rate that is known now is negative or not finite.

    >>> rates_of(lambda step: 0.5 ** step, np.ones(3)).table
    array([1.  , 0.5 , 0.25], dtype=float32)
    """
    if isinstance(schedule, Reactive):
        return Decided(schedule, factors, name)
    if not callable(schedule):
        raise UserError(
            f"{name} must return a function of the step, or a list of rates, got {schedule!r:.80}; "
            "docs/your_own.md shows one."
        )
    table = tabulate(lambda step: evaluate(schedule, step, name) * factors, len(factors), name=name)
    return Tabulated(table)


def momenta_of(schedule: Any, steps: int) -> Column | None:
    """Return float32[steps], the momenta of a schedule that has a function `momentum`; else None.

    Raises:
        UserError: if a momentum is not in [0, 1), or there is not one a step.

    >>> from ratelab.schedules import one_cycle
    >>> momenta_of(one_cycle(1.0, 10, pct_start=0.5), 5)
    array([0.95      , 0.93535537, 0.9       , 0.86464465, 0.85      ],
          dtype=float32)
    """
    momentum = momentum_of(schedule)
    if momentum is None:
        return None
    if not callable(momentum):
        raise UserError(f"schedule: momentum must be a function of the step, got {momentum!r:.80}.")
    # Rounded before it is checked: the float64 just below 1 is a float32 of 1.
    momenta = evaluate(momentum, np.arange(steps), what="momentum").astype(np.float32)
    # Whatever is not within, so that nan is refused as well.
    bad = ~((momenta >= 0) & (momenta < 1))
    if bad.any():
        first = int(bad.argmax())
        raise UserError(f"schedule: the momentum must be in [0, 1), got {momenta[first]} at step {first}.")
    return momenta
