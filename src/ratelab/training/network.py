"""The model as a function of its weights, from bytes to logits."""

from typing import Any

import numpy as np

from ratelab.training.dense import turn, with_turned_kernels

__all__ = ["Network"]


class Network:
    """A Keras model without weights of its own: they are arguments, with dense kernels as [units, inputs].

    Args:
        model: maps a batch of images to logits.
        largest: the value of a white pixel.
    """

    def __init__(self, model: Any, largest: float) -> None:
        self._template, self._turned = with_turned_kernels(model)
        self._scale = np.float32(1 / largest)

    def turn(self, weights: list[Any]) -> list[Any]:
        """Return weights as the model has them in the form of this network, or the other way round."""
        return turn(weights, self._turned)

    def pixels(self, batch: Any) -> Any:
        """Turn bytes [batch, pixels] into the model's input, from 0 to 1."""
        import tensorflow as tf

        return tf.reshape(
            tf.cast(batch, tf.float32) * self._scale, (batch.shape[0], *self._template.input_shape[1:])
        )

    def logits(self, weights: list[Any], others: list[Any], pixels: Any, *, training: bool) -> Any:
        """Apply the model to a batch of pixels; return logits, its other variables, its own losses."""
        import tensorflow as tf

        logits, others, penalties = self._template.stateless_call(
            weights, others, pixels, training=training, return_losses=True
        )
        return tf.cast(logits, tf.float32), others, penalties
