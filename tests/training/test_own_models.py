"""Models of a user's own: they train as plain Keras would train them, or one message says why they do not."""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ratelab import optimizers
from ratelab.batch_sizes import constant, plan_batches
from ratelab.data import digits, epoch_order
from ratelab.schedules import exponential, tabulate
from ratelab.tasks import auto
from ratelab.training import CannotStack, Job, Program, Tabulated, Training
from ratelab.training.job import build_from_seed
from ratelab.validation import UserError

BATCH = 24
STEPS = 20


def own_job(build, *, seed=0, xla=None, rate=0.1, images=None):
    """Twenty steps on digits."""
    data = digits(validation_size=300)
    data = replace(data, train=data.train[: BATCH * STEPS])
    if images is not None:
        data = replace(data, train=replace(data.train, inputs=images))
    plan = plan_batches(constant(BATCH), len(data.train), 1)
    rates = Tabulated(tabulate(exponential(rate, decay_steps=5, decay_rate=0.9), plan.steps))
    return Job(
        seed, rates, plan, build, data, auto(data.train.targets, data.classes), optimizers.sgd(), xla, "own"
    )


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
    return sequential(
        Dense(16, activation="relu", dtype="mixed_bfloat16"),
        Dense(10, kernel_initializer=big, dtype="float32"),
    )


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
    net(np.zeros((1, 8, 8)))
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
    with_shared_layer,
    with_dense_on_rows,
    with_list_of_one_input,
]
ALONE = [
    with_lambda,
    with_batch_normalisation,
    with_dropout,
    nested,
    with_skips,
    with_tied_weights,
    subclassed,
    with_penalties,
    with_embedding,
    with_masked_rows,
    with_channels_first,
    with_odd_names,
]
LOOSE = {with_float32_head: 2e-2}  # 16 bits


def pixels_of(model, images):
    shape = getattr(model, "input_shape", (None, 8, 8))
    pixels = (images / np.float32(16)).reshape(-1, *shape[1:])
    return [pixels] if isinstance(getattr(model, "input", None), list) else pixels


def train_by_keras(job):
    """Train the model of a job by an eager loop of Keras' own; return the model and its losses."""
    import keras
    import tensorflow as tf

    weights_seed, order_seed = np.random.SeedSequence(job.seed).spawn(2)
    model = build_from_seed(job.build_model, weights_seed)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    order = epoch_order(order_seed, 0, len(job.data.train), 1).reshape(STEPS, BATCH)
    losses = []
    for rate, rows in zip(job.rates.table, order, strict=True):
        pixels = pixels_of(model, job.data.train.inputs[rows])
        with tf.GradientTape() as tape:
            logits = tf.cast(model(pixels, training=True), tf.float32)
            penalties = [tf.reduce_sum(penalty) for penalty in model.losses]
            loss = cross_entropy(job.data.train.targets[rows], logits) + sum(penalties)
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign_sub(rate * tf.convert_to_tensor(gradient))
        losses.append(float(loss))
    return model, losses


@pytest.mark.parametrize("build", [*STACKED, *ALONE])
def test_own_models_train_as_an_eager_loop_of_keras_trains_them(tensorflow, build):
    # XLA takes its time, and the numbers of one do for all.
    job = own_job(build, xla=build is with_frozen_layer)
    training = Training([job], Program(job))
    ((chunk,),) = training
    twin, losses = train_by_keras(job)
    tolerance = LOOSE.get(build, 2e-4)  # float32 over 20 steps
    np.testing.assert_allclose(chunk.train_loss, losses, rtol=tolerance)
    for ours, theirs in zip(training.model().variables, twin.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=10 * tolerance, atol=tolerance)
    logits = np.asarray(training.model()(pixels_of(twin, job.data.test.inputs)))
    assert training.test()[0]["accuracy"] == (logits.argmax(1) == job.data.test.targets).mean()


