"""Muon: matrices move by their momentum made orthogonal, all other weights by AdamW.

O(x) is near to the orthogonal matrix that is nearest to x: x / |x|, then `ns_steps` times
x <- a x + (b A + c A A) x, where A = x x^T. A matrix is what has two axes and is not excluded. Before a
weight moves, by Muon or by AdamW, it shrinks by its decay: w <- w (1 - rate decay).

Its authors leave embeddings and the output layer to AdamW. The optimizer of Keras cannot know which layer is
the last, so by default it treats that one like the others, and so does this; they recommend `exclude_output`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ratelab.optimizers.adam import update_adam
from ratelab.optimizers.decay import DecayOn, choose_decayed, shrink
from ratelab.optimizers.rule import Momenta, Optimizer, Slots, Tensors, Weight
from ratelab.validation import Count, Fraction, Positive, Rate, UserError, checked, shorten

Coefficient = Annotated[float, Field(allow_inf_nan=False)]
MOST_NAMED = 6  # weights in a message


@checked
def muon(
    *,
    momentum: Fraction = 0.95,
    nesterov: bool = True,
    weight_decay: Rate = 0.004,
    decay_on: DecayOn = "all",
    rms_rate: Positive | None = 0.2,
    ns_steps: Count = 5,
    muon_a: Coefficient = 3.4445,
    muon_b: Coefficient = -4.775,
    muon_c: Coefficient = 2.0315,
    exclude_output: bool = False,
    exclude_embeddings: bool = True,
    exclude_layers: Sequence[str] = (),
    adam_lr_ratio: Positive = 1.0,
    adam_beta_1: Fraction = 0.9,
    adam_beta_2: Fraction = 0.999,
    adam_weight_decay: Rate = 0.004,
    epsilon: Positive = 1e-7,
) -> Optimizer:
    """Muon: m <- momentum m + g, w <- w - rate rms_rate sqrt(longer side of w) O(g + momentum m).

    Args:
        momentum: in [0, 1).
        nesterov: look ahead, as above; else O(m).
        weight_decay: of the matrices, multiplied by the rate of the step; >= 0.
        decay_on: as for `adamw`, for both decays.
        rms_rate: how long a step is, the root mean square of its numbers; None: w moves by rate O(...).
        ns_steps: iterations; > 0.
        muon_a: a of O, finite.
        muon_b: b of O, finite.
        muon_c: c of O, finite.
        exclude_output: leave the last matrix of the model, in the order of its layers, to AdamW.
        exclude_embeddings: leave what has "embedding" in its path to AdamW.
        exclude_layers: patterns; leave to AdamW what one of them is found in the path of, "dense/kernel".
        adam_lr_ratio: the rate of AdamW over that of the matrices; > 0.
        adam_beta_1: beta_1 of AdamW.
        adam_beta_2: beta_2 of AdamW.
        adam_weight_decay: of AdamW.
        epsilon: of AdamW.

    Returns:
        The update rule, with two slots, of which matrices use one.

    Raises:
        UserError: if an argument is out of its bounds, and later, for a pattern that no weight has.

    References:
        Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv 2502.16982.

    >>> muon().slots
    2
    """
    _check_patterns(exclude_layers)
    directions = _Directions(nesterov, rms_rate, ns_steps, (muon_a, muon_b, muon_c))
    chosen = _Chosen(exclude_output, exclude_embeddings, exclude_layers, decay_on)
    adam = _adam_numbers(adam_lr_ratio, adam_beta_1, adam_beta_2, adam_weight_decay, epsilon)
    numbers = adam | {"momentum": momentum, "loss": 1 - momentum, "weight_decay": weight_decay}
    return Optimizer(2, partial(_update, directions), numbers, None, _follow, by_weight=chosen.arguments)


@dataclass(frozen=True)
class _Directions:
    """How a matrix moves: the settings of `muon` that are a part of the program."""

    nesterov: bool
    rms_rate: float | None
    steps: int
    coefficients: tuple[float, float, float]

    def of(self, gradient: Any, mean: Any, momentum: Any) -> Any:
        """Return the direction: orthogonal, and as long as `rms_rate` wants it."""
        ahead = gradient + momentum * mean if self.nesterov else mean
        direction = _make_orthogonal(ahead, self.steps, self.coefficients)
        if self.rms_rate is None:
            return direction
        return math.sqrt(max(gradient.shape)) * self.rms_rate * direction


@dataclass(frozen=True)
class _Chosen:
    """Which weights move as matrices, and which of them shrink."""

    exclude_output: bool
    exclude_embeddings: bool
    exclude_layers: Sequence[str]
    decay_on: DecayOn

    def arguments(self, weights: Sequence[Weight]) -> dict[str, Any]:
        """Return what `_update` is told about each weight."""
        _refuse_unused(self.exclude_layers, weights)
        named = [*self.exclude_layers, *(["(?i)embedding"] if self.exclude_embeddings else [])]
        choose = choose_decayed(self.decay_on)
        orthogonal = _choose_orthogonal(weights, named, self.exclude_output)
        return {"orthogonal": orthogonal} | dict(choose(weights) if choose else {})


def _adam_numbers(
    ratio: float, beta_1: float, beta_2: float, weight_decay: float, epsilon: float
) -> dict[str, float]:
    """Return the hyperparameters of the weights that are no matrices."""
    return {
        "adam_lr_ratio": ratio,
        "adam_weight_decay": weight_decay,
        "epsilon": epsilon,
        "adam_beta_1": beta_1,
        "adam_beta_2": beta_2,
        "adam_gain_1": 1 - beta_1,  # in double precision, as in `adam`
        "adam_gain_2": 1 - beta_2,
    }


def _follow(momenta: Momenta) -> dict[str, Momenta]:
    """Let the momentum of the matrices be that of the schedule."""
    return {"momentum": momenta, "loss": 1 - momenta.astype(np.float64)}


def _check_patterns(patterns: Sequence[str]) -> None:
    """Raise UserError for what is no regular expression."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(
                f"muon: exclude_layers must be regular expressions, got {shorten(pattern)}: {error}."
            ) from None


