"""How long something lasts: a number of steps, or a fraction of the run."""

import math
from typing import Annotated

from pydantic import Field

from ratelab.validation import UserError

# A whole number, or one above 1.0, is steps; a float up to 1.0 is a fraction of the run.
Duration = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# The same, where 0 means "not at all".
OptionalDuration = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def in_steps(duration: float, steps: int | None) -> float:
    """Return a duration in steps: 250, 1.5 and 1 are steps, 0.25 and 1.0 are fractions of the run.

    Args:
        duration: >= 0.
        steps: the length of the run; None if it is not known, then every duration is in steps.

    Returns:
        Steps, not always a whole number of them.

    >>> in_steps(250, 1000), in_steps(0.25, 1000), in_steps(1.0, 1000), in_steps(1, 1000), in_steps(0.7, 10)
    (250.0, 250.0, 1000.0, 1.0, 7.0)
    """
    if isinstance(duration, int) or duration > 1 or steps is None:
        return float(duration)
    length = duration * steps
    whole = float(round(length))
    return whole if math.isclose(length, whole, rel_tol=1e-12) else length  # 0.7 * 10 is a little more than 7


def whole_steps(name: str, duration: float, steps: int) -> int:
    """Return a duration in whole steps; a fraction of the run is rounded to the nearest.

    Args:
        name: what to call it in the message.
        duration: >= 0.
        steps: the length of the run.

    Raises:
        UserError: for a number of steps that is not whole.

    >>> whole_steps("warmup_steps", 0.25, 10), whole_steps("warmup_steps", 3, 10)
    (2, 3)
    """
    length = in_steps(duration, steps)
    if duration > 1 and not length.is_integer():
        raise UserError(
            f"{name} must be a whole number of steps, or a fraction of the run up to 1.0, got {duration}"
        )
    return round(length)