@pytest.mark.parametrize("build", STACKED)
def test_an_own_model_in_a_stack_equals_the_same_alone(tensorflow, build):
    jobs = [own_job(build, rate=rate, xla=False) for rate in (0.1, 0.02)]
    (together,) = Training(jobs, Program(jobs[0], 2))
    program = Program(jobs[0])
    for job, chunk in zip(jobs, together, strict=True):
        ((alone,),) = Training([job], program)
        np.testing.assert_allclose(chunk.train_loss, alone.train_loss, rtol=LOOSE.get(build, 1e-4))


@pytest.mark.parametrize("build", [build for build in ALONE if build is not with_odd_names])
def test_own_models_that_cannot_be_stacked_train_one_by_one(tensorflow, build):
    with pytest.raises(CannotStack):
        Program(own_job(build), 2)


def test_a_model_is_left_as_it_is(tensorflow):
    """The layers that compute by other products do so only in the loop, not in the model that is kept."""
    job = own_job(with_weights_already_set)
    training = Training([job], Program(job))
    list(training)
    assert all("call" not in vars(layer) for layer in training.model().layers)


def graph(make, shape=(8, 8)):
    """A functional model of what `make` makes of its flat input."""
    import keras

    x = keras.Input(shape)
    return keras.Model(x, make(keras.layers.Flatten()(x)))


def two_inputs():
    import keras
    from keras.layers import Concatenate, Dense, Flatten

    a, b = keras.Input((8, 8)), keras.Input((8, 8))
    return keras.Model([a, b], Dense(10)(Concatenate()([Flatten()(a), Flatten()(b)])))


def with_own_train_step():
    import keras

    class Net(keras.Sequential):
        def train_step(self, data):
            return {}

    return Net([keras.Input((64,)), keras.layers.Dense(10)])


def compiled():
    model = functional()
    model.compile(optimizer="adam", loss="mse")
    return model


def of_class(call, shape=(None, 8, 8)):
    """A model that is a class, with one dense layer that `call` may use."""
    import keras

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(10)
            self.flatten.build((None, 8, 8))
            self.dense.build((None, 64))

        def build(self, input_shape):
            """Do nothing: Keras would call the model here."""

        def call(self, x, training=False):
            return call(self, x, training)

    net = Net()
    net.build(shape)
    return net


