"""Which models the loop accepts by their form, and which of them XLA and stacking suit."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ratelab.data import Dataset
from ratelab.validation import UserError

# What a user's model may do otherwise when Keras trains it. This loop does not call them.
OWN_TRAINING = ("compute_loss", "train_step")


def list_layers(model: Any) -> list[Any]:
    """Return all layers of a model, those inside of layers too; a use of a private part of Keras.

    The public `model.layers` names a layer that holds others, and not what it holds.
    """
    return list(model._flatten_layers(include_self=False))


def input_shape(model: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one example; None for a model that was built without one."""
    inputs = getattr(model, "inputs", None)
    if inputs:
        return tuple(inputs[0].shape[1:])
    # A model that is a class of the user's has no symbolic input, but Keras notes what it was built with.
    shape = (model.get_build_config() or {}).get("input_shape")
    return None if shape is None else tuple(shape[1:])


def check_model(model: Any, data: Dataset) -> None:
    """Raise UserError unless the model has the form of one that maps a batch of this data to outputs.

    Args:
        model: what the function of a user's returned, of whatever type.
        data: gives the inputs.
    """
    import keras

    example = data.train.inputs.shape[1:]
    if not isinstance(model, keras.Model) or not model.built:
        raise UserError(
            "model: must be a built keras.Model (give it a keras.Input, or call it once on a batch of shape "
            f"{(1, *example)}), got {type(model).__name__}."
        )
    for layer in list_layers(model):
        # Its weights would be made in the loop, and not be trained.
        if not layer.built:
            raise UserError(
                f"model: its layer {layer.name} is not built; call the model once on a batch of shape "
                f"{(1, *example)}."
            )
    _check_inputs(model, data)
    _check_training(model)
    _check_weights(model.trainable_variables)


def _check_inputs(model: Any, data: Dataset) -> None:
    """Raise UserError unless the model takes one batch of examples of this data, of whatever length."""
    example = data.train.inputs.shape[1:]
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(tensor.name for tensor in inputs)
        raise UserError(f"model: must have one input, a batch of examples, got {len(inputs)}: {names}.")
    shape, values = input_shape(model), int(np.prod(example))
    # Examples are reshaped: in a shape of other sides, or an open one, their values would be mixed up.
    sides = [None if shape is None else _drop_ones(shape), _drop_ones(example), _drop_ones((values,))]
    if shape is None or None in shape or sides[0] not in sides[1:]:
        seen = "none; call build with one" if shape is None else f"shape {(None, *shape)}"
        raise UserError(
            f"model: its input must hold {values} values an example, as {tuple(example)} or ({values},), "
            f"got {seen}."
        )
    for tensor in inputs:
        if tensor.shape[0] is not None:
            raise UserError(
                f"model: the size of its batch must be open, it is fixed to {tensor.shape[0]}; give "
                "keras.Input a shape and no batch_size."
            )
        # Pixels, for one, are given as fractions from 0 to 1: as whole numbers nearly all would be 0.
        if "float" not in tensor.dtype and _are_fractions(data):
            raise UserError(
                f"model: its input must be floating, as what it is given, got {tensor.dtype}; convert it "
                "inside of the model."
            )


def _drop_ones(shape: Sequence[int | None]) -> list[int | None]:
    return [side for side in shape if side != 1]


def _are_fractions(data: Dataset) -> bool:
    return data.scale is not None or np.issubdtype(data.train.inputs.dtype, np.floating)


def _check_training(model: Any) -> None:
    """Raise UserError if the model comes with a loss, an optimizer or a training step of its own."""
    import keras

    own = [name for name in OWN_TRAINING if getattr(type(model), name) is not getattr(keras.Model, name)]
    if own:
        raise UserError(
            f"model: {type(model).__name__} has a {own[0]} of its own, which this loop does not call; put "
            "losses into call, with add_loss."
        )
    if model.compiled:
        raise UserError(
            "model: must not be compiled: the optimizer is that of the group optimizer, the loss is "
            "that of the task; take compile() away."
        )


