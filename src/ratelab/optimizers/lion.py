"""Lion: every weight moves by the same amount, only the sign is learned from the gradients."""

from typing import Annotated, Any

from pydantic import Field

from ratelab.optimizers.decay import DecayOn, decay_first
from ratelab.optimizers.rule import Optimizer, Slots, Tensors
from ratelab.validation import Fraction, Rate, checked

# Not 0: then the sign would be that of the gradient alone, and the mean would be kept and never used.
Share = Annotated[float, Field(gt=0, le=1)]


@checked
def lion(
    *,
    beta_1: Share = 0.9,
    beta_2: Fraction = 0.99,
    weight_decay: Rate = 0.0,
    decay_on: DecayOn = "all",
) -> Optimizer:
    """Lion: w <- w - rate sign(beta_1 m + (1 - beta_1) g), then m <- beta_2 m + (1 - beta_2) g.

    Its steps are as long as the rate, in every weight: a tenth to a third of a rate for Adam suits it.

    Args:
        beta_1: the part of the mean in the sign; in (0, 1].
        beta_2: decay of the mean of gradients m, in [0, 1).
        weight_decay: as for `adamw`; 0 is none, as in Keras. The paper has 3 to 10 times that of AdamW.
        decay_on: as for `adamw`.

    Returns:
        The update rule, with one slot (m).

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Chen et al. 2023, arXiv 2302.06675; keras.optimizers.Lion.

    >>> lion().slots
    1
    """
    numbers = {"beta_1": beta_1, "beta_2": beta_2}
    rule = Optimizer(1, _update, numbers, numbers_of_momenta=lambda m: {"beta_1": m})
    return decay_first(rule, weight_decay, decay_on)


def _update(
    _step: Any, rate: Any, weights: Tensors, gradients: Tensors, slots: Slots, *, beta_1: Any, beta_2: Any
) -> tuple[Tensors, Slots]:
    """Move by the sign and then update the mean, both with 1 - beta in float32, as Keras takes it."""
    import tensorflow as tf

    (means,) = slots
    signs = [tf.sign(m * beta_1 + g * (1 - beta_1)) for m, g in zip(means, gradients, strict=True)]
    moved = [w - rate * sign for w, sign in zip(weights, signs, strict=True)]
    return moved, [[m * beta_2 + g * (1 - beta_2) for m, g in zip(means, gradients, strict=True)]]
