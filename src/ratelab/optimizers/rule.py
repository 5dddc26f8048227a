"""An optimizer: a pure update that takes the rate of the step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Tensors = list[Any]
Slots = list[Tensors]
Momenta = npt.NDArray[np.floating[Any]]

__all__ = ["Optimizer", "zeros"]


def _keep(weights: Tensors, _slots: Slots) -> Tensors:
    """Let the weights that are trained be those that are evaluated."""
    return weights


@dataclass(frozen=True)
class Optimizer:
    """An update rule without state of its own.

    A `tf.Variable` inside it would tie it to one run: the loop carries the slots of all runs of a stack as
    arguments, and lifts an update that is written for one.

    Attributes:
        slots: how many arrays like the weights it carries from step to step.
        update: (step, rate, weights, gradients, slots, **hyperparameters) -> (weights, slots); step counts
            from 0.
        hyperparameters: numbers that may differ between runs of one compiled program; `update` gets each as
            a scalar. A number that is not here is a part of the program.
        momentum: that of gradient descent; None where the update is another one.
        numbers_of_momenta: from the momenta of all steps to those hyperparameters that follow them, in a run
            whose schedule changes the momentum; None: there is no momentum, and only the rate changes.
        start: from the first weights to the first slots; None: zeros.
        evaluated: from weights and slots to the weights that are validated, tested and kept.
    """

    slots: int
    update: Callable[..., tuple[Tensors, Slots]]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    momentum: float | None = None
    numbers_of_momenta: Callable[[Momenta], Mapping[str, Momenta]] | None = None
    start: Callable[[Tensors], Slots] | None = None
    evaluated: Callable[[Tensors, Slots], Tensors] = _keep

    def first_slots(self, weights: Tensors) -> Slots:
        """Return the slots before the first step."""
        if self.start is not None:
            return self.start(weights)
        return [zeros(weights) for _ in range(self.slots)]


def zeros(weights: Tensors) -> Tensors:
    """Return zeros like the weights, one for each."""
    import tensorflow as tf

    return [tf.zeros_like(w) for w in weights]
