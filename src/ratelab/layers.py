"""Layers that our models need and Keras lacks; imported where a model is built, since Keras takes seconds."""

from typing import Any

import keras

__all__ = ["Positions"]


@keras.saving.register_keras_serializable(package="ratelab")
class Positions(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Add a learned vector for each place to a row of vectors: [batch, places, width] -> the same.

    References:
        Vaswani et al. 2017, arXiv 1706.03762, section 3.5, the learned kind.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make a vector for each place."""
        start = keras.initializers.RandomNormal(stddev=0.02)
        self.vectors = self.add_weight(shape=input_shape[1:], initializer=start, name="vectors")

    def call(self, rows: Any) -> Any:
        """Return the sum."""
        return rows + self.vectors
