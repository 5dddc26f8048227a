"""The model as a function of its weights, from the inputs of a batch to its outputs."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ratelab.optimizers.rule import Weight
from ratelab.training.models_accepted import input_shape, list_layers
from ratelab.validation.blame import blame


class Network:
    """A Keras model whose weights are arguments, with those of plain dense layers as [units, inputs].

    The model is called as it is: nothing in it is copied, built anew or changed, so that whatever a user put
    into it (weights already set, frozen layers, a precision of its own, layers of one's own) is what trains.

    Args:
        model: maps a batch of inputs to outputs.
        scale: of the inputs, as in `Dataset`.

    Attributes:
        model: as given.
    """

    def __init__(self, model: Any, scale: float | None) -> None:
        import keras

        self.model = model
        self._scale, self._shape = scale, input_shape(model) or ()
        self._form = getattr(model, "input", None)
        # The very type: a subclass may compute something else.
        dense = [layer for layer in list_layers(model) if type(layer) is keras.layers.Dense and layer.built]
        trainable = {id(variable) for variable in model.trainable_variables}
        self._dense = [layer for layer in dense if id(layer.kernel) in trainable]
        kernels = {id(layer.kernel) for layer in self._dense}
        self._turned = [id(variable) in kernels for variable in model.trainable_variables]

    @property
    def weights(self) -> list[Weight]:
        """What the weights are that train, in their order."""
        return [Weight(variable.path, tuple(variable.shape)) for variable in self.model.trainable_variables]

    def turn(self, weights: Sequence[Any]) -> list[Any]:
        """Return weights as the model has them in the form of this network; twice gives back what was."""
        import tensorflow as tf

        return [
            tf.transpose(weight) if turned else weight
            for weight, turned in zip(weights, self._turned, strict=True)
        ]

    def state_of(self, model: Any) -> tuple[list[Any], list[Any]]:
        """Return the weights of a model of this form, as this network has them, and its other variables."""
        import tensorflow as tf

        weights = self.turn([tf.convert_to_tensor(variable) for variable in model.trainable_variables])
        return weights, [tf.convert_to_tensor(variable) for variable in model.non_trainable_variables]

    def inputs(self, batch: Any) -> Any:
        """Turn flat inputs, [batch, values], into what the model takes."""
        import tensorflow as tf

        if self._scale is not None:
            values = tf.cast(batch, tf.float32) * np.float32(self._scale)
        else:
            values = tf.cast(batch, tf.float32 if batch.dtype.is_floating else tf.int32)
        return tf.reshape(values, (batch.shape[0], *self._shape))

    def given(self, inputs: Any) -> Any:
        """Return a batch of inputs as the model takes it: a graph may want its one input in a list, say."""
        import keras

        return inputs if self._form is None else keras.tree.pack_sequence_as(self._form, [inputs])

    def call(self, weights: Sequence[Any], others: Sequence[Any], inputs: Any, *, training: bool) -> Any:
        """Apply the model to a batch of inputs; return what it gives, its other variables, its own losses.

        What it gives is what the task asks for only of a model that has been tried, see `Trial`.

        Raises:
            UserError: if the model raises anything.
        """
        import keras
        import tensorflow as tf

        model = self.model
        state = [
            *zip(model.trainable_variables, self.turn(weights), strict=True),
            *zip(model.non_trainable_variables, others, strict=True),
        ]
        given = self.given(inputs)
        # The model's own `stateless_call` goes past what Keras does around `call` when it trains: layers of a
        # subclassed model would not be told that this is training, and drop nothing.
        with (
            keras.StatelessScope(state, collect_losses=True) as scope,
            _multiply_along_rows(self._dense),
            blame(f"model: {type(model).__name__}, given inputs of shape {tuple(inputs.shape)},"),
        ):
            outputs = model(given, training=training)
            # Keras adds up the values of each, and adds in 32 bits under mixed precision, too.
            penalties = [tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in model.losses]
        others = [scope.get_current_value(variable) for variable in model.non_trainable_variables]
        return outputs, others, penalties

    def outputs(self, weights: Sequence[Any], others: Sequence[Any], inputs: Any, *, training: bool) -> Any:
        """Return the same as `call`, what the model gives as float32[batch, ...]."""
        import tensorflow as tf

        outputs, others, penalties = self.call(weights, others, inputs, training=training)
        # Under mixed precision they come in 16 bits, too few for a sum of exponentials.
        return tf.cast(outputs, tf.float32), others, penalties


@contextlib.contextmanager
def _multiply_along_rows(layers: Sequence[Any]) -> Iterator[None]:
    """Let dense layers compute the same by other products, inside of the block."""
    for layer in layers:
        layer.call = partial(_call_along_rows, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _call_along_rows(layer: Any, inputs: Any, training: bool | None = None) -> Any:
    """Return activation((kernel^T @ inputs^T + bias)^T), which is what a dense layer gives.

    The kernel is held as [units, inputs], so that its turn here and that in `Network` cancel each other, and
    the products of both directions run along rows. With the tutorial's [784, 10] the product for the gradient
    would write columns of ten numbers, which costs as much on a CPU as the rest of the step.
    """
    from keras import ops

    if len(inputs.shape) != 2:
        return type(layer).call(layer, inputs, training=training)
    columns = ops.matmul(ops.transpose(layer.kernel), ops.transpose(inputs))
    # The bias is added before the turn back: else XLA folds the turns into another, slower product.
    if layer.bias is not None:
        columns = columns + ops.expand_dims(layer.bias, 1)
    outputs = ops.transpose(columns)
    return outputs if layer.activation is None else layer.activation(outputs)
