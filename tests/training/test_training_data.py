"""What is data in a run besides known rates: momenta, batch sizes, rates that react; evaluated weights."""

import contextlib
import warnings
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_training import STEPS, batches, digits_job, softmax, stacked_and_alone, train

from ratelab import models, optimizers
from ratelab.batch_sizes import growing, plan_batches
from ratelab.schedules import Reactive, exponential, fixed, plateau, tabulate
from ratelab.training import Program, Tabulated, Training, momenta_of, rates_of
from ratelab.validation import UserError

mlp = partial(models.mlp, (8, 8), 10, hidden=[16, 12])


def losses_of(job):
    (run,) = zip(*train([job])[0], strict=True)
    return np.concatenate([chunk.train_loss for chunk in run]), run


def keras_losses(job, optimizer, before_step):
    """The losses of Keras on the same batches; `before_step` sets what changes."""
    import keras

    twin = job.build_model()
    twin.set_weights(Training([job], Program(job)).model().get_weights())
    twin.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = []
    for step, (pixels, labels) in enumerate(batches(job)):
        before_step(step)
        losses.append(float(twin.train_on_batch(pixels, labels)))
        twin.reset_metrics()
    return np.array(losses)


# --------------------------------------------------------------------------------------------------- momenta


def cycling(epochs=1):
    """A job whose momentum falls and rises again, as in a one-cycle schedule."""
    schedule = fixed(0.02)
    schedule.momentum = lambda step: 0.95 - 0.1 * np.sin(np.pi * step / (epochs * STEPS))
    return schedule


def momentum_by_hand(job):
    """Losses of softmax regression in float64: v <- m v - rate g, w <- w + v, m of the step."""
    weights = [
        v.numpy().astype(np.float64) for v in Training([job], Program(job)).model().trainable_variables
    ]
    velocity, losses = [np.zeros_like(w) for w in weights], []
    for rate, momentum, (pixels, labels) in zip(job.rates.table, job.momenta, batches(job), strict=True):
        x, truth = pixels.reshape(len(labels), -1), np.eye(10)[labels]
        logits = x @ weights[0] + weights[1]
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses.append(-np.log((p * truth).sum(1)).mean())
        gradients = [x.T @ (p - truth) / len(labels), (p - truth).mean(0)]
        velocity = [momentum * v - rate * g for v, g in zip(velocity, gradients, strict=True)]
        weights = [w + v for w, v in zip(weights, velocity, strict=True)]
    return losses


def job_with_momenta(build, optimizer, epochs=1):
    schedule, job = cycling(epochs), digits_job(build, optimizer, epochs=epochs)
    rates = rates_of(schedule, job.batches.rate_factors)
    return replace(job, rates=rates, momenta=momenta_of(schedule, job.batches.steps))


def test_the_momentum_of_every_step_is_applied_and_logged(tensorflow):
    job = job_with_momenta(softmax, optimizers.sgd(momentum=0.5), epochs=2)
    losses, run = losses_of(job)
    np.testing.assert_allclose(losses, momentum_by_hand(job), rtol=1e-4)  # float32 against float64
    np.testing.assert_array_equal(np.concatenate([chunk.momentum for chunk in run]), job.momenta)
    assert set(run[0].applied) == {"learning_rate", "momentum"}


def test_the_momentum_of_adam_is_beta_1_of_the_step(tensorflow):
    import keras

    job = job_with_momenta(mlp, optimizers.adam())
    job = replace(job, rates=Tabulated(tabulate(fixed(0.002), STEPS)))
    theirs = keras.optimizers.Adam(0.002)

    def before(step):
        theirs.beta_1 = float(job.momenta[step])

    # Keras builds beta_1 into its program: run it eagerly, so that it is read again at every step
    with keras_eagerly():
        expected = keras_losses(job, theirs, before)
    np.testing.assert_allclose(losses_of(job)[0], expected, rtol=2e-4)  # float32 over 50 steps


@contextlib.contextmanager
def keras_eagerly():
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def test_a_momentum_that_changes_trains_beside_one_that_does_not(tensorflow):
    changing = job_with_momenta(softmax, optimizers.sgd(momentum=0.9), epochs=2)
    staying = digits_job(softmax, optimizers.sgd(momentum=0.5), epochs=2)
    for stacked, alone in stacked_and_alone([changing, staying]):
        np.testing.assert_equal(stacked.momentum, alone.momentum)


def test_hyperparameters_that_do_not_change_are_no_columns(tensorflow):
    job = digits_job(softmax, optimizers.adam())
    training = Training([job], Program(job))
    assert training._hyperparameters.varied == {}
    assert {values.shape for values in training._hyperparameters.fixed.values()} == {(1,)}


