"""Adam, with and without weight decay."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ratelab.optimizers.decay import DecayOn, decay_first
from ratelab.optimizers.rule import Momenta, Optimizer, Slots, Tensors
from ratelab.validation import Fraction, Positive, Rate, checked


@checked
def adam(*, beta_1: Fraction = 0.9, beta_2: Fraction = 0.999, epsilon: Positive = 1e-7) -> Optimizer:
    """Adam: w <- w - rate sqrt(1 - beta_2^n) / (1 - beta_1^n) m / (sqrt(v) + epsilon), n = step + 1.

    Args:
        beta_1: decay of the mean of gradients m, in [0, 1).
        beta_2: decay of the mean of squares v, in [0, 1).
        epsilon: added to the root; > 0.

    Returns:
        The update rule, with two slots (m and v).

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Kingma & Ba 2015, arXiv 1412.6980; keras.optimizers.Adam.

    >>> adam().slots
    2
    """
    numbers = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    # 1 - beta is taken in double precision, as Keras does: from the float32 of 0.999 it is off by 1e-5.
    numbers |= {"gain_1": 1 - beta_1, "gain_2": 1 - beta_2}
    return Optimizer(2, update_adam, numbers, numbers_of_momenta=_betas)


@checked
def adamw(
    *,
    weight_decay: Rate = 0.004,
    decay_on: DecayOn = "all",
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-7,
) -> Optimizer:
    """Adam after the weights have shrunk by themselves: w <- w (1 - rate weight_decay), then `adam`.

    Args:
        weight_decay: the decay, multiplied by the rate of the step; >= 0.
        decay_on: which weights shrink: "all", or "matrices", that is, neither biases nor the scales and
            shifts of normalisations.
        beta_1: as for `adam`.
        beta_2: as for `adam`.
        epsilon: as for `adam`.

    Returns:
        The update rule, with two slots.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Loshchilov & Hutter 2019, arXiv 1711.05101; keras.optimizers.AdamW.

    >>> adamw(weight_decay=0.01).slots
    2
    """
    return decay_first(adam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon), weight_decay, decay_on)


def _betas(momenta: Momenta) -> Mapping[str, Momenta]:
    """Let beta_1 be the momentum, as torch's OneCycleLR does."""
    return {"beta_1": momenta, "gain_1": 1 - momenta.astype(np.float64)}


def update_adam(
    step: Any,
    rate: Any,
    weights: Tensors,
    gradients: Tensors,
    slots: Slots,
    *,
    beta_1: Any,
    beta_2: Any,
    gain_1: Any,
    gain_2: Any,
    epsilon: Any,
) -> tuple[Tensors, Slots]:
    """Update the weights; the slots are m and v, in Keras' order of operations.

    m and v are not corrected one by one: both corrections are in the rate, as at the end of section 2 of the
    paper, so that `epsilon` is added to a root that is not corrected.
    """
    import tensorflow as tf

    n = tf.cast(step + 1, tf.float32)
    alpha = rate * tf.sqrt(1 - tf.pow(beta_2, n)) / (1 - tf.pow(beta_1, n))
    means = [m + (g - m) * gain_1 for m, g in zip(slots[0], gradients, strict=True)]
    squares = [v + (tf.square(g) - v) * gain_2 for v, g in zip(slots[1], gradients, strict=True)]
    moved = [w - m * alpha / (tf.sqrt(v) + epsilon) for w, m, v in zip(weights, means, squares, strict=True)]
    return moved, [means, squares]
