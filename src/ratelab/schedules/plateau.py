"""Schedules that react: the rates of an epoch are decided from the validation losses before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ratelab.validation import Count, Rate, checked

Factor = Annotated[float, Field(gt=0, lt=1)]
Epochs = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Reactive:
    """A schedule that waits for the validation loss; still a pure function.

    Attributes:
        rates: from the steps of the next epoch and the validation losses of all epochs before it to the
            rates of these steps.
    """

    rates: Callable[[npt.NDArray[Any], Sequence[float]], npt.NDArray[np.float64]]


@checked
def plateau(
    learning_rate: Rate,
    *,
    factor: Factor = 0.1,
    patience: Count = 10,
    min_delta: Rate = 1e-4,
    cooldown: Epochs = 0,
    min_rate: Rate = 0.0,
) -> Reactive:
    """Fall when the validation loss stays: rate(epoch) = rate(epoch - 1) * factor after `patience` epochs.

    A loss improves if loss + `min_delta` is below the best one; after a reduction `cooldown` epochs do not
    count. Exactly Keras' ReduceLROnPlateau on `val_loss`, mode "min", with its float32 rates and comparisons.

    Use it when nothing is known about how long a run must be.

    Args:
        learning_rate: of the first epoch; finite and >= 0.
        factor: in (0, 1).
        patience: epochs without improvement before a reduction; >= 1.
        min_delta: what counts as improvement; >= 0.
        cooldown: epochs after a reduction that do not count; >= 0.
        min_rate: the rate falls no further; >= 0.

    Returns:
        A schedule that takes one epoch at a time.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        keras.callbacks.ReduceLROnPlateau.

    >>> schedule = plateau(0.5, factor=0.5, patience=2)
    >>> [float(schedule.rates(np.arange(1), [1.0] * epochs)[0]) for epochs in range(6)]
    [0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    """

    # The whole history is gone through again for every epoch, which makes the schedule a pure function of it;
    # beside an epoch of training that costs nothing.
    def rate(losses: Sequence[float]) -> float:
        # Keras holds the rate in a float32 variable and compares in float32. In float64 a loss that is just
        # as low, or a rate just at `min_rate`, would be decided the other way, and every later epoch with it.
        current, best, waited, cooling = np.float32(learning_rate), None, 0, 0
        for loss in losses:
            if cooling > 0:
                cooling, waited = cooling - 1, 0
            if best is None or np.float32(loss + min_delta) < np.float32(best):
                best, waited = loss, 0
            elif cooling <= 0:
                waited += 1
                if waited >= patience and current > np.float32(min_rate):
                    current = np.float32(max(float(current) * factor, min_rate))
                    cooling, waited = cooldown, 0
        return float(current)

    return Reactive(lambda steps, losses: np.full(np.shape(steps), rate(losses), np.float64))
