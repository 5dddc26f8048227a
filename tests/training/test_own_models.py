"""Models of a user's own: they train as plain Keras would train them, or one message says why they do not."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ratelab import models, optimizers
from ratelab.batch_sizes import constant, plan_batches
from ratelab.data import epoch_order, load
from ratelab.schedules import exponential, tabulate
from ratelab.training import CannotStack, Job, Program, Tabulated, Training
from ratelab.training.job import build_from_seed
from ratelab.validation import UserError

BATCH = 24
STEPS = 20


def own_job(build, *, seed=0, xla=None, rate=0.1, images=None):
    """Twenty steps on digits."""
    data = load("digits", validation_size=300)
    data = replace(data, train=data.train[: BATCH * STEPS])
    if images is not None:
        data = replace(data, train=replace(data.train, images=images))
    plan = plan_batches(constant(BATCH), len(data.train.labels), 1)
    rates = Tabulated(tabulate(exponential(rate, decay_steps=5, decay_rate=0.9), plan.steps))
    return Job(seed, rates, plan, build, data, optimizers.sgd(), xla, "own")


def sequential(*layers, shape=(8, 8)):
    import keras

    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), *layers])


def dense(*layers):
    """What every model here ends with."""
    from keras.layers import Dense

    return sequential(*layers, Dense(10))


def with_lambda():
    from keras.layers import Dense, Lambda

    return dense(Lambda(lambda x: 2 * x - 1), Dense(16, activation="relu"))


def with_frozen_layer():
    from keras.layers import Dense

    frozen = Dense(16, activation="relu", trainable=False)
    return dense(frozen, Dense(12, activation="tanh"))


def with_frozen_in_the_middle():
    from keras.layers import Dense

    model = dense(Dense(16, activation="relu"), Dense(12, activation="relu"), Dense(8))
    model.layers[2].trainable = False
    return model


def with_weights_already_set():
    from keras.layers import Dense

    model = dense(Dense(16, activation="relu"))
    drawn = np.random.default_rng(5)
    model.set_weights([drawn.normal(0, 0.2, weight.shape) for weight in model.get_weights()])
    return model


def with_float32_head():
    import keras
    from keras.layers import Dense

    big = keras.initializers.RandomNormal(stddev=0.3)
    return sequential(Dense(16, activation="relu", dtype="mixed_bfloat16"), Dense(10, big, dtype="float32"))


def with_batch_normalisation():
    from keras.layers import BatchNormalization, Dense

    return dense(Dense(16), BatchNormalization(momentum=0.8), BatchNormalization(trainable=False))


def with_dropout():
    from keras.layers import Dense, Dropout, GaussianNoise

    return dense(GaussianNoise(0.1), Dense(16, activation="relu"), Dropout(0.4))


def nested():
    import keras
    from keras.layers import Dense

    inner = keras.Sequential([keras.Input((64,)), Dense(16, activation="relu"), Dense(12)])
    return dense(inner)


def with_skips():
    import keras
    from keras.layers import Add, Dense, Flatten

    x = keras.Input((8, 8))
    first = Dense(16, activation="relu")(Flatten()(x))
    second = Add()([first, Dense(16, activation="tanh")(first)])
    return keras.Model(x, Dense(10)(second + 0.5 * Dense(16)(second)))


def functional():
    import keras
    from keras.layers import Dense, Flatten

    x = keras.Input((8, 8))
    return keras.Model(x, Dense(10)(Dense(16, activation="relu")(Flatten()(x))))


def with_shared_layer():
    import keras
    from keras.layers import Dense, Flatten

    x, shared = keras.Input((8, 8)), Dense(64, activation="relu")
    return keras.Model(x, Dense(10)(shared(shared(Flatten()(x)))))


def with_tied_weights():
    import keras
    from keras.layers import Dense

    class Back(keras.layers.Layer):
        """Through the kernel of another layer, the other way; its arguments are in no configuration."""

        def __init__(self, other):
            super().__init__()
            self.other = other

        def call(self, x):
            return keras.ops.matmul(x, keras.ops.transpose(self.other.kernel))

    first = Dense(16, activation="relu")
    return dense(first, Back(first))


def subclassed():
    import keras
    from keras.layers import Dense, Dropout, Flatten

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [Flatten(), Dense(16, activation="relu"), Dropout(0.3), Dense(10)]

        def call(self, x):  # without `training`, of which Keras tells the layers by itself
            for part in self.parts:
                x = part(x)
            return x

    net = Net()
    net.build((None, 8, 8))
    return net


def with_penalties():
    import keras
    from keras.layers import Dense

    class Costly(keras.layers.Layer):
        def call(self, x):
            self.add_loss(0.001 * keras.ops.sum(x, 1))  # a number for each example, which Keras adds up
            return x

    return dense(Dense(16, kernel_regularizer="l2", activity_regularizer="l1"), Costly())


def with_regularizer():
    from keras.layers import Dense

    return dense(Dense(16, activation="relu", kernel_regularizer="l2"))


def with_embedding():
    import keras
    from keras.layers import Embedding, Flatten, Lambda

    return sequential(
        Lambda(lambda x: keras.ops.cast(16 * x, "int32")), Embedding(17, 2), Flatten(), keras.layers.Dense(10)
    )


def with_dense_on_rows():
    import keras
    from keras.layers import Dense, Flatten

    return keras.Sequential([keras.Input((8, 8)), Dense(4, activation="relu"), Flatten(), Dense(10)])


def with_masked_rows():
    import keras
    from keras.layers import Dense, Masking, SimpleRNN

    return keras.Sequential([keras.Input((8, 8)), Masking(), SimpleRNN(8), Dense(10)])


def with_channels_first():
    import keras
    from keras.layers import Conv2D, Dense, Flatten

    return keras.Sequential(
        [keras.Input((1, 8, 8)), Conv2D(3, 3, data_format="channels_first"), Flatten(), Dense(10)]
    )


def with_odd_names():
    import keras
    from keras.layers import Dense

    layers = [keras.Input((64,), name="x-1"), Dense(16, name="a.b-c_1"), Dense(10, name="n" * 200)]
    return keras.Sequential(layers, name="Model.1")


def with_list_of_one_input():
    import keras
    from keras.layers import Dense, Flatten

    x = keras.Input((8, 8))
    return keras.Model([x], Dense(10)(Flatten()(x)))


STACKED = [
    with_frozen_layer,
    with_frozen_in_the_middle,
    with_weights_already_set,
    with_float32_head,
    functional,
    with_regularizer,
]
ALONE = [
    with_lambda,
    with_batch_normalisation,
    with_dropout,
    nested,
    with_skips,
    with_shared_layer,
    with_tied_weights,
    subclassed,
    with_penalties,
    with_embedding,
    with_dense_on_rows,
    with_masked_rows,
    with_channels_first,
    with_odd_names,
    with_list_of_one_input,
]
LOOSE = {with_float32_head: 2e-2}  # 16 bits


def train_by_keras(job):
    """Train the model of a job by an eager loop of Keras' own; return the model and its losses."""
    import keras
    import tensorflow as tf

    weights_seed, order_seed = np.random.SeedSequence(job.seed).spawn(2)
    model = build_from_seed(job.build_model, weights_seed)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    order = epoch_order(order_seed, 0, len(job.data.train.labels), 1).reshape(STEPS, BATCH)
    losses = []
    for rate, rows in zip(job.rates.table, order, strict=True):
        pixels = (job.data.train.images[rows] / job.data.largest).astype(np.float32)
        shape = getattr(model, "input_shape", (None, 8, 8))
        with tf.GradientTape() as tape:
            logits = tf.cast(model(pixels.reshape(BATCH, *shape[1:]), training=True), tf.float32)
            penalties = [tf.reduce_sum(penalty) for penalty in model.losses]
            loss = cross_entropy(job.data.train.labels[rows], logits) + sum(penalties)
        for variable, gradient in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_weights_as_tf()), strict=True
        ):
            variable.assign_sub(rate * tf.convert_to_tensor(gradient))
        losses.append(float(loss))
    return model, losses
