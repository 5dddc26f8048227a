"""What is too large is refused before it is made, with what it would need."""

import itertools
import math
from collections.abc import Sequence

from ratelab.validation import UserError

MOST_WEIGHTS = 1_000_000_000
BYTES_A_WEIGHT = 16  # the weight, its gradient, and the two numbers that Adam keeps

__all__ = ["refuse_weights"]


def refuse_weights(input_shape: Sequence[int], hidden: Sequence[int], classes: int) -> None:
    """Raise UserError for an mlp of more weights than a machine can be expected to hold; none is made.

    >>> refuse_weights((28, 28), [1_000_000, 1_000_000], 10)
    Traceback (most recent call last):
    ratelab.validation.UserError: mlp: hidden makes 1,000,796,000,010 weights, ...
    """
    widths = [math.prod(input_shape), *hidden, classes]
    weights = sum((below + 1) * units for below, units in itertools.pairwise(widths))
    if weights > MOST_WEIGHTS:
        gibibytes = weights * BYTES_A_WEIGHT / 2**30
        raise UserError(
            f"mlp: hidden makes {weights:,} weights, which would need {gibibytes:,.0f} GiB to be trained; at "
            f"most there are {MOST_WEIGHTS:,}. Give fewer or smaller layers."
        )