def _refuse_unused(patterns: Sequence[str], weights: Sequence[Weight]) -> None:
    """Raise UserError for a pattern that is in no path: the layer that it means would not be excluded."""
    paths = [weight.path for weight in weights]
    for pattern in patterns:
        if not any(re.search(pattern, path) for path in paths):
            known = ", ".join(paths[:MOST_NAMED]) + (", ..." if len(paths) > MOST_NAMED else "")
            raise UserError(
                f"muon: exclude_layers must be in the path of a weight, got {shorten(pattern)}; "
                f"the model has {known}."
            )


def _choose_orthogonal(weights: Sequence[Weight], named: Sequence[str], exclude_output: bool) -> list[bool]:
    """Say of each weight whether its step is made orthogonal."""
    chosen = [len(weight.shape) == 2 for weight in weights]
    if exclude_output and any(chosen):
        chosen[max(place for place, yes in enumerate(chosen) if yes)] = False
    return [
        yes and not any(re.search(pattern, weight.path) for pattern in named)
        for yes, weight in zip(chosen, weights, strict=True)
    ]


def _update(
    directions: _Directions,
    step: Any,
    rate: Any,
    weights: Tensors,
    gradients: Tensors,
    slots: Slots,
    *,
    orthogonal: Sequence[bool],
    decayed: Sequence[bool] | None = None,
    momentum: Any,
    loss: Any,
    weight_decay: Any,
    adam_lr_ratio: Any,
    adam_weight_decay: Any,
    adam_beta_1: Any,
    adam_beta_2: Any,
    adam_gain_1: Any,
    adam_gain_2: Any,
    epsilon: Any,
) -> tuple[Tensors, Slots]:
    """Update the weights; the slots are the means m, of matrices and others, and v, of the others."""
    decays = [weight_decay if own else adam_weight_decay for own in orthogonal]
    weights = shrink(weights, rate, decays, decayed)
    moved, (means, squares) = update_adam(
        step,
        rate * adam_lr_ratio,
        _without(orthogonal, weights),
        _without(orthogonal, gradients),
        [_without(orthogonal, slot) for slot in slots],
        beta_1=adam_beta_1,
        beta_2=adam_beta_2,
        gain_1=adam_gain_1,
        gain_2=adam_gain_2,
        epsilon=epsilon,
    )
    by_adam = iter(zip(moved, means, squares, strict=True))
    after = []
    for own, w, g, m, v in zip(orthogonal, weights, gradients, *slots, strict=True):
        if own:
            mean = m + (g - m * loss)
            after.append((w - rate * directions.of(g, mean, momentum), mean, v))
        else:
            after.append(next(by_adam))
    moved, means, squares = ([one[place] for one in after] for place in range(3))
    return moved, [means, squares]


def _without(orthogonal: Sequence[bool], tensors: Tensors) -> Tensors:
    """Return what AdamW moves."""
    return [tensor for tensor, own in zip(tensors, orthogonal, strict=True) if not own]


def _make_orthogonal(matrix: Any, steps: int, coefficients: tuple[float, float, float]) -> Any:
    """Bring all singular values of a matrix near to 1, by Newton and Schulz' iteration of degree five."""
    import tensorflow as tf

    a, b, c = coefficients
    # The products are those of the shorter side, whichever way the matrix is held.
    tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if tall else matrix
    x = x / (tf.norm(x) + 1e-7)
    for _ in range(steps):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return tf.transpose(x) if tall else x
