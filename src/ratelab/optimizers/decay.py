"""Weight decay that is not part of the gradient, and clipping: what stands in front of any update."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ratelab.optimizers.rule import Optimizer, Slots, Tensors, Weight

# The weights that a decay shrinks: all of them, as in Keras, or all but biases, scales and shifts.
DecayOn = Literal["all", "matrices"]


def clip_gradients(optimizer: Optimizer, clip_norm: float) -> Optimizer:
    """Return the optimizer for gradients that are scaled down to `clip_norm` where they are longer.

    Their length is that of the gradients of all weights together, as with `global_clipnorm` of Keras.
    """

    def update(
        step: Any, rate: Any, weights: Tensors, gradients: Tensors, slots: Slots, clip_norm: Any, **more: Any
    ) -> tuple[Tensors, Slots]:
        import tensorflow as tf

        # Given, since the sum that TensorFlow takes of itself cannot be lifted to the runs of a stack.
        norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradients]))
        clipped, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
        return optimizer.update(step, rate, weights, clipped, slots, **more)

    numbers = {**optimizer.hyperparameters, "clip_norm": clip_norm}
    return replace(optimizer, update=update, hyperparameters=numbers)


def decay_first(optimizer: Optimizer, weight_decay: float, decay_on: DecayOn) -> Optimizer:
    """Return the optimizer before whose update the weights shrink: w <- w (1 - rate weight_decay)."""
    # Without a decay its product is left out of the program, and plain Adam has the bits of plain Adam.
    if not weight_decay:
        return optimizer

    def update(
        step: Any,
        rate: Any,
        weights: Tensors,
        gradients: Tensors,
        slots: Slots,
        *,
        weight_decay: Any,
        decayed: Sequence[bool] | None = None,
        **more: Any,
    ) -> tuple[Tensors, Slots]:
        weights = shrink(weights, rate, [weight_decay] * len(weights), decayed)
        return optimizer.update(step, rate, weights, gradients, slots, **more)

    numbers = {**optimizer.hyperparameters, "weight_decay": weight_decay}
    return replace(optimizer, update=update, hyperparameters=numbers, by_weight=choose_decayed(decay_on))


def shrink(weights: Tensors, rate: Any, decays: Sequence[Any], decayed: Sequence[bool] | None) -> Tensors:
    """Take from each weight the part of its decay, in Keras' order of operations; `decayed` None: all."""
    chosen = [True] * len(weights) if decayed is None else decayed
    return [w - w * decay * rate if yes else w for w, decay, yes in zip(weights, decays, chosen, strict=True)]


def choose_decayed(decay_on: DecayOn) -> Callable[[Sequence[Weight]], Mapping[str, Any]] | None:
    """Return the `by_weight` of an optimizer whose update takes `decayed`, which is None for all weights."""
    if decay_on == "all":
        return None
    return lambda weights: {"decayed": [weight.is_matrix for weight in weights]}
