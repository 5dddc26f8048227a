"""Classification: cross entropy, judged by the accuracy."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ratelab.tasks.task import ACCURACY, ByExample, Metric, Targets, Task
from ratelab.validation import UserError, checked

Smoothing = Annotated[float, Field(ge=0, lt=1)]
Weights = Literal["balanced"] | Annotated[Sequence[float], Field(min_length=2)]


@checked
def classification(
    targets: Targets,
    classes: int | None,
    *,
    class_weights: Weights | None = None,
    label_smoothing: Smoothing = 0.0,
) -> Task:
    """Learn one class of several: loss = -sum_k q_k log softmax(outputs)_k, judged by the accuracy.

    q is 1 for the class of the example and 0 for the others; with smoothing s it is (1 - s) q + s / classes.

    Args:
        targets: of the training split, int32 [n].
        classes: how many there are, at least 2.
        class_weights: by how much the loss of an example of each class counts in training, as `class_weight`
            of Keras; "balanced": n / (classes * examples of the class), as scikit-learn; None: all 1.
        label_smoothing: s, in [0, 1); as in Keras it is a part of the loss on the other splits, too.

    Raises:
        UserError: if the targets are no classes, or the weights are not one a class.

    References:
        Szegedy et al. 2015, arXiv 1512.00567, section 7; keras.losses.CategoricalCrossentropy.

    >>> classification(np.int32([0, 1, 1]), 2).outcome
    Outcome(metric='accuracy', higher_is_better=True, worst=0.0)
    """
    if classes is None or targets.ndim != 1:
        found, other = ("numbers", "regression") if classes is None else ("rows of tokens", "next_token")
        raise UserError(
            f"task=classification: the targets of this data are no classes, but {found}; choose task={other}."
        )
    accuracy = Metric(is_right, ACCURACY.higher_is_better, ACCURACY.worst)
    loss: ByExample = cross_entropy
    in_xla: ByExample = cross_entropy_by_classes
    if label_smoothing:
        loss = in_xla = partial(_smooth_cross_entropy, label_smoothing)
    return Task(
        loss=loss,
        metrics={ACCURACY.metric: accuracy},
        judge=ACCURACY.metric,
        output_shape=(classes,),
        worst_loss=math.log(classes),
        logits=True,
        loss_in_xla=in_xla,
        weight=None if class_weights is None else _weigh(targets, classes, class_weights),
    )


def cross_entropy(targets: Any, logits: Any) -> Any:
    """Return -log softmax(logits)[target], from int32[batch, ...] and float32[batch, ..., classes]."""
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)


def cross_entropy_by_classes(targets: Any, logits: Any) -> Any:
    """Return the same as `cross_entropy`, computed on [classes, batch]: the faster form under XLA."""
    import tensorflow as tf

    # XLA cancels this turn against that of a turned dense layer, and both products of the layer stay along
    # rows: a twentieth of a step.
    columns = tf.transpose(logits)
    truth = tf.one_hot(targets, logits.shape[1], axis=0)
    return tf.reduce_logsumexp(columns, 0) - tf.reduce_sum(truth * columns, 0)


def is_right(targets: Any, logits: Any) -> Any:
    """Return 1 for each example whose class has the largest logit, else 0; float32[batch]."""
    import tensorflow as tf

    return tf.cast(tf.equal(tf.argmax(logits, 1, tf.int32), targets), tf.float32)


def _smooth_cross_entropy(smoothing: float, targets: Any, logits: Any) -> Any:
    """Return (1 - s) * cross entropy + s * the mean of -log softmax over the classes."""
    import tensorflow as tf

    logs = tf.nn.log_softmax(logits)
    truth = tf.one_hot(targets, logits.shape[1])
    return -(1 - smoothing) * tf.reduce_sum(truth * logs, 1) - smoothing * tf.reduce_mean(logs, 1)


def _weigh(targets: Targets, classes: int, weights: Any) -> Any:
    counts = np.bincount(targets, minlength=classes)
    if isinstance(weights, str):
        weights = len(targets) / (classes * counts)  # of a class without an example nothing is asked
    values = np.asarray(weights, np.float32)
    if values.shape != (classes,) or not (values >= 0).all():
        raise UserError(
            f"task.class_weights must be {classes} numbers >= 0, one a class, got {len(values)}: {weights}."
        )
    return partial(_look_up, values)


def _look_up(values: Any, targets: Any) -> Any:
    import tensorflow as tf

    return tf.gather(tf.constant(values), targets)
