"""Each task against a loop of Keras' own: the same weights and batches, the losses of every step."""

import math
from functools import partial

import numpy as np
import pytest

from ratelab import models, optimizers
from ratelab.batch_sizes import constant, plan_batches
from ratelab.data import Dataset, Split, epoch_order
from ratelab.tasks import LOSS, Metric, Task, auto, classification, next_token, regression
from ratelab.training import Job, Program, Tabulated, Training
from ratelab.training.job import build_from_seed
from ratelab.validation import UserError

STEPS, BATCH, SEED = 20, 16, 5
RATE = 0.05
CONTEXT, VOCABULARY = 12, 7


def dataset(inputs, targets, classes=None):
    """Training, validation and test of a few examples."""
    train, rest = STEPS * BATCH, 70
    parts = [slice(0, train), slice(train, train + rest), slice(train + rest, None)]
    whole = Split(inputs, targets)
    return Dataset(classes, None, *(whole[part] for part in parts), "sha256:own")


def numbers(outputs=2):
    """Numbers that depend on five others."""
    random = np.random.default_rng(1)
    inputs = random.normal(size=(STEPS * BATCH + 150, 5)).astype(np.float32)
    targets = np.tanh(inputs @ random.normal(size=(5, outputs))) + 0.1 * random.normal(
        size=(len(inputs), outputs)
    )
    return dataset(inputs, targets.astype(np.float32))


def three_classes():
    random = np.random.default_rng(2)
    inputs = random.normal(size=(STEPS * BATCH + 150, 2, 3)).astype(np.float32)
    return dataset(inputs, (inputs.sum((1, 2)) > [[-1], [1]]).sum(0).astype(np.int32), 3)


def text():
    """Rows of tokens; the next one follows from the two before."""
    random = np.random.default_rng(3)
    tokens = list(random.integers(0, VOCABULARY, 2))
    for _ in range((STEPS * BATCH + 150) * CONTEXT):
        tokens.append((tokens[-1] + tokens[-2] + (random.random() < 0.1)) % VOCABULARY)
    rows = np.int32(tokens)
    size = (len(rows) - 1) // CONTEXT * CONTEXT
    inputs, targets = (part.reshape(-1, CONTEXT) for part in (rows[:size], rows[1 : size + 1]))
    return dataset(inputs.astype(np.uint8), targets, VOCABULARY)


def job_of(data, task, build, *, xla=None, rate=RATE):
    plan = plan_batches(constant(BATCH), len(data.train), 1)
    rates = Tabulated(np.full(plan.steps, rate, np.float32))
    outputs = (task.output_shape or data.train.targets.shape)[-1]
    made = partial(build, data.train.inputs.shape[1:], outputs)
    return Job(SEED, rates, plan, made, data, task, optimizers.sgd(), xla, "own")


def trained(job):
    training = Training([job], Program(job))
    [[chunk]] = list(training)
    return training, chunk


def losses_of_keras(job, loss, targets_of=lambda targets: targets, **changes):
    """The loss of every step of Keras' `train_on_batch`, and the model after."""
    import keras

    weights_seed, order_seed = np.random.SeedSequence(SEED).spawn(2)
    model = build_from_seed(job.build_model, weights_seed)
    model.compile(keras.optimizers.SGD(RATE), loss)
    order = epoch_order(order_seed, 0, len(job.data.train), 1).reshape(STEPS, BATCH)
    train = job.data.train
    return [
        float(model.train_on_batch(train.inputs[rows], targets_of(train.targets[rows]), **changes))
        for rows in order
    ], model


@pytest.fixture
def keras(tensorflow):
    import keras

    return keras


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize("outputs", [1, 2])
def test_regression_is_that_of_keras_at_every_step(keras, xla, outputs):
    data = numbers(outputs)
    job = job_of(data, regression(data.train.targets), partial(models.mlp, hidden=[8]), xla=xla)
    _, chunk = trained(job)
    expected, model = losses_of_keras(job, keras.losses.MeanSquaredError())
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-5)
    predicted = model.predict(data.validation.inputs, verbose=0).astype(np.float64)
    error = np.mean((predicted - data.validation.targets) ** 2)
    explained = 1 - error / np.mean(np.var(data.validation.targets.astype(np.float64), axis=0))
    assert chunk.validation == pytest.approx(
        {"loss": error, "rmse": math.sqrt(error), "r2": explained}, rel=1e-4
    )


