"""The cut of examples into training, validation and test: seeded, and with equal parts of each class."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.data.sizes import counts_of

Indices = npt.NDArray[np.intp]


def cut(
    targets: npt.NDArray[Any], validation_size: int | float, test_size: int | float, seed: int
) -> tuple[Indices, Indices, Indices]:
    """Return which examples train, validate and test, as `split_indices` does.

    Args:
        targets: of all examples; whole numbers, one an example, are classes.
        validation_size: how many examples validate, or which part of all.
        test_size: how many test, or which part of all.
        seed: decides which.

    Raises:
        UserError: if nothing is left to train with.
    """
    examples = len(targets)
    validation, test = counts_of(validation_size, test_size, examples)
    is_classes = targets.ndim == 1 and targets.dtype.kind == "i"
    classes = np.unique(targets, return_inverse=True)[1] if is_classes else None
    return split_indices(classes, examples, validation, test, seed)


def split_indices(
    classes: npt.NDArray[np.intp] | None, examples: int, validation: int, test: int, seed: int
) -> tuple[Indices, Indices, Indices]:
    """Return which examples train, validate and test; each is in exactly one of them.

    The test split is taken first, then the validation split from the rest. Where there are classes, each
    gives a split its part, rounded down or up; whose part is below one example is the first to be rounded up.

    Args:
        classes: of each example, from 0, [examples]; None: the examples are alike.
        examples: how many there are.
        validation: how many of them validate.
        test: how many of them test; together they are less than all.
        seed: decides which.

    Returns:
        Indices in ascending order, so that what lies in a file is read from its beginning to its end.

    >>> [part.tolist() for part in split_indices(np.int32([0, 0, 0, 1, 1, 1]), 6, 2, 2, seed=0)]
    [[0, 4], [1, 5], [2, 3]]
    """
    generator = np.random.default_rng(seed)
    alike = np.zeros(examples, np.intp) if classes is None else classes
    rest, tested = _take(np.arange(examples), alike, test, generator)
    trained, validated = _take(rest, alike, validation, generator)
    return trained, validated, tested


def _take(
    indices: Indices, classes: npt.NDArray[np.intp], size: int, generator: np.random.Generator
) -> tuple[Indices, Indices]:
    """Return the indices without `size` of them, and these."""
    own = classes[indices]
    seats = _share(np.bincount(own), size)
    order = generator.permutation(len(indices))
    by_class = order[np.argsort(own[order], kind="stable")]
    firsts = np.concatenate([[0], np.cumsum(np.bincount(own))[:-1]])
    places = np.concatenate([by_class[a : a + n] for a, n in zip(firsts, seats, strict=True)])
    taken = np.zeros(len(indices), bool)
    taken[places] = True
    return indices[~taken], indices[taken]


def _share(counts: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.intp]:
    """Return how many of each class make up `size` examples: its part of them, rounded down or up."""
    # Whole numbers throughout: a part that is whole must not be rounded up because of a rounding of floats.
    seats, remainders = np.divmod(counts * size, counts.sum())
    first = np.lexsort((-remainders, (seats > 0) | (remainders == 0)))
    seats[first[: size - seats.sum()]] += 1
    return seats