@pytest.mark.parametrize(
    ("momentum", "message"),
    [
        (lambda step: step * 0.5, r"the momentum must be in \[0, 1\), got 1.0 at step 2"),
        (lambda step: np.nan * step, r"must be in \[0, 1\), got nan at step 0"),
        (lambda step: 0.5, r"one momentum a step, shape \(3,\), got \(\)"),
    ],
)
def test_a_bad_momentum_is_refused(momentum, message):
    with pytest.raises(UserError, match=message):
        momenta_of(SimpleNamespace(momentum=momentum), 3)


# --------------------------------------------------------------------------------------------------- plateau


def keras_rates(rate, losses, **arguments):
    """The rate of every epoch as Keras' callback would have it after these validation losses."""
    import keras

    callback = keras.callbacks.ReduceLROnPlateau("val_loss", mode="min", **arguments)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate))
    callback.set_model(model)
    callback.on_train_begin()
    rates = [float(model.optimizer.learning_rate)]
    with warnings.catch_warnings():  # Keras turns a variable into an array in a way that numpy 2 deprecates
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch, {"val_loss": loss})
            rates.append(float(model.optimizer.learning_rate))
    return rates


def our_rates(rate, losses, **arguments):
    schedule = plateau(rate, **arguments)
    rates = rates_of(schedule, np.ones(len(losses) + 1))  # one step an epoch
    return [float(rates.segment(slice(e, e + 1), losses[:e])[0]) for e in range(len(losses) + 1)]


SETTINGS = [
    {},
    {"factor": 0.5, "patience": 2},
    {"factor": 0.3, "patience": 1, "cooldown": 2, "min_delta": 0.05},
    {"factor": 0.7, "patience": 3, "cooldown": 1, "min_rate": 0.04, "min_delta": 0.0},
    {"factor": 0.1, "patience": 1, "min_rate": 0.1},
]
# TensorFlow lets the processor take numbers below the normal ones for 0, and then nothing is less than them.
NUMBERS = st.floats(0, 2, width=32, allow_subnormal=False)
LOSSES = st.lists(st.one_of(st.sampled_from([1.0, 0.99995, 0.9, 0.5]), NUMBERS), max_size=30)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_plateau_is_keras_reduce_lr_on_plateau_at_every_epoch(tensorflow, settings):
    theirs = {("min_lr" if key == "min_rate" else key): value for key, value in settings.items()}

    @given(LOSSES)
    def equal(losses):
        assert our_rates(0.1, losses, **settings) == keras_rates(0.1, losses, **theirs)

    equal()
    for losses in ([np.nan] * 12, [1.0] * 25, [1.0, np.nan, 1.0, np.inf, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]):
        assert our_rates(0.1, losses, **settings) == keras_rates(0.1, losses, **theirs)


