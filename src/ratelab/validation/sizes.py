"""What is too large is refused before it is made, with what it would need."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from ratelab.validation import UserError

MOST_WEIGHTS = 1_000_000_000
BYTES_A_WEIGHT = 16  # the weight, its gradient, and the two numbers that Adam keeps


def _check_size(size: float) -> float:
    if not (0 < size < 1 or (isinstance(size, int) and size >= 1)):
        raise PydanticCustomError("size", "must be a number of examples, or a part of them between 0 and 1")
    return size


Size = Annotated[int | float, AfterValidator(_check_size)]


def count_mlp_weights(input_shape: Sequence[int], hidden: Sequence[int], outputs: int) -> int:
    """Return how many weights fully connected layers have.

    >>> count_mlp_weights((2, 2), [3], 1)
    19
    """
    widths = [math.prod(input_shape), *hidden, outputs]
    return sum((below + 1) * units for below, units in itertools.pairwise(widths))


def refuse_weights(argument: str, weights: int) -> None:
    """Raise UserError for more weights than a machine can be expected to hold, before any is made.

    >>> refuse_weights("mlp: hidden", 10**12)
    Traceback (most recent call last):
    ratelab.validation.UserError: mlp: hidden makes 1,000,000,000,000 weights, ...
    """
    if weights > MOST_WEIGHTS:
        gibibytes = weights * BYTES_A_WEIGHT / 2**30
        raise UserError(
            f"{argument} makes {weights:,} weights, which would need {gibibytes:,.0f} GiB to be trained; at "
            f"most there are {MOST_WEIGHTS:,}. Give fewer or smaller layers."
        )
