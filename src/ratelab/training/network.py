"""The model as a function of its weights, from bytes to logits."""

import functools
from typing import Any

import numpy as np

__all__ = ["Network", "turn_kernels"]


class Network:
    """A Keras model without weights of its own: they are arguments, with dense kernels as [units, inputs].

    Args:
        model: maps a batch of images to logits.
        largest: the value of a white pixel.
    """

    def __init__(self, model: Any, largest: float) -> None:
        self._template, self._turned = turn_kernels(model)
        self._scale = np.float32(1 / largest)

    def turn(self, weights: list[Any]) -> list[Any]:
        """Return weights as the model has them in the form of this network; twice gives back what was."""
        import tensorflow as tf

        return [
            tf.transpose(weight) if turned else weight
            for weight, turned in zip(weights, self._turned, strict=True)
        ]

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
        # Under mixed precision the logits come in 16 bits, too few for a sum of exponentials.
        return tf.cast(logits, tf.float32), others, penalties


def turn_kernels(model: Any) -> tuple[Any, list[bool]]:
    """Return a model like `model` with turned dense layers, and which trainable variables are turned.

    The new model is only a function of its weights: its own are drawn anew and not used. Dense layers with
    a regularizer stay as they are, and so does a model that is not Sequential.
    """
    import keras

    turned: set[int] = set()

    def replace(layer: Any) -> Any:
        # A subclass may compute something else, and a penalty may tell rows from columns.
        if type(layer) is not keras.layers.Dense or _is_penalised(layer) or len(layer.input.shape) != 2:
            return layer.__class__.from_config(layer.get_config())
        turned.add(id(layer.kernel))
        return _turned_dense()(units=layer.units, activation=layer.activation, use_bias=layer.use_bias)

    if not isinstance(model, keras.Sequential):
        return model, [False for _ in model.trainable_variables]
    copy = keras.models.clone_model(model, clone_function=replace)
    return copy, [id(variable) in turned for variable in model.trainable_variables]


def _is_penalised(layer: Any) -> bool:
    return any((layer.kernel_regularizer, layer.bias_regularizer, layer.activity_regularizer))


@functools.cache
def _turned_dense() -> Any:
    """Return the class of the turned layer; it cannot be made before Keras is imported."""
    import keras
    from keras import ops

    class TurnedDense(keras.layers.Layer):  # type: ignore[misc] # Keras is untyped
        """activation((kernel @ inputs^T + bias)^T), for inputs of rank 2."""

        def __init__(self, units: int, activation: Any, use_bias: bool) -> None:
            super().__init__()
            self.units, self.activation, self.use_bias = units, activation, use_bias

        def build(self, input_shape: tuple[int, ...]) -> None:
            # [units, inputs] and not [inputs, units], so that the products of both directions run along
            # rows. With the tutorial's [784, 10] the product for the gradient writes columns of ten
            # numbers, which costs as much on a CPU as the rest of the step.
            self.kernel = self.add_weight(shape=(self.units, input_shape[-1]))
            self.bias = self.add_weight(shape=(self.units,)) if self.use_bias else None

        def call(self, inputs: Any) -> Any:
            # The bias is added before the turn back: else XLA folds the turns into another, slower product.
            columns = ops.matmul(self.kernel, ops.transpose(inputs))
            if self.bias is not None:
                columns = columns + ops.expand_dims(self.bias, 1)
            return self.activation(ops.transpose(columns))

    return TurnedDense
