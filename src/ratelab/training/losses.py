"""The loss of a batch: softmax cross entropy, in the form that suits the compiler, and its mean."""

from typing import Any

__all__ = ["cross_entropy", "cross_entropy_by_classes", "mean_of_first"]


def cross_entropy(labels: Any, logits: Any) -> Any:
    """Return -log softmax(logits)[label] of each example, from int32[batch] and float32[batch, classes]."""
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def cross_entropy_by_classes(labels: Any, logits: Any) -> Any:
    """Return the same, computed on [classes, batch].

    XLA cancels the turn against that of a turned dense layer, and both its products stay along rows: a
    twentieth of a step.
    """
    import tensorflow as tf

    columns = tf.transpose(logits)
    truth = tf.one_hot(labels, logits.shape[1], axis=0)
    return tf.reduce_logsumexp(columns, 0) - tf.reduce_sum(truth * columns, 0)


def mean_of_first(size: Any, values: Any) -> Any:
    """Return the mean of the first `size` of `values`; the others are padding and get no gradient."""
    import tensorflow as tf

    used = tf.range(values.shape[0]) < size
    return tf.reduce_sum(tf.where(used, values, 0.0)) / tf.cast(size, tf.float32)