def _check_weights(weights: Sequence[Any]) -> None:
    """Raise UserError unless these weights can be trained."""
    if not weights:
        raise UserError("model: has no weights to train; is all of it frozen (trainable=False)?")
    for weight in weights:
        # Keras' own optimizers apply constraints after an update; ours are pure and do not see them.
        if weight.constraint is not None:
            raise UserError(
                f"model: constraints on weights are not applied by this loop, {weight.path} has "
                f"{type(weight.constraint).__name__}; take it away."
            )
        # Rates, slots and gradients are float32, whatever the layers compute in.
        if weight.dtype != "float32":
            raise UserError(
                f"model: its weights must be float32, {weight.path} is {weight.dtype}; for less precision "
                "use device.precision or a mixed dtype policy."
            )


def can_stack(model: Any) -> bool:
    """Say whether runs of the model can be trained as one program, and gain from it.

    TensorFlow cannot stack a convolution. Attention it can, but what runs share there is only the look-up of
    tokens: a stack of four took a sixth more for each run than one alone.
    """
    return _consists_of(model, *_list_dense_layers())


def gains_from_xla(model: Any) -> bool:
    """Say whether all layers are of kinds that XLA makes faster on a CPU.

    Convolutions, pooling and random numbers are slower there, up to nine times for a small convolution; a
    layer that is not known may hold operations that XLA refuses.
    """
    from keras import layers

    from ratelab.layers import Positions

    others = (Positions, layers.Embedding, layers.LayerNormalization, layers.MultiHeadAttention, layers.Add)
    # What attention is made of are layers in it.
    inner = (layers.EinsumDense, layers.Softmax)
    return _consists_of(model, *_list_dense_layers(), *others, *inner)


def _list_dense_layers() -> list[type]:
    from keras import layers

    return [
        layers.InputLayer,
        layers.Dense,
        layers.Flatten,
        layers.Reshape,
        layers.Activation,
        layers.Rescaling,
    ]


def is_by_example(model: Any) -> bool:
    """Say whether all layers are known to map every example by itself, whatever else is in its batch.

    Then a batch may be padded. Batch normalisation looks across the batch, a penalty on activities is divided
    by its size, and a layer that is not known may do either. Dropout draws a mask for every example.
    """
    from keras import layers

    from ratelab.layers import Positions

    penalised = any(getattr(layer, "activity_regularizer", None) is not None for layer in list_layers(model))
    return not penalised and _consists_of(
        model,
        *_list_dense_layers(),
        layers.Conv1D,
        layers.Conv2D,
        layers.Conv3D,
        layers.MaxPooling1D,
        layers.MaxPooling2D,
        layers.MaxPooling3D,
        layers.AveragePooling2D,
        layers.GlobalMaxPooling2D,
        layers.GlobalAveragePooling2D,
        layers.ReLU,
        layers.LayerNormalization,
        layers.Dropout,
        layers.Add,
        layers.Concatenate,
        layers.Embedding,
        layers.MultiHeadAttention,
        layers.EinsumDense,
        layers.Softmax,
        Positions,
    )


def _consists_of(model: Any, *known: type) -> bool:
    """Say whether a model is only a graph of layers of these kinds, with functions of Keras' own in them."""
    # A class of the user's may do anything in its `call`; a graph may hold operations that are not layers.
    operations = [*list_layers(model), *getattr(model, "operations", [])]
    functions = ("activation", "kernel_regularizer", "bias_regularizer", "activity_regularizer")
    return _is_of_keras(type(model)) and all(
        # The very types: a subclass may do whatever it likes.
        type(operation) in known and all(_is_of_keras(getattr(operation, name, None)) for name in functions)
        for operation in operations
    )


def _is_of_keras(thing: Any) -> bool:
    """Say whether a class, a function or an object is defined in Keras, or here; None is, too."""
    return thing is None or (getattr(thing, "__module__", None) or "").startswith(
        ("keras.", "ratelab.layers")
    )