def unbuilt_inside():
    """Keras marks it as built, with a warning, and makes its weights when it is called."""
    import keras

    net = keras.Model()
    net.dense = keras.layers.Dense(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.build((None, 8, 8))
    return net


def logits_of(net, x):
    return net.dense(net.flatten(x))


def softmax_when_it_judges(net, x, training):
    import keras

    return logits_of(net, x) if training else keras.ops.softmax(logits_of(net, x))


def noise_from_keras_itself(net, x, training):
    import keras

    return logits_of(net, x) + (keras.random.normal((10,)) if training else 0)


def noise_from_tensorflow(net, x, training):
    import tensorflow as tf

    return logits_of(net, x) + (tf.random.normal((10,)) if training else 0)


def bool_of_a_tensor(net, x, training):
    return logits_of(net, x) if x[0, 0, 0] >= 0 else None


def of_layers(text, shape="(64,)"):
    """A sequential model from the words for its layers."""
    import keras

    layers = {name: kind for name, kind in vars(keras.layers).items() if name[0].isupper()}
    names = {"keras": keras, "np": np, "ops": keras.ops, **layers}
    return eval(f"keras.Sequential([keras.Input({shape}), {text}])", names)  # noqa: S307 - our own words


def always_the_same_layers():
    return always_the_same_layers.model


def unseeded():
    model = functional()
    model.set_weights([np.random.default_rng().normal(size=w.shape) for w in model.get_weights()])
    return model


def fixed_random_features():
    drawn = np.random.normal(size=(64, 32)).astype(np.float32)
    return of_layers_with(drawn)


def of_layers_with(drawn):
    from keras import ops
    from keras.layers import Lambda

    return dense(Lambda(lambda x: ops.relu(ops.matmul(x, drawn))))


def seed_decides_the_size():
    from keras.layers import Dense

    return dense(Dense(int(np.random.randint(5, 500))))


REFUSED = [
    # probabilities
    (partial(of_layers, "Dense(10), Softmax()"), "must return logits"),
    (partial(of_layers, "Dense(10, activation='sigmoid')"), "must return logits"),
    (
        partial(of_layers, "keras.Sequential([keras.Input((64,)), Dense(10, 'softmax')])"),
        "must return logits",
    ),
    (partial(of_layers, "Dense(10, 'softmax', dtype='mixed_float16')"), "must return logits"),
    (
        partial(of_layers, "Dense(10, 'softmax', kernel_initializer='zeros'), Dropout(0.5)"),
        "must return logits",
    ),
    (
        partial(of_layers, "Dense(10), Lambda(lambda x: ops.exp(x) / ops.sum(ops.exp(x), 1, keepdims=True))"),
        "must return logits",
    ),
    (partial(of_layers, "Dense(10, 'softmax'), Lambda(lambda p: 0.9 * p + 0.01)"), "must return logits"),
    (partial(graph, lambda x: of_layers("Dense(10, 'softmax')")(x)), "must return logits"),
    (partial(of_class, softmax_when_it_judges), "must return logits"),
    # inputs
    (two_inputs, "must have one input, a batch of examples, got 2: "),
    (
        partial(of_layers, "Flatten(), Dense(10)", "(4, 16)"),
        r"as \(8, 8\) or \(64,\), got shape \(None, 4, 16\)",
    ),
    (partial(of_layers, "GlobalAveragePooling1D(), Dense(10)", "(None, 64)"), "input must hold 64 values"),
    (partial(of_layers, "Dense(10)", "(64,), batch_size=24"), "must be open, it is fixed to 24"),
    (
        partial(of_layers, "Rescaling(0.1), Dense(10)", "(64,), dtype='uint8'"),
        "must be floating, .*got uint8",
    ),
    (
        partial(of_class, lambda net, x, training: logits_of(net, x), (None, 8, 4)),
        r"got shape \(None, 8, 4\)",
    ),
    # outputs
    (partial(graph, lambda x: [of_layers("Dense(10)")(x)] * 2), r"shape \(None, 10\), got a list of 2"),
    (partial(graph, lambda x: {"out": of_layers("Dense(10)")(x)}), "got a dict of 1"),
    (partial(of_layers, "Dense(1)"), r"got \(None, 1\)"),
    (partial(of_layers, "Reshape((8, 8)), Dense(10)"), r"got \(None, 8, 10\)"),
    (partial(of_layers, "Dense(10), Lambda(lambda x: ops.mean(x, 0))"), r"got \(10,\)"),
    (partial(of_layers, "Dense(10), Lambda(lambda x: ops.mean(x, 0, keepdims=True))"), r"got \(1, 10\)"),
    (partial(of_class, lambda net, x, training: None), "got NoneType"),
    (
        partial(of_layers, "Dense(10), Lambda(lambda x: x - ops.mean(x, 0))"),
        "depends on the others of its",
    ),
    (
        partial(of_layers, "Dense(10), Softmax(axis=0)"),
        "depends on the others of its|must return logits",
    ),
    (partial(of_layers, "Masking(), Dense(10)"), "its output has a mask"),
    # chance
    (partial(of_layers, "Dense(10), Lambda(lambda x: x + np.random.normal())"), "or on chance, when it does"),
    (partial(of_class, noise_from_keras_itself), "draws random numbers that its own variables"),
    (partial(of_class, noise_from_tensorflow), "draws random numbers that its own variables"),
    (unseeded, "must be the same for the same seed, and .*kernel was not"),
    (always_the_same_layers, "must be a new one at each call"),
    (fixed_random_features, "differs from seed to seed and is not in its weights"),
    (seed_decides_the_size, "weights of the same shapes for every seed"),
    # weights
    (unbuilt_inside, r"its layer dense.* is not built; call the model once on a batch of shape \(1, 8, 8\)"),
    (partial(of_layers, "Dense(10, trainable=False)"), "has no weights to train"),
    (partial(of_layers, "Dense(10, kernel_constraint='non_neg')"), "constraints .*has NonNeg"),
    (partial(of_layers, "Dense(10, dtype='float64')"), "must be float32, .* is float64"),
    (partial(of_layers, "Dense(10), Lambda(ops.stop_gradient)"), "does not depend on 2 of its 2 weights"),
    # a training of their own
    (compiled, "must not be compiled"),
    (with_own_train_step, "Net has a train_step of its own"),
    # what their code raises
    (
        partial(of_class, lambda net, x, training: net.missing),
        r"Net, given inputs .* raised AttributeError: ",
    ),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_models_that_would_train_wrongly_are_refused_with_one_message(tensorflow, build, message):
    always_the_same_layers.model = functional()
    job = own_job(build)
    with pytest.raises(UserError, match=message) as refused:
        Training([job], Program(job))
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (partial(of_class, bool_of_a_tensor), "symbolic `tf.Tensor` as a Python `bool`"),
        (partial(of_layers, "Dense(10, name='two words')"), "two words"),
    ],
)
def test_what_fails_only_when_it_is_compiled_is_one_message(tensorflow, build, words):
    job = own_job(build)
    with pytest.raises(UserError, match=words):
        list(Training([job], Program(job)))