def test_a_plateau_by_hand():
    rates = our_rates(0.5, [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.1], factor=0.5, patience=2)
    assert rates == [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def reacting(job, **settings):
    return replace(job, rates=rates_of(plateau(**settings), job.batches.rate_factors))


FALLING = {"learning_rate": 0.5, "factor": 0.5, "patience": 1, "min_delta": 0.05}


def test_logged_rates_are_what_keras_would_have_done_with_the_logged_losses(tensorflow):
    job = reacting(digits_job(softmax, optimizers.sgd(), epochs=12), **FALLING)
    _, run = losses_of(job)
    logged = [chunk.val_loss for chunk in run]
    expected = keras_rates(0.5, logged[:-1], factor=0.5, patience=1, min_delta=0.05)
    assert [set(chunk.learning_rate.tolist()) for chunk in run] == [{rate} for rate in expected]
    assert expected[-1] < 0.5


def test_the_rates_that_were_decided_are_applied(tensorflow):
    job = reacting(digits_job(softmax, optimizers.sgd(), epochs=6), **FALLING)
    losses, run = losses_of(job)
    table = Tabulated(np.concatenate([chunk.learning_rate for chunk in run]))
    np.testing.assert_array_equal(losses, losses_of(replace(job, rates=table))[0])


def test_each_run_of_a_stack_reacts_to_its_own_losses(tensorflow):
    job = digits_job(mlp, optimizers.sgd(), epochs=8)
    jobs = [reacting(job, **FALLING), job, reacting(job, **{**FALLING, "learning_rate": 0.01, "factor": 0.1})]
    epochs, _ = train(jobs)
    again, _ = train(jobs)
    for place in (0, 2):
        val_losses = [chunks[place].val_loss for chunks in epochs]
        for epoch, chunks in enumerate(epochs):
            own = slice(epoch * STEPS, (epoch + 1) * STEPS)
            expected = jobs[place].rates.segment(own, val_losses[:epoch])
            np.testing.assert_array_equal(chunks[place].learning_rate, expected)
            np.testing.assert_array_equal(chunks[place].train_loss, again[epoch][place].train_loss)
    for epoch, chunks in enumerate(epochs):
        np.testing.assert_array_equal(
            chunks[1].learning_rate, job.rates.table[epoch * STEPS : (epoch + 1) * STEPS]
        )


def test_a_reactive_schedule_of_the_users_is_held_to_the_same_rules():
    rates = rates_of(Reactive(lambda step, losses: np.where(step < 7, 0.1, -1.0)), np.ones(10))
    assert rates.table is None
    assert rates.segment(slice(0, 5), []).tolist() == [np.float32(0.1)] * 5
    with pytest.raises(UserError, match=r"must be finite and >= 0, got -1.0 at step 7"):
        rates.segment(slice(5, 10), [1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be less than 1, got 1.0"),
        ({"factor": 0.0}, "factor must be greater than 0, got 0.0"),
        ({"patience": 0}, "patience must be greater than 0, got 0"),
        ({"cooldown": -1}, "cooldown must be greater than or equal to 0, got -1"),
        ({"min_delta": -0.1}, "min_delta must be greater than or equal to 0, got -0.1"),
    ],
)
def test_bad_arguments_of_plateau_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        plateau(0.1, **arguments)


# ------------------------------------------------------------------------------------------- growing batches


def growing_job(
    build, optimizer, *, epochs=4, schedule=None, rate=0.6, steps=30, batch=24, largest=200, xla=None
):
    job = digits_job(build, optimizer, epochs=epochs, xla=xla)
    examples = len(job.data.train)
    size = growing(batch, examples, decay_rate=rate, decay_steps=steps, largest=largest)
    plan = plan_batches(size, examples, epochs)
    return replace(job, batches=plan, rates=rates_of(schedule or fixed(0.05), plan.rate_factors))


def batch_norm():
    import keras

    return keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(10),
        ]
    )


def with_activity_penalty():
    import keras

    penalised = keras.layers.Dense(10, activity_regularizer="l2")
    return keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), penalised])


@pytest.mark.parametrize("xla", [None, False])
@pytest.mark.parametrize(
    ("build", "padded"),
    [
        (softmax, True),
        (mlp, True),
        (partial(models.cnn, (8, 8), 10, filters=[4]), True),
        (batch_norm, False),
        (with_activity_penalty, False),
    ],
)
def test_every_loss_of_growing_batches_equals_keras_on_batches_of_that_size(tensorflow, build, padded, xla):
    import keras

    job = growing_job(build, optimizers.sgd(), xla=xla)
    losses, run = losses_of(job)
    theirs = keras.optimizers.SGD(0.05)

    def before(step):
        theirs.learning_rate = job.rates.table[step]

    expected = keras_losses(job, theirs, before)
    np.testing.assert_allclose(losses, expected, rtol=5e-4)  # float32 over 80 steps
    assert len(losses) == job.batches.steps
    assert Program(job).by_example is padded
    np.testing.assert_array_equal(np.concatenate([chunk.batch_size for chunk in run]), job.batches.sizes)


@pytest.mark.parametrize(("jobs", "rate", "largest"), [(1, 0.9, 400), (1, 0.5, 200), (3, 0.8, 400)])
def test_few_programs_are_compiled_however_often_the_batch_grows(tensorflow, jobs, rate, largest):
    job = growing_job(softmax, optimizers.sgd(), epochs=30, rate=rate, steps=10, largest=largest)
    program = Program(job, jobs)
    for _ in range(2):
        list(Training([job] * jobs, program))
    assert len(np.unique(job.batches.sizes)) >= 4
    assert program.traces <= np.ceil(np.log2(largest / 24)) + 1


def test_a_model_that_cannot_be_padded_is_compiled_once_for_each_size(tensorflow):
    job = growing_job(batch_norm, optimizers.sgd())
    program = Program(job)
    list(Training([job], program))
    assert program.traces == len(np.unique(job.batches.sizes))


def test_one_shape_is_compiled_for_a_constant_batch(tensorflow):
    job = digits_job(softmax, optimizers.sgd(), epochs=3)
    program = Program(job)
    list(Training([job], program))
    assert program.traces == 1


def test_a_growing_batch_in_a_stack_equals_the_same_alone(tensorflow):
    schedules = [fixed(0.05), exponential(0.1, decay_steps=50, decay_rate=0.5), fixed(0.02)]
    jobs = [growing_job(mlp, optimizers.sgd(), schedule=schedule) for schedule in schedules]
    for stacked, alone in stacked_and_alone(jobs):
        np.testing.assert_array_equal(stacked.examples_seen, alone.examples_seen)