def test_classification_with_weights_and_smoothing_is_that_of_keras(keras):
    data = three_classes()
    weights = [0.5, 2.0, 1.0]
    task = classification(data.train.targets, 3, class_weights=weights, label_smoothing=0.1)
    _, chunk = trained(job_of(data, task, partial(models.mlp, hidden=[8])))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    expected, _ = losses_of_keras(
        job_of(data, task, partial(models.mlp, hidden=[8])),
        loss,
        lambda targets: np.eye(3, dtype=np.float32)[targets],
        class_weight=dict(enumerate(weights)),
    )
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-5)


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    targets = np.int32([0, 0, 0, 1, 2, 2])
    task = classification(targets, 3, class_weights="balanced")
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    np.testing.assert_allclose(task.weight(np.int32([0, 1, 2])), expected, rtol=1e-6)


@pytest.mark.parametrize("xla", [True, False])
def test_the_next_token_is_that_of_keras_at_every_step(keras, xla):
    data = text()
    build = partial(models.transformer, layers=1, width=16, heads=2)
    job = job_of(data, next_token(data.train.targets, VOCABULARY), build, xla=xla)
    _, chunk = trained(job)
    expected, model = losses_of_keras(job, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=1e-4)
    logits = model.predict(data.validation.inputs, verbose=0).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    right = np.take_along_axis(chances, data.validation.targets[..., None], -1)
    assert chunk.validation["bits_per_character"] == pytest.approx(-np.log2(right).mean(), rel=1e-4)


def test_no_output_of_the_transformer_depends_on_what_comes_later(keras):
    model = models.transformer((CONTEXT,), VOCABULARY)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (1, CONTEXT))
    other = tokens.copy()
    other[0, 8:] = (other[0, 8:] + 1) % VOCABULARY
    one, two = (np.asarray(model(rows)) for rows in (tokens, other))
    np.testing.assert_array_equal(one[:, :8], two[:, :8])
    assert (one[:, 8:] != two[:, 8:]).any()


def test_a_task_of_ones_own_is_learned_and_judged(keras):
    import tensorflow as tf

    def absolute(targets, outputs):
        return tf.reduce_mean(tf.abs(targets - outputs), 1)

    data = numbers()
    task = Task(absolute, {"mae": Metric(absolute, higher_is_better=False)}, "mae", (2,))
    job = job_of(data, task, partial(models.mlp, hidden=[8]))
    training, chunk = trained(job)
    expected, model = losses_of_keras(job, keras.losses.MeanAbsoluteError())
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-5)
    assert chunk.validation["mae"] == chunk.validation[LOSS]
    found = np.abs(model.predict(data.test.inputs, verbose=0) - data.test.targets).mean()
    assert training.test()[0]["mae"] == pytest.approx(found, rel=1e-4)


def test_a_loss_that_is_not_one_for_each_example_is_refused(keras):
    import tensorflow as tf

    data = numbers()
    mean = Task(lambda targets, outputs: tf.reduce_mean(tf.abs(targets - outputs)), output_shape=(2,))
    with pytest.raises(
        UserError, match=r"task: loss must give one number for each example, .* got float32\[\]"
    ):
        Program(job_of(data, mean, models.mlp))


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_model_whose_outputs_do_not_fit_is_refused_with_both_shapes(keras, outputs):
    data = numbers()
    job = job_of(data, regression(data.train.targets), lambda shape, _: models.mlp(shape, outputs))
    with pytest.raises(UserError, match=rf"output must have shape \(None, 2\), got \(None, {outputs}\)"):
        Program(job)


def test_the_task_is_chosen_by_the_targets():
    assert auto(numbers().train.targets, None).judge == "rmse"
    assert auto(three_classes().train.targets, 3).judge == "accuracy"
    assert auto(text().train.targets, VOCABULARY).judge == "bits_per_character"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: classification(np.float32([[1.0]]), None), "the targets of this data are no classes"),
        (lambda: regression(np.int32([0, 1]), 2), "the targets of this data are 2 classes"),
        (lambda: next_token(np.int32([0, 1]), 2), r"needs rows of tokens as targets, .* got int32 \[2\]"),
        (
            lambda: classification(np.int32([0, 1]), 2, class_weights=[1.0, 2.0, 3.0]),
            "must be 2 numbers >= 0",
        ),
        (lambda: classification(np.int32([0, 1]), 2, class_weights=[1.0, -1.0]), "must be 2 numbers >= 0"),
        (lambda: classification(np.int32([0, 1]), 2, label_smoothing=1.0), "must be less than 1, got 1.0"),
        (lambda: Task(loss=max, judge="mse"), "there is no 'mse'"),
        (
            lambda: Task(loss=max, metrics={"loss": Metric(max, higher_is_better=True)}),
            "may not be called 'loss'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
