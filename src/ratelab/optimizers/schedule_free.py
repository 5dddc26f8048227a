"""Optimizers that average their weights, so that the rate need not fall."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ratelab.optimizers.decay import DecayOn, choose_decayed
from ratelab.optimizers.rule import Optimizer, Slots, Tensors, zeros
from ratelab.validation import Fraction, Positive, Rate, checked

# Not 0: then y would be z, and not a mean of both; the average would be kept and never used.
Momentum = Annotated[float, Field(gt=0, lt=1)]


@checked
def schedule_free_sgd(*, momentum: Momentum = 0.9) -> Optimizer:
    """Schedule-free gradient descent, g the gradient at y: z <- z - rate g; x <- (1 - c) x + c z.

    Then y <- (1 - momentum) z + momentum x. c = R^2 / (sum of R^2 so far), R the largest rate so far: all
    steps weigh the same but those of a warm-up, which weigh less. The average x is validated, tested and
    kept; moving averages of batch normalisation are those at y. For schedule=fixed, also with a warm-up.

    Args:
        momentum: in (0, 1).

    Returns:
        The update rule; it carries z, x, R and the sum.

    Raises:
        UserError: if momentum is out of bounds.

    References:
        Defazio et al. 2024, arXiv 2405.15682.

    >>> schedule_free_sgd(momentum=0.95).hyperparameters
    {'momentum': 0.95}
    """

    def update(
        _step: Any, rate: Any, _weights: Tensors, gradients: Tensors, slots: Slots, momentum: Any
    ) -> Any:
        z, x, totals = slots
        z = [one - rate * g for one, g in zip(z, gradients, strict=True)]
        x, totals = _average(x, z, rate, totals)
        return _interpolate(z, x, momentum), [z, x, totals]

    return Optimizer(
        2,
        update,
        {"momentum": momentum},
        numbers_of_momenta=lambda m: {"momentum": m},
        # z and x begin where the model does; what the loop calls the weights is y, where gradients are taken.
        start=lambda weights: [weights, weights, _zero_totals()],
        evaluated=lambda _weights, slots: slots[1],
    )


@checked
def schedule_free_adamw(
    *,
    weight_decay: Rate = 0.0,
    decay_on: DecayOn = "all",
    beta_1: Momentum = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-8,
) -> Optimizer:
    """`schedule_free_sgd` with g / (sqrt(v / (1 - beta_2^n)) + epsilon) + weight_decay y in place of g.

    v <- beta_2 v + (1 - beta_2) g^2, n = step + 1.

    Args:
        weight_decay: the decay, multiplied by the rate of the step; >= 0.
        decay_on: as for `adamw`.
        beta_1: the momentum of `schedule_free_sgd`, in (0, 1).
        beta_2: decay of the mean of squares v, in [0, 1).
        epsilon: added to the root; > 0.

    Returns:
        The update rule; it carries z, x, v, R and the sum.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Defazio et al. 2024, arXiv 2405.15682, algorithm 1.

    >>> schedule_free_adamw().momentum is None
    True
    """
    numbers = {"weight_decay": weight_decay, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    return Optimizer(
        3,
        _adamw_update,
        numbers | {"gain_2": 1 - beta_2},
        numbers_of_momenta=lambda m: {"beta_1": m},
        start=lambda weights: [weights, weights, zeros(weights), _zero_totals()],
        evaluated=lambda _weights, slots: slots[1],
        by_weight=choose_decayed(decay_on),
    )


def _adamw_update(
    step: Any,
    rate: Any,
    weights: Tensors,
    gradients: Tensors,
    slots: Slots,
    *,
    weight_decay: Any,
    beta_1: Any,
    beta_2: Any,
    gain_2: Any,
    epsilon: Any,
    decayed: Sequence[bool] | None = None,
) -> tuple[Tensors, Slots]:
    """Update z, x and v; the weights are y, and the decay is taken there, as in algorithm 1."""
    import tensorflow as tf

    z, x, squares, totals = slots
    correction = 1 - tf.pow(beta_2, tf.cast(step + 1, tf.float32))
    squares = [v + (tf.square(g) - v) * gain_2 for v, g in zip(squares, gradients, strict=True)]
    moves = [g / (tf.sqrt(v / correction) + epsilon) for g, v in zip(gradients, squares, strict=True)]
    chosen = [True] * len(weights) if decayed is None else decayed
    moves = [
        move + weight_decay * y if yes else move for move, y, yes in zip(moves, weights, chosen, strict=True)
    ]
    z = [one - rate * move for one, move in zip(z, moves, strict=True)]
    x, totals = _average(x, z, rate, totals)
    return _interpolate(z, x, beta_1), [z, x, squares, totals]


def _zero_totals() -> Tensors:
    """Return the largest rate so far and the sum of its squares, before the first step."""
    import tensorflow as tf

    return [tf.zeros(()), tf.zeros(())]


def _average(x: Tensors, z: Tensors, rate: Any, totals: Tensors) -> tuple[Tensors, Tensors]:
    """Return the average x with z added, and the totals with the rate added."""
    import tensorflow as tf

    largest = tf.maximum(totals[0], rate)
    total = totals[1] + tf.square(largest)
    # A warm-up begins at rate 0, where nothing has weight yet: then c is 0, and x stays.
    c = tf.math.divide_no_nan(tf.square(largest), total)
    return [(1 - c) * a + c * b for a, b in zip(x, z, strict=True)], [largest, total]


def _interpolate(z: Tensors, x: Tensors, momentum: Any) -> Tensors:
    """Return y, where the next gradient is taken."""
    return [(1 - momentum) * a + momentum * b for a, b in zip(z, x, strict=True)]
