"""Which models the loop accepts, and which of them XLA and stacking suit."""

from typing import Any

import numpy as np

from ratelab.data import Dataset
from ratelab.validation import UserError

__all__ = ["check_model", "is_by_example", "is_dense", "list_layers"]


def list_layers(model: Any) -> list[Any]:
    """Return all layers of a model, those inside of layers too; the only use of a private part of Keras.

    The public `model.layers` names a layer that holds others, and not what it holds.
    """
    return list(model._flatten_layers(include_self=False))


def check_model(model: Any, data: Dataset) -> None:
    """Raise UserError unless the model maps a batch of this data to logits.

    Args:
        model: what the function of a user's returned, of whatever type.
        data: gives the number of pixels and of classes.
    """
    import keras

    pixels, wanted = int(np.prod(data.train.images.shape[1:])), (None, data.classes)
    if not isinstance(model, keras.Model) or not model.built:
        raise UserError(
            f"model: must be a built keras.Model (give it a keras.Input), got {type(model).__name__}."
        )
    # An open side would let many shapes hold that many pixels.
    if None in model.input_shape[1:] or np.prod(model.input_shape[1:]) != pixels:
        raise UserError(
            f"model: its input must hold {pixels} values an example, got shape {model.input_shape}."
        )
    if tuple(model.output_shape) != wanted:
        raise UserError(f"model: its output must have shape {wanted}, got {model.output_shape}.")
    # Keras' own optimizers apply constraints after an update; ours are pure functions and do not see them.
    if any(variable.constraint is not None for variable in model.trainable_variables):
        raise UserError("model: constraints on weights are not applied by this loop; take them away.")
    # The loss is computed from logits: a softmax before it would train, worse, without an error.
    if getattr(model.layers[-1], "activation", None) is keras.activations.softmax:
        raise UserError("model: must return logits, its last layer has activation softmax; take it away.")


def is_dense(model: Any) -> bool:
    """Say whether all layers are of kinds that XLA makes faster on a CPU, and that can be stacked.

    Convolutions, pooling and random numbers are slower there, up to nine times for a small convolution, and
    TensorFlow cannot stack a convolution; a layer that is not known may hold operations that XLA refuses.
    """
    from keras import layers

    known = (
        layers.InputLayer,
        layers.Dense,
        layers.Flatten,
        layers.Reshape,
        layers.Activation,
        layers.Rescaling,
    )
    return all(isinstance(layer, known) for layer in list_layers(model))


def is_by_example(model: Any) -> bool:
    """Say whether all layers are known to map every example by itself, whatever else is in its batch.

    Then a batch may be padded. Batch normalisation looks across the batch, a penalty on activities is divided
    by its size, and a layer that is not known may do either. Dropout draws a mask for every example.
    """
    from keras import layers

    known = (
        layers.InputLayer,
        layers.Dense,
        layers.Conv2D,
        layers.MaxPooling2D,
        layers.AveragePooling2D,
        layers.GlobalMaxPooling2D,
        layers.GlobalAveragePooling2D,
        layers.Flatten,
        layers.Reshape,
        layers.Activation,
        layers.ReLU,
        layers.Rescaling,
        layers.LayerNormalization,
        layers.Dropout,
        layers.Add,
        layers.Concatenate,
    )
    every = list_layers(model)
    penalised = any(getattr(layer, "activity_regularizer", None) is not None for layer in every)
    # The very types: a subclass may look at whatever it likes.
    return not penalised and all(type(layer) in known for layer in every)
