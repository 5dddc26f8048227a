"""The floor of `train_step.py`: the bare matrix products of dense layers, by BLAS on one thread."""

import itertools
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from peers.steps import BATCH_SIZE, PIXELS, Array, Epoch, Workload, clocked

FLOOR_BATCHES = 8

Product = Callable[[Array], Array]


def products(work: Workload, *, turned: bool) -> Epoch:
    """Set up the products for weights as [inputs, units], or `turned`, [units, inputs]; check them once.

    They are those of each layer's outputs and of the gradient of its weights and, but for the first, of the
    gradient of its inputs. The first layer's inputs cycle over 8 batches, the others' are drawn once.
    """
    threadpool_limits(1)
    batches = work.head(FLOOR_BATCHES * BATCH_SIZE).prepared().reshape(FLOOR_BATCHES, BATCH_SIZE, PIXELS)
    sizes = [PIXELS, *work.arguments.get("hidden", []), work.classes]
    first, *rest = [draw_layer(work, *pair, turned=turned) for pair in itertools.pairwise(sizes)]
    inner = [
        (layer, work.rng.random((BATCH_SIZE, size), dtype=np.float32))
        for layer, size in zip(rest, sizes[1:], strict=False)
    ]

    def epoch() -> None:
        for step in range(work.steps):
            forward, gradient, _ = first
            forward(batches[step % FLOOR_BATCHES])
            gradient(batches[step % FLOOR_BATCHES])
            for layer, inputs in inner:
                for product in layer:
                    product(inputs)

    return clocked(work, epoch)


def draw_layer(work: Workload, inputs: int, outputs: int, *, turned: bool) -> tuple[Product, ...]:
    """Return the products of a layer: from its inputs, [batch, inputs], to each of the three results."""
    weights = work.rng.standard_normal((inputs, outputs), dtype=np.float32)
    slopes = work.rng.standard_normal((BATCH_SIZE, outputs), dtype=np.float32)
    back = np.empty((BATCH_SIZE, inputs), np.float32)
    if turned:
        w, s = np.ascontiguousarray(weights.T), np.ascontiguousarray(slopes.T)
        out, gradient = np.empty_like(s), np.empty_like(w)
        layer: tuple[Product, ...] = (
            lambda x: np.matmul(w, x.T, out=out),
            lambda x: np.matmul(s, x, out=gradient),
            lambda _: np.matmul(s.T, w, out=back),
        )
    else:
        out, gradient = np.empty_like(slopes), np.empty_like(weights)
        layer = (
            lambda x: np.matmul(x, weights, out=out),
            lambda x: np.matmul(x.T, slopes, out=gradient),
            lambda _: np.matmul(slopes, weights.T, out=back),
        )
    check(layer, weights, slopes, turned=turned)
    return layer


def check(layer: tuple[Product, ...], weights: Array, slopes: Array, *, turned: bool) -> None:
    """Raise AssertionError unless the products are those that they should be."""
    x = np.ones((BATCH_SIZE, len(weights)), np.float32)
    outputs, gradient, back = (product(x) for product in layer)
    turn = np.transpose if turned else np.asarray
    np.testing.assert_allclose(turn(outputs), np.einsum("bp,pc->bc", x, weights), atol=1e-3)
    np.testing.assert_allclose(turn(gradient), np.einsum("bp,bc->pc", x, slopes), atol=1e-3)
    np.testing.assert_allclose(back, np.einsum("bc,pc->bp", slopes, weights), atol=1e-3)
