"""The models: functions that build a Keras model that returns logits. A user's own has the same form."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ratelab.validation import Count, Fraction, UserError, checked
from ratelab.validation.sizes import refuse_weights

Shape = tuple[int, ...]
Units = Annotated[int, Field(gt=0, le=1_000_000)]
Filters = Annotated[int, Field(gt=0, le=4096)]  # each makes an image of every example
Layers = Field(max_length=100)

__all__ = ["cnn", "mlp", "softmax"]


@checked
def softmax(input_shape: Shape, classes: Count, *, start: Literal["normal", "zero"] = "normal") -> Any:
    """Softmax regression, the tutorial's model: logits = x W + b.

    Args:
        input_shape: shape of one image, (height, width).
        classes: number of classes.
        start: "normal" draws W ~ Normal(0, 1) as the tutorial does; "zero" starts at W = 0. b starts at 0.

    Returns:
        A keras.Model from [batch, height, width] to logits [batch, classes].

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        MNIST for ML beginners, the tutorial of TensorFlow 1.
    """
    import keras

    # Logits of such size are wrong with confidence at first, but the tutorial starts so, and its curves are
    # what is repeated here.
    kernel = keras.initializers.RandomNormal(stddev=1.0) if start == "normal" else "zeros"
    head = keras.layers.Dense(classes, kernel_initializer=kernel)
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), head])


@checked
def mlp(
    input_shape: Shape,
    classes: Count,
    *,
    hidden: Annotated[Sequence[Units], Layers] = (128,),
    activation: Literal["relu", "gelu", "tanh"] = "relu",
    dropout: Fraction = 0.0,
) -> Any:
    """Fully connected layers, each followed by dropout where it is not 0: h <- drop(activation(h W + b)).

    Args:
        input_shape: shape of one image, (height, width).
        classes: number of classes.
        hidden: units of each hidden layer; with none of them the model is softmax regression.
        activation: of the hidden layers.
        dropout: fraction dropped while training, in [0, 1).

    Returns:
        A keras.Model from [batch, height, width] to logits [batch, classes].

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        He et al. 2015, arXiv 1502.01852 (the initial weights); Srivastava et al. 2014, Dropout.
    """
    refuse_weights(input_shape, hidden, classes)
    import keras

    layers = [keras.Input(input_shape), keras.layers.Flatten()]
    for units in hidden:
        # He's variance keeps the size of what passes through ReLU, layer after layer; Keras' own does not.
        layers.append(keras.layers.Dense(units, activation=activation, kernel_initializer="he_normal"))
        # No layer for a dropout of 0: with one the model could neither be stacked nor gain from XLA.
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential([*layers, keras.layers.Dense(classes)])


@checked
def cnn(
    input_shape: Shape,
    classes: Count,
    *,
    filters: Annotated[Sequence[Filters], Layers] = (16, 32),
    dropout: Fraction = 0.0,
) -> Any:
    """3x3 convolutions with ReLU, each followed by 2x2 max pooling, then one dense layer.

    Args:
        input_shape: shape of one image, (height, width).
        classes: number of classes.
        filters: of each convolution, at most as many as the image can be halved.
        dropout: fraction dropped before the dense layer while training, in [0, 1).

    Returns:
        A keras.Model from [batch, height, width] to logits [batch, classes].

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        LeCun et al. 1998, Gradient-based learning applied to document recognition.
    """
    halvings = min(input_shape).bit_length() - 1
    if len(filters) > halvings:
        raise UserError(
            f"cnn: filters must be at most {halvings} for images of {input_shape}, each convolution halves "
            f"them, got {len(filters)}"
        )
    import keras

    # Images come without the axis of channels that convolutions want.
    layers = [keras.Input(input_shape), keras.layers.Reshape((*input_shape, 1))]
    for number in filters:
        layers += [
            keras.layers.Conv2D(number, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
        ]
    layers.append(keras.layers.Flatten())
    if dropout:
        layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential([*layers, keras.layers.Dense(classes)])
