"""Optimizers that divide by the root of what the squares of the gradients were: before and beside Adam."""

from functools import partial
from typing import Any

from ratelab.optimizers.decay import DecayOn, decay_first
from ratelab.optimizers.rule import Optimizer, Slots, Tensors, zeros
from ratelab.validation import Fraction, Positive, Rate, checked


@checked
def rmsprop(
    *,
    rho: Fraction = 0.9,
    momentum: Fraction = 0.0,
    epsilon: Positive = 1e-7,
    centered: bool = False,
    weight_decay: Rate = 0.0,
    decay_on: DecayOn = "all",
) -> Optimizer:
    """RMSprop: v <- rho v + (1 - rho) g^2, w <- w - rate g / sqrt(v + epsilon).

    With momentum b <- momentum b + rate g / sqrt(v + epsilon), w <- w - b. With `centered` the root is that
    of v - a^2 + epsilon, where a <- rho a + (1 - rho) g.

    Args:
        rho: decay of the mean of squares v, in [0, 1).
        momentum: in [0, 1).
        epsilon: added under the root; > 0.
        centered: divide by the deviation of the gradients and not by the root of their mean square.
        weight_decay: as for `adamw`; 0 is none, as in Keras.
        decay_on: as for `adamw`.

    Returns:
        The update rule, with a slot for v, one for b and one for a, where these are used.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Hinton 2012, lecture 6 of Neural Networks for Machine Learning; keras.optimizers.RMSprop.

    >>> rmsprop().slots, rmsprop(momentum=0.9, centered=True).slots
    (1, 3)
    """
    numbers = {"rho": rho, "gain": 1 - rho, "epsilon": epsilon}
    update = partial(_rmsprop_update, centered)
    # Without momentum there is no slot to carry, as in `sgd`.
    if momentum:
        numbers["momentum"] = momentum
        rule = Optimizer(2 + centered, update, numbers, None, lambda m: {"momentum": m})
    else:
        rule = Optimizer(1 + centered, update, numbers)
    return decay_first(rule, weight_decay, decay_on)


@checked
def adagrad(
    *,
    initial_accumulator_value: Rate = 0.1,
    epsilon: Positive = 1e-7,
    weight_decay: Rate = 0.0,
    decay_on: DecayOn = "all",
) -> Optimizer:
    """Adagrad: v <- v + g^2, w <- w - rate g / sqrt(v + epsilon).

    Its rate falls by itself; it asks for higher base rates than the others.

    Args:
        initial_accumulator_value: v before the first step; finite and >= 0.
        epsilon: added under the root; > 0.
        weight_decay: as for `adamw`; 0 is none, as in Keras.
        decay_on: as for `adamw`.

    Returns:
        The update rule, with one slot (v).

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Duchi et al. 2011, JMLR 12; keras.optimizers.Adagrad.

    >>> adagrad().slots
    1
    """

    def start(weights: Tensors) -> Slots:
        return [[zero + initial_accumulator_value for zero in zeros(weights)]]

    return decay_first(
        Optimizer(1, _adagrad_update, {"epsilon": epsilon}, start=start), weight_decay, decay_on
    )


@checked
def nadam(
    *,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-7,
    weight_decay: Rate = 0.0,
    decay_on: DecayOn = "all",
) -> Optimizer:
    """Adam with Nesterov's look-ahead: w <- w - rate m' / (sqrt(v / (1 - beta_2^n)) + epsilon), n = step + 1.

    m and v as in `adam`. m' = u(n + 1) m / (1 - U(n + 1)) + (1 - u(n)) g / (1 - U(n)), where
    u(n) = beta_1 (1 - 0.96^n / 2) and U(n) = u(1) u(2) ... u(n).

    Args:
        beta_1: as for `adam`.
        beta_2: as for `adam`.
        epsilon: as for `adam`.
        weight_decay: as for `adamw`; 0 is none, as in Keras.
        decay_on: as for `adamw`.

    Returns:
        The update rule; it carries m, v and U.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Dozat 2015, cs229.stanford.edu/proj2015/054_report.pdf; keras.optimizers.Nadam.

    >>> nadam().slots
    2
    """

    def start(weights: Tensors) -> Slots:
        import tensorflow as tf

        return [zeros(weights), zeros(weights), [tf.ones(())]]  # of no factors, U is 1

    numbers = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    rule = Optimizer(2, _nadam_update, numbers, numbers_of_momenta=lambda m: {"beta_1": m}, start=start)
    return decay_first(rule, weight_decay, decay_on)


def _rmsprop_update(
    centered: bool,
    _step: Any,
    rate: Any,
    weights: Tensors,
    gradients: Tensors,
    slots: Slots,
    *,
    rho: Any,
    gain: Any,
    epsilon: Any,
    momentum: Any = None,
) -> tuple[Tensors, Slots]:
    """Update the weights; the slots are v, then a if `centered`, then b where there is a momentum."""
    import tensorflow as tf

    squares = [rho * v + gain * tf.square(g) for v, g in zip(slots[0], gradients, strict=True)]
    after, below = [squares], squares
    if centered:
        means = [rho * a + gain * g for a, g in zip(slots[1], gradients, strict=True)]
        after = [squares, means]
        below = [v - tf.square(a) for v, a in zip(squares, means, strict=True)]
    moves = [rate * g / tf.sqrt(v + epsilon) for g, v in zip(gradients, below, strict=True)]
    if momentum is not None:
        moves = [momentum * b + move for b, move in zip(slots[-1], moves, strict=True)]
        after.append(moves)
    return [w - move for w, move in zip(weights, moves, strict=True)], after


def _adagrad_update(
    _step: Any, rate: Any, weights: Tensors, gradients: Tensors, slots: Slots, *, epsilon: Any
) -> tuple[Tensors, Slots]:
    """Update the weights; the slot is v."""
    import tensorflow as tf

    totals = [v + tf.square(g) for v, g in zip(slots[0], gradients, strict=True)]
    moves = [rate * g / tf.sqrt(v + epsilon) for g, v in zip(gradients, totals, strict=True)]
    return [w - move for w, move in zip(weights, moves, strict=True)], [totals]


def _nadam_update(
    step: Any,
    rate: Any,
    weights: Tensors,
    gradients: Tensors,
    slots: Slots,
    *,
    beta_1: Any,
    beta_2: Any,
    epsilon: Any,
) -> tuple[Tensors, Slots]:
    """Update the weights; the slots are m, v and U. 1 - beta is taken in float32, as Keras takes it here."""
    import tensorflow as tf

    n = tf.cast(step + 1, tf.float32)
    means, squares, (product,) = slots
    now, then = (beta_1 * (1 - 0.5 * tf.pow(0.96, m)) for m in (n, n + 1))
    product = product * now
    means = [m + (g - m) * (1 - beta_1) for m, g in zip(means, gradients, strict=True)]
    squares = [v + (tf.square(g) - v) * (1 - beta_2) for v, g in zip(squares, gradients, strict=True)]
    ahead = [
        then * m / (1 - product * then) + (1 - now) * g / (1 - product)
        for m, g in zip(means, gradients, strict=True)
    ]
    correction = 1 - tf.pow(beta_2, n)
    moved = [
        w - m * rate / (tf.sqrt(v / correction) + epsilon)
        for w, m, v in zip(weights, ahead, squares, strict=True)
    ]
    return moved, [means, squares, [product]]
