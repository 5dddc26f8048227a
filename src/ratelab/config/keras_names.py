"""The names of Keras that a configuration may use: layers and what they are made of.

What reads a file, fetches one or calls a function by its name is not among them.
tests/training/test_keras_names.py says which names of the installed Keras nobody has decided about.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ratelab.validation import UserError

WORDS = {
    "keras": "Sequential",
    "keras.layers": """
        Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
        AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
        AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
        AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional
        CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D
        Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
        Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
        Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D
        Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten GRU GRUCell
        GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention
        HashedCrossing Hashing Identity Input InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking
        MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum
        MixUp MultiHeadAttention Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN
        RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
        RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue
        RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
        RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing
        ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D
        SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
        SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract TimeDistributed
        UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """,
    "keras.initializers": """
        Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
        LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer
        TruncatedNormal VarianceScaling Zeros constant glorot_normal glorot_uniform he_normal he_uniform
        identity lecun_normal lecun_uniform ones orthogonal random_normal random_uniform stft
        truncated_normal variance_scaling zeros
    """,
    "keras.regularizers": "L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer",
    "keras.applications": """
        ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169
        DenseNet201 EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4
        EfficientNetB5 EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2
        EfficientNetV2B3 EfficientNetV2L EfficientNetV2M EfficientNetV2S InceptionResNetV2 InceptionV3
        MobileNet MobileNetV2 MobileNetV3Large MobileNetV3Small NASNetLarge NASNetMobile ResNet101
        ResNet101V2 ResNet152 ResNet152V2 ResNet50 ResNet50V2 VGG16 VGG19 Xception
    """,
    "keras.optimizers.schedules": """
        CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay
        PolynomialDecay
    """,
}
NAMES: Mapping[str, frozenset[str]] = {module: frozenset(words.split()) for module, words in WORDS.items()}


def refuse_arguments(target: str, arguments: Mapping[str, Any], place: str) -> None:
    """Raise UserError for an argument of which Keras would make more than a value.

    Args:
        target: one of these names.
        arguments: what stands beside it.
        place: where it stands in the configuration.

    >>> refuse_arguments("keras.layers.Dense", {"activation": {"class_name": "TFSMLayer"}}, "model")
    Traceback (most recent call last):
    ratelab.validation.UserError: model.activation: Keras would make an object of the mapping; ...
    """
    # Keras restores an object from such a mapping, of whatever class it names.
    for inner in _mappings(arguments, place):
        raise UserError(f"{inner}: Keras would make an object of the mapping; name the object by _target_.")
    weights = arguments.get("weights", "imagenet")  # Keras' own default
    if target.startswith("keras.applications.") and weights is not None:
        raise UserError(
            f"{place}.weights must be null, got {weights!r}: they are neither fetched nor read from a file; "
            "if you want that, add 'allow_targets=[keras]'."
        )


def _mappings(node: Any, place: str) -> Iterator[str]:
    """Yield the place of every mapping inside `node` that has no `_target_`; the others are checked too."""
    items: Any = enumerate(node) if isinstance(node, list) else node.items()
    for key, value in items:
        inner = f"{place}[{key}]" if isinstance(node, list) else f"{place}.{key}"
        if isinstance(value, Mapping) and "_target_" not in value:
            yield inner
        elif isinstance(value, list):
            yield from _mappings(value, inner)