def test_the_message_tells_the_line_in_the_users_file(tensorflow):
    job = own_job(partial(of_class, lambda net, x, training: 1 // 0))
    with pytest.raises(UserError, match=r"ZeroDivisionError: .*test_own_models.py:\d+\)$"):
        Program(job)


@pytest.mark.parametrize(
    "text",
    [
        "Dense(10, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-6))",
        "Dense(10, kernel_initializer='zeros', bias_initializer=keras.initializers.Constant(0.1))",
        "Dense(10, 'relu', kernel_initializer='zeros')",
        "Dense(10, 'relu'), Rescaling(1e-4)",
        "Dense(10, 'log_softmax')",
        "Dense(16, 'softmax'), Dense(10)",
        "Dense(16, 'sigmoid'), Dense(10, kernel_initializer='zeros')",
        "Dense(10), LayerNormalization()",
        "Dense(10, 'tanh')",
    ],
)
def test_real_logits_are_not_taken_for_probabilities(tensorflow, text):
    Program(own_job(partial(of_layers, text)))


def test_functions_of_the_users_in_a_known_layer_are_not_taken_for_known(tensorflow):
    """A padded batch would change what looks across it."""
    build = partial(of_layers, "Dense(16, activation=lambda x: x - 0.1), Dense(10)")
    assert not Program(own_job(build)).by_example
    assert Program(own_job(functional)).by_example
    assert not Program(own_job(with_skips)).by_example


def test_a_model_that_is_kept_predicts_what_was_measured(tensorflow, tracker, monkeypatch):
    """Frozen, normalised, nested, with a skip and a head of its own precision."""
    import keras
    import mlflow
    from keras.layers import Add, BatchNormalization, Dense, Flatten

    def build():
        x = keras.Input((8, 8))
        first = BatchNormalization(momentum=0.8)(Dense(16, trainable=False)(Flatten()(x)))
        inner = keras.Sequential([keras.Input((16,)), Dense(16, activation="relu")])
        return keras.Model(x, Dense(10, dtype="float32")(Add()([first, inner(first)])))

    job = own_job(build)
    training = Training([job], Program(job))
    list(training)
    pixels = pixels_of(training.model(), job.data.test.inputs)
    with tracker.run("own model", params={}, tags={}) as run:
        run.log_keras_model(training.model(), pixels)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.id}/model")
    hits = loaded.predict(pixels).argmax(1) == job.data.test.targets
    assert training.test()[0]["accuracy"] == hits.mean()
