"""Gradient descent, plain and with momentum."""

from typing import Any

from ratelab.optimizers.rule import Optimizer, Slots, Tensors
from ratelab.validation import Fraction, UserError, checked


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
        # Read when the program is made: whether to look ahead is no number that could differ within a stack.
        if nesterov:
            moves = [momentum * v - rate * g for v, g in zip(velocity, gradients, strict=True)]
        return [w + m for w, m in zip(weights, moves, strict=True)], [velocity]

    # Without momentum there is no slot to carry, so it is another program and not a momentum of 0.
    if not momentum:
        return Optimizer(0, plain, momentum=0.0)
    return Optimizer(1, with_momentum, {"momentum": momentum}, momentum, lambda m: {"momentum": m})
