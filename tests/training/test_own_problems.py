"""Models of a user's own on data of their own: tokens in a class, numbers; and applications of Keras."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from test_tasks import (
    BATCH,
    SEED,
    STEPS,
    VOCABULARY,
    dataset,
    job_of,
    losses_of_keras,
    numbers,
    text,
    trained,
)

from ratelab import models
from ratelab.config import targets
from ratelab.data import epoch_order
from ratelab.tasks import auto
from ratelab.training import CannotStack, Program
from ratelab.training.job import build_from_seed
from ratelab.validation import UserError

WORDS, LENGTH = 30, 10


def reviews():
    """Rows of tokens, each of one of two classes: whether they have more large tokens than small ones."""
    tokens = np.random.default_rng(4).integers(0, WORDS, (STEPS * BATCH + 150, LENGTH)).astype(np.int32)
    return dataset(tokens, (tokens.mean(1) > WORDS / 2).astype(np.int32), 2)


def of_tokens(*middle, outputs=2, shape=(LENGTH,), dtype="int32"):
    import keras

    layers = [keras.Input(shape, dtype=dtype), keras.layers.Embedding(WORDS, 8), *middle]
    return keras.Sequential([*layers, keras.layers.Dense(outputs)])


def with_mean_of_embedding(shape, outputs):
    from keras.layers import GlobalAveragePooling1D

    return of_tokens(GlobalAveragePooling1D())


def with_lstm(shape, outputs):
    from keras.layers import LSTM

    return of_tokens(LSTM(6))


def with_gru_in_both_directions(shape, outputs):
    from keras.layers import GRU, Bidirectional

    return of_tokens(Bidirectional(GRU(4)))


def with_floating_input(shape, outputs):
    """As many write it: Keras gives tokens as float32 where the input does not name a type."""
    from keras.layers import Flatten

    return of_tokens(Flatten(), dtype="float32")


def with_attention(shape, outputs):
    import keras
    from keras import layers

    tokens = keras.Input(shape, dtype="int32")
    h = layers.Embedding(WORDS, 8)(tokens)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 4)(h, h))
    return keras.Model(tokens, layers.Dense(outputs)(layers.GlobalMaxPooling1D()(h)))


def with_dropout_and_normalisation(shape, outputs):
    from keras.layers import BatchNormalization, Dropout, Flatten

    return of_tokens(Flatten(), BatchNormalization(momentum=0.8), Dropout(0.3))


def of_a_class(shape, outputs):
    import keras
    from keras import layers

    class Reader(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.memory = layers.Embedding(WORDS, 8), layers.LSTM(6, dropout=0.2)
            self.head = layers.Dense(outputs)

        def call(self, tokens, training=False):
            return self.head(self.memory(self.embedding(tokens), training=training))

    reader = Reader()
    reader(np.zeros((1, *shape), np.int32))
    return reader


@pytest.fixture
def keras(tensorflow):
    import keras

    return keras


@pytest.mark.parametrize(
    "build",
    [
        with_mean_of_embedding,
        with_lstm,
        with_gru_in_both_directions,
        with_floating_input,
        with_attention,
        with_dropout_and_normalisation,
        of_a_class,
    ],
)
def test_own_models_of_tokens_train_as_keras_trains_them(keras, build):
    data = reviews()
    job = job_of(data, auto(data.train.targets, 2), build, xla=False)
    _, chunk = trained(job)
    expected, model = losses_of_keras(job, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-4)
    predicted = model.predict(data.validation.inputs, verbose=0).argmax(1)
    assert chunk.validation["accuracy"] == pytest.approx((predicted == data.validation.targets).mean())


def wide_and_deep(shape, outputs):
    import keras
    from keras import layers

    x = keras.Input(shape)
    deep = layers.Dropout(0.2)(layers.Dense(8, "relu")(layers.BatchNormalization(momentum=0.8)(x)))
    return keras.Model(x, layers.Dense(outputs)(layers.Concatenate()([x, deep])))


def of_a_class_for_numbers(shape, outputs):
    import keras
    from keras import layers

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = layers.Dense(8, "tanh"), layers.Dense(outputs)

        def call(self, x):
            return self.head(self.hidden(x))

    net = Net()
    net(np.zeros((1, *shape)))
    return net


def of_rows_of_numbers(shape, outputs):
    import keras
    from keras import layers

    rows = [keras.Input(shape), layers.Reshape((*shape, 1)), layers.LSTM(6)]
    return keras.Sequential([*rows, layers.Dense(outputs)])


@pytest.mark.parametrize("build", [wide_and_deep, of_a_class_for_numbers, of_rows_of_numbers])
@pytest.mark.parametrize("outputs", [1, 2])
def test_own_models_of_numbers_train_as_keras_trains_them(keras, build, outputs):
    data = numbers(outputs)
    job = job_of(data, auto(data.train.targets, None), build, xla=False)
    _, chunk = trained(job)
    expected, model = losses_of_keras(job, keras.losses.MeanSquaredError())
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-4)
    error = np.mean((model.predict(data.validation.inputs, verbose=0) - data.validation.targets) ** 2)
    assert chunk.validation["rmse"] == pytest.approx(np.sqrt(error), rel=1e-3)


def test_a_recurrent_model_of_the_next_token_trains_as_keras_trains_it(keras):
    def build(shape, outputs):
        from keras.layers import LSTM

        return of_tokens(LSTM(8, return_sequences=True), outputs=outputs, shape=shape)

    data = text()
    job = job_of(data, auto(data.train.targets, data.classes), build, xla=False)
    _, chunk = trained(job)
    expected, _ = losses_of_keras(job, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-4)


def two_inputs(shape, outputs):
    import keras
    from keras import layers

    words, topic = keras.Input(shape, name="words"), keras.Input(shape, name="topic")
    return keras.Model([words, topic], layers.Dense(outputs)(layers.Concatenate()([words, topic])))


def masked(shape, outputs):
    import keras
    from keras import layers

    rows = [keras.Input(shape, dtype="int32"), layers.Embedding(VOCABULARY, 4, mask_zero=True)]
    return keras.Sequential([*rows, layers.Dense(outputs)])


def of_rows_of_words(shape, outputs):
    import keras

    return keras.Sequential([keras.Input(shape, dtype="int32"), keras.layers.Dense(outputs)])


@pytest.mark.parametrize(
    ("make", "build", "message"),
    [
        (numbers, two_inputs, "must have one input, a batch of examples, got 2: words, topic"),
        (reviews, two_inputs, "must have one input, a batch of examples, got 2: words, topic"),
        (text, masked, "its output has a mask"),
        (text, models.mlp, r"must have shape \(None, 12, 7\), got \(None, 7\)"),
        (numbers, with_mean_of_embedding, r"must hold 5 values an example, .* got shape \(None, 10\)"),
        (numbers, of_rows_of_words, "must be floating, as what it is given, got int32"),
    ],
)
def test_own_models_that_do_not_fit_the_task_are_refused(keras, make, build, message):
    data = make()
    with pytest.raises(UserError, match=message):
        Program(job_of(data, auto(data.train.targets, data.classes), build))


def test_a_token_that_an_embedding_has_no_row_for_is_refused(keras):
    """XLA would take another row and say nothing."""
    data = reviews()
    data.train.inputs[200, 3] = WORDS
    with pytest.raises(UserError, match=rf"model: Sequential, .* = {WORDS} is not in \[0, {WORDS}\)"):
        Program(job_of(data, auto(data.train.targets, 2), with_flat_rows))


def with_flat_rows(shape, outputs):
    from keras.layers import Flatten

    return of_tokens(Flatten())


def small_images():
    """Four batches of coloured images, of three classes."""
    random = np.random.default_rng(6)
    targets = np.arange(STEPS * BATCH + 150, dtype=np.int32) % 3
    inputs = 0.5 * random.random((len(targets), 32, 32, 3), np.float32)
    data = dataset(inputs + np.float32(0.2) * targets[:, None, None, None], targets, 3)
    return replace(data, train=data.train[: 4 * BATCH])


def application(name, shape, outputs, **arguments):
    """As `model._target_: keras.applications.NAME` in a configuration makes it."""
    supplied = {"input_shape": shape, "outputs": outputs, "classes": outputs}
    own = {"weights": None, "classifier_activation": None, **arguments}
    return targets.call(targets.locate(f"keras.applications.{name}"), own, supplied)


def test_an_application_of_keras_trains(keras):
    data = small_images()
    build = partial(application, "MobileNetV2", alpha=0.35)
    job = job_of(data, auto(data.train.targets, 3), build)
    _, chunk = trained(job)
    assert len(chunk.train_loss) == 4
    assert np.isfinite(chunk.train_loss).all()
    # Of the first step alone: in fifty layers of batch normalisation rounding grows with every update.
    weights_seed, order_seed = np.random.SeedSequence(SEED).spawn(2)
    rows = epoch_order(order_seed, 0, len(data.train), 1).ravel()[:BATCH]
    outputs = build_from_seed(job.build_model, weights_seed)(data.train.inputs[rows], training=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(data.train.targets[rows], outputs)
    assert chunk.train_loss[0] == pytest.approx(float(loss), rel=1e-4)
    with pytest.raises(CannotStack):
        Program(job, 2)


def test_the_softmax_that_an_application_ends_with_is_refused(keras):
    data = small_images()
    build = partial(application, "MobileNetV2", alpha=0.35, classifier_activation="softmax")
    with pytest.raises(UserError, match="must return logits, and its outputs lie between 0 and 1"):
        Program(job_of(data, auto(data.train.targets, 3), build))
