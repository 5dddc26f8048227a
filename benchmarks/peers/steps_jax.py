"""Contestants of `train_step.py`: JAX as most would write it, and as fast as we could make it for softmax."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from peers.steps import PIXELS, Array, Epoch, Workload, clocked

Model = tuple[Any, Callable[[Any, Any], Any]]  # its weights; from them and a batch to logits


def plain(work: Workload) -> Epoch:
    """Set up JAX as most would write it: one compiled scan over the epoch, W as [inputs, units]."""
    weights, apply = build(work)

    def loss(weights: Any, batch: Any, targets: Any) -> Any:
        given = batch if work.are_tokens else batch.astype(jnp.float32) * np.float32(1 / 255)
        chances = jax.nn.log_softmax(apply(weights, given))
        return -jnp.mean(jnp.take_along_axis(chances, targets[..., None], -1))

    def scan(inputs: Any, targets: Any, state: Any, order: Any, rates: Any) -> Any:
        def body(state: Any, now: Any) -> Any:
            indices, rate = now
            return update(loss, state, (inputs[indices], targets[indices]), rate)

        return jax.lax.scan(body, state, (order, rates))

    return compiled(work, work.inputs, scan, weights)


def tuned_softmax(work: Workload) -> Epoch:
    """Set up softmax regression in the fastest of some thirty spellings that we tried.

    Weights are kept as [10, 784] and logits as [10, batch]; the next batch is gathered one step ahead, as
    uint8, and carried through the loop, so that XLA does not fuse the gathering with the conversion.
    """

    def loss(state: Any, batch: Any, labels: Any) -> Any:
        weights, bias = state
        logits = weights @ batch.astype(jnp.float32).T * np.float32(1 / 255)
        chances = jax.nn.log_softmax(logits + bias[:, None], axis=0)
        return -jnp.mean(jnp.take_along_axis(chances, labels[None], 0))

    def scan(images: Any, labels: Any, state: Any, order: Any, rates: Any) -> Any:
        def body(carried: Any, now: Any) -> Any:
            (state, batch), (indices, following, rate) = carried, now
            state, value = update(loss, state, (batch, labels[indices]), rate)
            return (state, images[following]), value

        start = state, images[order[0]]
        (state, _), losses = jax.lax.scan(body, start, (order, jnp.roll(order, -1, 0), rates))
        return state, losses

    weights = work.weights().T, np.zeros(work.classes, np.float32)
    return compiled(work, work.inputs.reshape(-1, PIXELS), scan, weights)


def update(loss: Callable[..., Any], state: Any, batch: tuple[Any, Any], rate: Any) -> tuple[Any, Any]:
    """Return the weights after one step of SGD, and the loss before it."""
    value, slopes = jax.value_and_grad(loss)(state, *batch)
    return jax.tree.map(lambda old, slope: old - rate * slope, state, slopes), value


def compiled(work: Workload, inputs: Array, scan: Callable[..., Any], weights: Any) -> Epoch:
    """Compile `scan` and put the data where it runs."""
    run = jax.jit(scan)
    state = jax.tree.map(jnp.asarray, weights)
    given, targets = jnp.asarray(inputs), jnp.asarray(work.targets)

    def epoch() -> float:
        nonlocal state
        state, losses = run(given, targets, state, *work.next_epoch())
        return float(np.asarray(losses).mean())

    return clocked(work, epoch, sum(array.size for array in jax.tree.leaves(state)))


def build(work: Workload) -> Model:
    """Return the model that the work names."""
    if work.model == "transformer":
        return make_transformer(work, **work.arguments)
    if work.model == "cnn":
        return make_cnn(work, **work.arguments)
    sizes = [PIXELS, *work.arguments.get("hidden", []), work.classes]
    weights = [draw_dense(work, *pair) for pair in itertools.pairwise(sizes)]
    if work.model == "softmax":
        weights = [(work.weights(), weights[0][1])]

    def apply(weights: Any, images: Any) -> Any:
        h = images.reshape(len(images), -1)
        for layer in weights[:-1]:
            h = jax.nn.relu(dense(layer, h))
        return dense(weights[-1], h)

    return weights, apply


def make_cnn(work: Workload, filters: list[int]) -> Model:
    """Return convolutions with ReLU and pooling, then one dense layer."""
    side = 28 // 2 ** len(filters)
    pairs = zip([1, *filters], filters, strict=False)
    convolutions = [
        (draw(work, (3, 3, inputs, outputs), 9 * inputs), np.zeros(outputs, np.float32))
        for inputs, outputs in pairs
    ]
    head = draw_dense(work, filters[-1] * side**2, work.classes)

    def apply(weights: Any, images: Any) -> Any:
        convolutions, head = weights
        h = images[..., None]
        for kernel, bias in convolutions:
            axes = ("NHWC", "HWIO", "NHWC")
            h = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=axes)
            window = (1, 2, 2, 1)
            h = jax.lax.reduce_window(jax.nn.relu(h + bias), -jnp.inf, jax.lax.max, window, window, "VALID")
        return dense(head, h.reshape(len(h), -1))

    return (convolutions, head), apply


def make_transformer(work: Workload, layers: int, width: int, heads: int) -> Model:
    """Return a small decoder: causal attention and a pair of dense layers in each block, the norm first."""
    context = work.inputs.shape[1]

    def draw_block() -> dict[str, Any]:
        return {
            "norms": [draw_norm(width), draw_norm(width)],
            "attention": [draw_dense(work, width, 3 * width), draw_dense(work, width, width)],
            "pair": [draw_dense(work, width, 4 * width), draw_dense(work, 4 * width, width)],
        }

    def attend(weights: Any, h: Any) -> Any:
        into, out = weights
        q, k, v = jnp.split(dense(into, h).reshape(*h.shape[:2], 3 * heads, -1), 3, axis=2)
        mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        return dense(out, mixed.reshape(h.shape))

    def apply(weights: Any, tokens: Any) -> Any:
        h = weights["embedding"][tokens] + weights["positions"]
        for block in weights["blocks"]:
            h = h + attend(block["attention"], norm(block["norms"][0], h))
            wide = dense(block["pair"][0], norm(block["norms"][1], h))
            h = h + dense(block["pair"][1], jax.nn.gelu(wide, approximate=False))
        return dense(weights["head"], norm(weights["norm"], h))

    weights = {
        "embedding": draw(work, (work.classes, width), width),
        "positions": draw(work, (context, width), width),
        "blocks": [draw_block() for _ in range(layers)],
        "norm": draw_norm(width),
        "head": draw_dense(work, width, work.classes),
    }
    return weights, apply


def dense(weights: Any, h: Any) -> Any:
    """Return h W + b."""
    return h @ weights[0] + weights[1]


def norm(weights: Any, h: Any) -> Any:
    """Return h with mean 0 and variance 1 along its last axis, scaled and moved."""
    return jax.nn.standardize(h, epsilon=1e-3) * weights[0] + weights[1]


def draw(work: Workload, shape: tuple[int, ...], inputs: int) -> Array:
    """Draw weights of He's variance, 2 / inputs."""
    return work.rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / inputs))


def draw_dense(work: Workload, inputs: int, outputs: int) -> tuple[Array, Array]:
    """Draw W, [inputs, outputs], and b = 0."""
    return draw(work, (inputs, outputs), inputs), np.zeros(outputs, np.float32)


def draw_norm(width: int) -> tuple[Array, Array]:
    """Return the scale 1 and the place 0."""
    return np.ones(width, np.float32), np.zeros(width, np.float32)
