"""An optimizer: a pure update that takes the rate of the step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Tensors = list[Any]
Slots = list[Tensors]
Momenta = npt.NDArray[np.floating[Any]]

# By name, since the bias of an attention or a GRU has two axes, and so may the scale of a normalisation.
SHIFTS_AND_SCALES = {"bias", "beta", "gamma", "scale"}


def _keep(weights: Tensors, _slots: Slots) -> Tensors:
    """Let the weights that are trained be those that are evaluated."""
    return weights


@dataclass(frozen=True)
class Weight:
    """What is known of a weight before training.

    Attributes:
        path: the names of its layers and its own, as Keras has them: "dense/kernel".
        shape: as the model has it.

    >>> Weight("dense/kernel", (784, 10)).is_matrix, Weight("attention/query/bias", (4, 16)).is_matrix
    (True, False)
    """

    path: str
    shape: tuple[int, ...]

    @property
    def is_matrix(self) -> bool:
        """Whether it has two axes or more, and is no bias and not of a normalisation."""
        return len(self.shape) > 1 and self.path.rpartition("/")[2] not in SHIFTS_AND_SCALES


@dataclass(frozen=True)
class Optimizer:
    """An update rule without state of its own.

    A `tf.Variable` inside it would tie it to one run: the loop carries the slots of all runs of a stack as
    arguments, and lifts an update that is written for one.

    Attributes:
        slots: how many arrays like the weights it carries from step to step.
        update: `(step, rate, weights, gradients, slots, **hyperparameters) -> (weights, slots)`; step
            counts from 0.
        hyperparameters: numbers that may differ between runs of one compiled program; `update` gets each as
            a scalar. A number that is not here is a part of the program.
        momentum: that of gradient descent; None where the update is another one.
        numbers_of_momenta: from the momenta of all steps to those hyperparameters that follow them, in a run
            whose schedule changes the momentum; None: there is no momentum, and only the rate changes.
        start: from the first weights to the first slots; None: zeros.
        evaluated: from weights and slots to the weights that are validated, tested and kept.
        by_weight: from the `Weight`s of a model to more arguments of `update`, which are a part of the
            program; None: all weights are treated alike.
    """

    slots: int
    update: Callable[..., tuple[Tensors, Slots]]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    momentum: float | None = None
    numbers_of_momenta: Callable[[Momenta], Mapping[str, Momenta]] | None = None
    start: Callable[[Tensors], Slots] | None = None
    evaluated: Callable[[Tensors, Slots], Tensors] = _keep
    by_weight: Callable[[Sequence[Weight]], Mapping[str, Any]] | None = None

    def first_slots(self, weights: Tensors) -> Slots:
        """Return the slots before the first step."""
        if self.start is not None:
            return self.start(weights)
        return [zeros(weights) for _ in range(self.slots)]

    def for_weights(self, weights: Sequence[Weight]) -> "Optimizer":
        """Return the optimizer whose `update` knows which weights it is given."""
        if self.by_weight is None:
            return self
        return replace(self, update=partial(self.update, **self.by_weight(weights)), by_weight=None)


def zeros(weights: Tensors) -> Tensors:
    """Return zeros like the weights, one for each."""
    import tensorflow as tf

    return [tf.zeros_like(w) for w in weights]
