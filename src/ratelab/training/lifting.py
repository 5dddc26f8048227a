"""Written for one job, lifted to many."""

from collections.abc import Callable
from typing import Any

__all__ = ["lifted"]


def lifted(function: Callable[[Any], Any], size: int) -> Callable[[Any], Any]:
    """Return `function` for `size` jobs at once: arguments and results get the axis of the jobs in front."""
    import tensorflow as tf

    def one(arguments: Any) -> Any:
        result = function(tf.nest.map_structure(lambda x: tf.squeeze(x, 0), arguments))
        return tf.nest.map_structure(lambda x: tf.expand_dims(x, 0), result)

    def many(arguments: Any) -> Any:
        return tf.vectorized_map(function, arguments, fallback_to_while_loop=False)

    return one if size == 1 else many
