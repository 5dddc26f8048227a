"""The order of the examples in one epoch, a pure function of the seed and the number of the epoch."""

import numpy as np
import numpy.typing as npt

from ratelab.validation import UserError


def epoch_order(
    seed: np.random.SeedSequence, epoch: int, examples: int, batch_size: int
) -> npt.NDArray[np.int32]:
    """Return which examples each batch of an epoch holds; no other epoch has to be made before.

    Every epoch visits the examples in a new random order, each at most once. The incomplete last
    batch is dropped, so that all batches weigh the same.

    Args:
        seed: the stream of the batch order. Epoch e is its child e: spawn nothing else from it.
        epoch: counts from 0.
        examples: how many examples there are.
        batch_size: how many of them make a batch, at most `examples`.

    Returns:
        Indices of examples, int32 [examples // batch_size, batch_size].

    Raises:
        UserError: if `batch_size` is below 1 or above `examples`.

    >>> epoch_order(np.random.SeedSequence(0), epoch=3, examples=7, batch_size=3)
    array([[2, 3, 0],
           [4, 1, 6]], dtype=int32)
    """
    if not 1 <= batch_size <= examples:
        raise UserError(
            f"batch_size must be from 1 to {examples}, the number of training examples, got {batch_size!r}"
        )
    child = np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, epoch))
    steps = examples // batch_size
    order = np.random.default_rng(child).permutation(examples)[: steps * batch_size]
    return order.astype(np.int32).reshape(steps, batch_size)
