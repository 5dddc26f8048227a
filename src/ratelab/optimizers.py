"""Optimizers as pure updates that take the rate of the step; formulas and defaults are those of Keras."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.validation import Fraction, Positive, Rate, UserError, checked

Tensors = list[Any]
Slots = list[Tensors]
Momenta = npt.NDArray[np.floating[Any]]

__all__ = ["Optimizer", "adam", "adamw", "sgd"]


def _refuse_momenta(_momenta: Momenta) -> Mapping[str, Momenta]:
    raise UserError(
        "schedule: it changes the momentum, and this optimizer has none; set optimizer.momentum=0.9."
    )


def _as_trained(weights: Tensors, _slots: Slots) -> Tensors:
    return weights


@dataclass(frozen=True)
class Optimizer:
    """An update rule without state of its own.

    Attributes:
        slots: how many arrays like the weights it carries from step to step.
        update: (step, rate, weights, gradients, slots, **hyperparameters) -> (weights, slots); step counts
            from 0.
        hyperparameters: numbers that may differ between runs of one compiled program; `update` gets each as
            a scalar. A number that is not here is a part of the program.
        momentum: that of gradient descent; None where the update is another one.
        numbers_of_momenta: from the momenta of all steps to those hyperparameters that follow them, in a run
            whose schedule changes the momentum.
        start: from the first weights to the first slots; None: zeros.
        evaluated: from weights and slots to the weights that are validated, tested and kept.
    """

    slots: int
    update: Callable[..., tuple[Tensors, Slots]]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    momentum: float | None = None
    numbers_of_momenta: Callable[[Momenta], Mapping[str, Momenta]] = _refuse_momenta
    start: Callable[[Tensors], Slots] | None = None
    evaluated: Callable[[Tensors, Slots], Tensors] = _as_trained

    def first_slots(self, weights: Tensors) -> Slots:
        """Return the slots before the first step."""
        import tensorflow as tf

        if self.start is not None:
            return self.start(weights)
        return [[tf.zeros_like(w) for w in weights] for _ in range(self.slots)]


@checked
def sgd(*, momentum: Fraction = 0.0, nesterov: bool = False) -> Optimizer:
    """Gradient descent: w <- w - rate g; with momentum v <- momentum v - rate g, w <- w + v.

    With `nesterov`, w <- w + momentum v - rate g.

    Args:
        momentum: in [0, 1).
        nesterov: look ahead; needs momentum.

    Returns:
        The update rule, with no slot or one (the velocity).

    Raises:
        UserError: if momentum is out of bounds, or `nesterov` is set without it.

    References:
        keras.optimizers.SGD; Sutskever et al. 2013.

    >>> sgd(momentum=0.9).slots
    1
    """
    if nesterov and not momentum:
        raise UserError("sgd: nesterov needs momentum > 0, got 0; set optimizer.momentum=0.9.")

    def plain(_step: Any, rate: Any, weights: Tensors, gradients: Tensors, slots: Slots) -> Any:
        return [w - rate * g for w, g in zip(weights, gradients, strict=True)], slots

    def with_momentum(
        _step: Any, rate: Any, weights: Tensors, gradients: Tensors, slots: Slots, momentum: Any
    ) -> Any:
        velocity = [momentum * v - rate * g for v, g in zip(slots[0], gradients, strict=True)]
        moves = velocity
        if nesterov:
            moves = [momentum * v - rate * g for v, g in zip(velocity, gradients, strict=True)]
        return [w + m for w, m in zip(weights, moves, strict=True)], [velocity]

    if not momentum:
        return Optimizer(0, plain, momentum=0.0)
    return Optimizer(1, with_momentum, {"momentum": momentum}, momentum, lambda m: {"momentum": m})


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
    return adamw(weight_decay=0.0, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


@checked
def adamw(
    *,
    weight_decay: Rate = 0.004,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-7,
) -> Optimizer:
    """Adam after the weights have shrunk by themselves: w <- w (1 - rate weight_decay), then `adam`.

    Args:
        weight_decay: the decay, multiplied by the rate of the step; >= 0.
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
    numbers = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    # 1 - beta is taken in double precision, as Keras does
    numbers |= {"gain_1": 1 - beta_1, "gain_2": 1 - beta_2}
    if weight_decay:
        numbers["weight_decay"] = weight_decay
    return Optimizer(2, _adamw_update, numbers, numbers_of_momenta=_betas)


def _betas(momenta: Momenta) -> Mapping[str, Momenta]:
    """Let beta_1 be the momentum, as torch's OneCycleLR does."""
    return {"beta_1": momenta, "gain_1": 1 - momenta.astype(np.float64)}


def _adamw_update(
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
    weight_decay: Any = None,
) -> tuple[Tensors, Slots]:
    import tensorflow as tf

    n = tf.cast(step + 1, tf.float32)
    alpha = rate * tf.sqrt(1 - tf.pow(beta_2, n)) / (1 - tf.pow(beta_1, n))
    means = [m + (g - m) * gain_1 for m, g in zip(slots[0], gradients, strict=True)]
    squares = [v + (tf.square(g) - v) * gain_2 for v, g in zip(slots[1], gradients, strict=True)]
    if weight_decay is not None:
        weights = [w - w * weight_decay * rate for w in weights]
    moved = [w - m * alpha / (tf.sqrt(v) + epsilon) for w, m, v in zip(weights, means, squares, strict=True)]
    return moved, [means, squares]
