"""The models: functions that build a Keras model. A user's own has the same form."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ratelab.validation import Count, Fraction, checked
from ratelab.validation.fitting import check_cnn, check_mlp, check_softmax, check_transformer

Shape = tuple[int, ...]
Units = Annotated[int, Field(gt=0, le=1_000_000)]
Filters = Annotated[int, Field(gt=0, le=4096)]  # each makes an image of every example
Layers = Field(max_length=100)

__all__ = ["cnn", "mlp", "softmax", "transformer"]


@checked
def softmax(input_shape: Shape, outputs: Count, *, start: Literal["normal", "zero"] = "normal") -> Any:
    """Softmax regression, the tutorial's model: outputs = x W + b; of numbers, linear regression.

    Args:
        input_shape: shape of one example, as (height, width).
        outputs: how many numbers it gives for an example; the number of classes, where they are logits.
        start: "normal" draws W ~ Normal(0, 1) as the tutorial does; "zero" starts at W = 0. b starts at 0.

    Returns:
        A keras.Model from `[batch, *input_shape]` to `[batch, outputs]`.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        MNIST for ML beginners, the tutorial of TensorFlow 1.
    """
    check_softmax(input_shape, outputs)
    import keras

    # Logits of such size are wrong with confidence at first, but the tutorial starts so, and its curves are
    # what is repeated here.
    kernel = keras.initializers.RandomNormal(stddev=1.0) if start == "normal" else "zeros"
    head = keras.layers.Dense(outputs, kernel_initializer=kernel)
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), head])


@checked
def mlp(
    input_shape: Shape,
    outputs: Count,
    *,
    hidden: Annotated[Sequence[Units], Layers] = (128,),
    activation: Literal["relu", "gelu", "tanh"] = "relu",
    dropout: Fraction = 0.0,
) -> Any:
    """Fully connected layers, each followed by dropout where it is not 0: h <- drop(activation(h W + b)).

    Args:
        input_shape: shape of one example, as (height, width).
        outputs: how many numbers it gives for an example; the number of classes, where they are logits.
        hidden: units of each hidden layer; with none of them the model is softmax regression.
        activation: of the hidden layers.
        dropout: fraction dropped while training, in [0, 1).

    Returns:
        A keras.Model from `[batch, *input_shape]` to `[batch, outputs]`.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        He et al. 2015, arXiv 1502.01852 (the initial weights); Srivastava et al. 2014, Dropout.
    """
    check_mlp(input_shape, outputs, hidden)
    import keras

    layers = [keras.Input(input_shape), keras.layers.Flatten()]
    for units in hidden:
        # He's variance keeps the size of what passes through ReLU, layer after layer; Keras' own does not.
        layers.append(keras.layers.Dense(units, activation=activation, kernel_initializer="he_normal"))
        # No layer for a dropout of 0: with one the model could neither be stacked nor gain from XLA.
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential([*layers, keras.layers.Dense(outputs)])


@checked
def cnn(
    input_shape: Shape,
    outputs: Count,
    *,
    filters: Annotated[Sequence[Filters], Layers] = (16, 32),
    dropout: Fraction = 0.0,
) -> Any:
    """Convolutions of width 3 with ReLU, each followed by max pooling by 2, then one dense layer.

    Args:
        input_shape: shape of one example: (length,) or (height, width) of one channel, (height, width,
            channels), or (depth, height, width, channels).
        outputs: how many numbers it gives for an example; the number of classes, where they are logits.
        filters: of each convolution, at most as many as the shortest side can be halved.
        dropout: fraction dropped before the dense layer while training, in [0, 1).

    Returns:
        A keras.Model from `[batch, *input_shape]` to `[batch, outputs]`.

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        LeCun et al. 1998, Gradient-based learning applied to document recognition.
    """
    check_cnn(input_shape, outputs, filters)
    # Sequences and images come without the axis of channels that convolutions want.
    shape = (*input_shape, 1) if len(input_shape) < 3 else input_shape
    import keras

    axes = len(shape) - 1
    convolution = getattr(keras.layers, f"Conv{axes}D")
    pooling = getattr(keras.layers, f"MaxPooling{axes}D")
    layers = [keras.Input(input_shape), keras.layers.Reshape(shape)]
    for number in filters:
        layers += [convolution(number, 3, padding="same", activation="relu"), pooling()]
    layers.append(keras.layers.Flatten())
    if dropout:
        layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential([*layers, keras.layers.Dense(outputs)])


@checked
def transformer(
    input_shape: Shape,
    outputs: Count,
    *,
    layers: Annotated[int, Field(gt=0, le=100)] = 2,
    width: Units = 64,
    heads: Annotated[int, Field(gt=0, le=256)] = 4,
    dropout: Fraction = 0.0,
) -> Any:
    """Embed tokens and their places, then apply blocks of causal attention and a pair of dense layers.

    In each block h <- h + attention(norm(h)), h <- h + W2 gelu(W1 norm(h)), with W1 four times as wide; the
    outputs are W norm(h) at every place, each from the tokens up to there.

    Args:
        input_shape: (context,), the number of tokens of an example.
        outputs: the size of the vocabulary.
        layers: how many blocks.
        width: of the embedding; a multiple of `heads`.
        heads: of the attention.
        dropout: fraction dropped of what each half of a block adds while training, in [0, 1).

    Returns:
        A keras.Model from tokens, whole numbers [batch, context], to logits [batch, context, outputs].

    Raises:
        UserError: if an argument is out of its bounds.

    References:
        Vaswani et al. 2017, arXiv 1706.03762; Xiong et al. 2020, arXiv 2002.04745 (the norm before).
    """
    check_transformer(input_shape, outputs, layers, width, heads)
    import keras

    from ratelab.layers import Positions

    def add(h: Any, change: Any) -> Any:
        return keras.layers.Add()([h, keras.layers.Dropout(dropout)(change) if dropout else change])

    tokens = keras.Input(input_shape, dtype="int32")
    small = keras.initializers.RandomNormal(stddev=0.02)
    h = Positions()(keras.layers.Embedding(outputs, width, embeddings_initializer=small)(tokens))
    for _ in range(layers):
        normed = keras.layers.LayerNormalization()(h)
        attention = keras.layers.MultiHeadAttention(heads, width // heads)
        h = add(h, attention(normed, normed, use_causal_mask=True))
        normed = keras.layers.LayerNormalization()(h)
        wide = keras.layers.Dense(4 * width, activation="gelu")(normed)
        h = add(h, keras.layers.Dense(width)(wide))
    return keras.Model(tokens, keras.layers.Dense(outputs)(keras.layers.LayerNormalization()(h)))
