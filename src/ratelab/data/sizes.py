"""What is known of the built-in sets without loading them, and what a split may ask for."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field, WrapValidator

from ratelab.data.datasets import Dataset, Split
from ratelab.validation import Count, UserError

# Before validation takes its part; the shape and the type of an example. Each has ten classes.
BUILT_IN = {
    "ratelab.data.digits": (1_500, (8, 8), np.uint8),
    "ratelab.data.fashion_mnist": (60_000, (28, 28), np.uint8),
    "ratelab.data.mnist": (60_000, (28, 28), np.uint8),
    "ratelab.data.mnist1d": (4_000, (40,), np.float32),
}
CLASSES = 10

PART = 0.15  # of the examples, for validation and for the test, where nothing is said

Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _allow_part(size: Any, check: Callable[[Any], Any]) -> Any:
    return size if isinstance(size, float) and 0 < size < 1 else check(size)


# A number of examples, or a part of them.
HeldOut = Annotated[Count, WrapValidator(_allow_part)]


def training_examples(target: str) -> int | None:
    """Return how many examples the training part of a data set has, validation included; nothing is loaded.

    Args:
        target: the function that returns it, as in `data._target_`.

    Returns:
        None where only loading it can tell.

    >>> training_examples("ratelab.data.mnist"), training_examples("mine.data")
    (60000, None)
    """
    return BUILT_IN[target][0] if target in BUILT_IN else None


def outline(target: str) -> Dataset:
    """Return a data set that has the form of a built-in one, and an empty example of each class.

    >>> outline("ratelab.data.mnist").train.inputs.shape
    (10, 28, 28)
    """
    _, shape, kind = BUILT_IN[target]
    split = Split(np.zeros((CLASSES, *shape), kind), np.arange(CLASSES, dtype=np.int32))
    return Dataset(CLASSES, 1.0 if kind == np.uint8 else None, split, split, split, digest="")


def as_count(size: int | float, examples: int) -> int:
    """Return how many of the examples that are, at least one.

    >>> as_count(0.25, 10), as_count(3, 10)
    (2, 3)
    """
    return size if isinstance(size, int) else max(1, round(size * examples))


def count_of(size: int | float, examples: int, name: str) -> int:
    """Return how many of the examples a split gets: at least one, and not all.

    Raises:
        UserError: naming the argument, if that cannot be.

    >>> count_of(0.15, 10, "test_size"), count_of(3, 10, "test_size")
    (2, 3)
    """
    count = as_count(size, examples)
    if count >= examples:
        raise UserError(
            f"data.{name} must leave examples for training, at most {max(examples - 1, 0)} of {examples}, "
            f"got {size}."
        )
    return count


def counts_of(validation_size: int | float, test_size: int | float, examples: int) -> tuple[int, int]:
    """Return how many of the examples validate, and how many test.

    Raises:
        UserError: if nothing is left to train with.
    """
    validation = count_of(validation_size, examples, "validation_size")
    test = count_of(test_size, examples, "test_size")
    if validation + test >= examples:
        raise UserError(
            "data.validation_size and data.test_size must leave examples for training, got "
            f"{validation_size} and {test_size}: {validation} and {test} of {examples}."
        )
    return validation, test