def test_what_is_logged_of_a_growing_batch(tensorflow):
    job = growing_job(softmax, optimizers.sgd(momentum=0.5), epochs=6, largest=60)
    _, run = losses_of(job)
    assert set(run[0].applied) == {"learning_rate", "batch_size", "examples_seen"}
    seen = np.concatenate([chunk.applied["examples_seen"] for chunk in run])
    np.testing.assert_array_equal(seen, np.cumsum(job.batches.sizes))
    rates = np.concatenate([chunk.learning_rate for chunk in run])
    np.testing.assert_array_equal(rates, np.float32(0.05 * job.batches.rate_factors))
    assert rates[-1] < rates[0]
    for chunk in run:
        expected = chunk.learning_rate[-1] * 1200 / (chunk.batch_size[-1] * 0.5)
        assert chunk.measured["noise_scale"] == pytest.approx(expected, rel=1e-6)


def test_a_constant_batch_logs_no_column_of_sizes_and_the_noise_scale(tensorflow):
    _, (chunk,) = losses_of(digits_job(softmax, optimizers.sgd()))
    assert set(chunk.applied) == {"learning_rate"}
    assert chunk.examples_seen is None
    assert chunk.noise_scale == pytest.approx(float(chunk.learning_rate[-1]) * 1200 / 24)
    _, (chunk,) = losses_of(digits_job(softmax, optimizers.adam()))
    assert "noise_scale" not in chunk.measured  # its formula is that of gradient descent


def test_plateau_and_a_growing_batch_go_together(tensorflow):
    job = growing_job(softmax, optimizers.sgd(), epochs=8, largest=60)
    job = reacting(job, **FALLING)
    _, run = losses_of(job)
    for epoch, chunk in enumerate(run):
        base = keras_rates(0.5, [c.val_loss for c in run[:epoch]], factor=0.5, patience=1, min_delta=0.05)[-1]
        factors = job.batches.rate_factors[chunk.steps]
        np.testing.assert_array_equal(chunk.learning_rate, np.float32(base * factors))


# --------------------------------------------------------------------------------------------- schedule-free

FREE = [optimizers.schedule_free_sgd(), optimizers.schedule_free_adamw(weight_decay=0.01)]


@pytest.mark.parametrize("optimizer", FREE, ids=["sgd", "adamw"])
@pytest.mark.parametrize("build", [softmax, mlp])
def test_a_schedule_free_run_in_a_stack_equals_the_same_alone(tensorflow, build, optimizer):
    jobs = [digits_job(build, optimizer, epochs=4, rate=rate) for rate in (0.02, 0.01, 0.005)]
    for stacked, alone in stacked_and_alone(jobs):
        assert stacked.val_loss == pytest.approx(alone.val_loss, rel=1e-3)


def test_schedule_free_losses_are_at_y_and_its_results_and_its_model_at_x(tensorflow):
    job = digits_job(softmax, optimizers.schedule_free_sgd(momentum=0.8), epochs=2)
    training = Training([job], Program(job))
    z = x = y = [v.numpy().astype(np.float64) for v in training.model().trainable_variables]
    losses, largest, total = [], 0.0, 0.0
    for rate, (pixels, labels) in zip(job.rates.table.astype(np.float64), batches(job), strict=True):
        p, loss = probabilities(y, pixels.reshape(len(labels), -1), labels)
        losses.append(loss)
        slope = (p - np.eye(10)[labels]) / len(labels)
        gradients = [pixels.reshape(len(labels), -1).T @ slope, slope.sum(0)]
        z = [a - rate * g for a, g in zip(z, gradients, strict=True)]
        largest = max(largest, rate)
        total += largest**2
        c = largest**2 / total
        x = [(1 - c) * a + c * b for a, b in zip(x, z, strict=True)]
        y = [0.2 * b + 0.8 * a for a, b in zip(x, z, strict=True)]
    chunks = [chunk for (chunk,) in training]
    np.testing.assert_allclose(np.concatenate([c.train_loss for c in chunks]), losses, rtol=1e-4)
    validation, test = job.data.validation, job.data.test
    at_x = [probabilities(x, s.inputs.reshape(-1, 64) / 16, s.targets)[1] for s in (validation, test)]
    assert [chunks[-1].val_loss, training.test()[0]["loss"]] == pytest.approx(at_x, rel=1e-4)
    for ours, theirs in zip(training.model().get_weights(), x, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def probabilities(weights, pixels, labels):
    """Softmax and mean cross entropy in float64."""
    logits = pixels @ weights[0] + weights[1]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p, -np.log(p[np.arange(len(labels)), labels]).mean()
