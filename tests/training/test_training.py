import hashlib
import itertools
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ratelab import models, optimizers
from ratelab.batch_sizes import constant, plan_batches
from ratelab.data import digits, epoch_order
from ratelab.schedules import exponential, fixed, tabulate
from ratelab.tasks import auto
from ratelab.training import CannotStack, Job, Program, ProgramCache, Tabulated, Training
from ratelab.training.models_accepted import can_stack, list_layers
from ratelab.validation import UserError

BATCH = 24
STEPS = 50  # an epoch of the digits: 1,200 training examples


def digits_job(build_model, optimizer, *, rate=0.1, epochs=1, seed=0, batch=BATCH, xla=None):
    dataset = digits(validation_size=300)
    plan = plan_batches(constant(batch), len(dataset.train), epochs)
    rates = Tabulated(tabulate(exponential(rate, decay_steps=20, decay_rate=0.7), plan.steps))
    return Job(
        seed,
        rates,
        plan,
        build_model,
        dataset,
        auto(dataset.train.targets, dataset.classes),
        optimizer,
        xla,
        "digits",
    )


def softmax():
    return models.softmax((8, 8), 10)


def chunks_of(job):
    training = Training([job], Program(job))
    return training, [chunk for (chunk,) in training]


def batches(job):
    """The batches of a job in order, as pixels and labels, made without the loop."""
    order_seed = np.random.SeedSequence(job.seed).spawn(2)[1]
    train = job.data.train
    sizes = iter(job.batches.sizes.tolist())
    for epoch, steps in enumerate(np.diff(job.batches.first_steps)):
        left = epoch_order(order_seed, epoch, len(train), 1).ravel()
        for size in itertools.islice(sizes, int(steps)):
            rows, left = left[:size], left[size:]
            yield (train.inputs[rows] * np.float32(job.data.scale)).astype(np.float32), train.targets[rows]


def test_losses_and_weights_equal_softmax_regression_by_hand(tensorflow):
    job = digits_job(softmax, optimizers.sgd(), epochs=2)
    training = Training([job], Program(job))
    weights, bias = (v.numpy().astype(np.float64) for v in training.model().trainable_variables)
    losses = []
    for rate, (pixels, labels) in zip(job.rates.table, batches(job), strict=True):
        x, truth = pixels.reshape(len(labels), -1), np.eye(10)[labels]
        logits = x @ weights + bias
        shifted = logits - logits.max(1, keepdims=True)
        probabilities = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        losses.append(-np.log((probabilities * truth).sum(1)).mean())
        weights -= rate * x.T @ (probabilities - truth) / len(labels)
        bias -= rate * (probabilities - truth).mean(0)
    actual = np.concatenate([chunk.train_loss for (chunk,) in training])
    np.testing.assert_allclose(actual, losses, rtol=1e-4)  # float32 against float64, 100 steps
    np.testing.assert_allclose(training.model().trainable_variables[0].numpy(), weights, atol=1e-5)


@pytest.mark.parametrize("xla", [True, False])
@pytest.mark.parametrize(
    ("build", "optimizer", "keras_optimizer"),
    [
        (softmax, optimizers.sgd(momentum=0.9), "SGD(momentum=0.9)"),
        (partial(models.mlp, (8, 8), 10, hidden=[16]), optimizers.adam(), "Adam()"),
        (partial(models.mlp, (8, 8), 10, hidden=[16]), optimizers.sgd(), "SGD()"),
        (partial(models.cnn, (8, 8), 10, filters=[4]), optimizers.adamw(), "AdamW()"),
    ],
)
def test_every_loss_equals_keras_training_batch_by_batch(tensorflow, build, optimizer, keras_optimizer, xla):
    import keras

    job = digits_job(build, optimizer, rate=0.01, xla=xla)
    training = Training([job], Program(job))
    twin = build()
    twin.set_weights(training.model().get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs = eval(f"keras.optimizers.{keras_optimizer}", {"keras": keras})  # noqa: S307 - our own words
    twin.compile(optimizer=theirs, loss=loss)
    expected = []
    for rate, (pixels, labels) in zip(job.rates.table, batches(job), strict=True):
        theirs.learning_rate = rate
        expected.append(float(twin.train_on_batch(pixels, labels)))
        twin.reset_metrics()
    ((chunk,),) = training
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-4)  # float32 over 50 steps


def weight_with_unit_gradient():
    """A model with one weight that only its own penalty sees: d loss / d weight = 1."""
    import keras

    class Free(keras.layers.Layer):
        def build(self, _):
            self.free = self.add_weight(shape=(), initializer="zeros", regularizer=lambda w: w)

        def call(self, x):
            return x

    return keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), Free(), keras.layers.Dense(10)])


def test_the_rate_applied_is_the_rate_logged_at_every_step(tensorflow):
    job = digits_job(weight_with_unit_gradient, optimizers.sgd(), epochs=60, batch=1200)  # one step an epoch
    training = Training([job], Program(job))
    before = np.float32(0)
    logged = []
    for (chunk,) in training:
        (after,) = [v.numpy() for v in training.model().trainable_variables if v.shape == ()]
        assert after == before - chunk.learning_rate[0]
        before = after
        logged.append(chunk.learning_rate)
    np.testing.assert_array_equal(np.concatenate(logged), job.rates.table)


def test_chunks_join_without_gap_and_carry_rising_timestamps(tensorflow):
    _, chunks = chunks_of(digits_job(softmax, optimizers.sgd(), epochs=3))
    np.testing.assert_array_equal(np.concatenate([c.steps for c in chunks]), np.arange(3 * STEPS))
    stamps = np.concatenate([c.timestamps for c in chunks])
    assert (np.diff(stamps) >= 0).all()


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("batch", [1000, 128])
def test_evaluation_equals_keras_with_a_last_batch_that_is_not_full(tensorflow, monkeypatch, split, batch):
    from ratelab.training import device_data as module

    monkeypatch.setattr(module, "EVALUATION_BATCH", batch)
    training, chunks = chunks_of(digits_job(softmax, optimizers.sgd()))
    measured = training.test()[0] if split == "test" else chunks[-1].validation
    part = getattr(digits(validation_size=300), split)
    logits = training.model().predict(part.inputs / np.float32(16), verbose=0).astype(np.float64)
    by_hand = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), part.targets]
    assert measured["accuracy"] == (logits.argmax(1) == part.targets).mean()
    assert measured["loss"] == pytest.approx(by_hand.mean(), rel=1e-5)


def test_schedules_share_weights_and_batches_of_a_seed(tensorflow):
    decaying = digits_job(softmax, optimizers.sgd())
    constant = replace(decaying, rates=Tabulated(tabulate(fixed(0.1), STEPS)))
    (first,), (second,) = chunks_of(decaying)[1], chunks_of(constant)[1]
    assert first.train_loss[0] == second.train_loss[0]  # same weights, same batch, no update yet
    assert first.train_loss[-1] != second.train_loss[-1]


def test_another_seed_is_another_run(tensorflow):
    (first,), (second,) = (chunks_of(digits_job(softmax, optimizers.sgd(), seed=s))[1] for s in (0, 1))
    assert not np.isclose(first.train_loss[0], second.train_loss[0])


HASH = """
import hashlib, sys
sys.path[:0] = {path!r}
from ratelab.runtime import devices
from ratelab.config import Device
devices.configure(Device(kind="cpu", index=0, threads=1, precision="float32", xla=None, deterministic=False))
import test_training as t
from functools import partial
from ratelab import models, optimizers
build = {{"softmax": t.softmax,
         "mlp": partial(models.mlp, (8, 8), 10, hidden=[16], dropout=0.3),
         "cnn": partial(models.cnn, (8, 8), 10, filters=[4], dropout=0.3)}}[{model!r}]
_, chunks = t.chunks_of(t.digits_job(build, optimizers.adam(), rate=0.01, epochs=3))
print(t.bits(chunks))
"""


def bits(chunks):
    return hashlib.sha256(b"".join(chunk.train_loss.tobytes() for chunk in chunks)).hexdigest()


@pytest.mark.parametrize("model", ["softmax", "mlp", "cnn"])
def test_the_same_bits_in_another_process_at_every_step(model):
    script = HASH.format(path=[p for p in sys.path if p], model=model)
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].strip()) == 64


def test_a_loss_that_is_not_finite_ends_the_run_at_its_step(tensorflow):
    job = digits_job(partial(models.mlp, (8, 8), 10), optimizers.sgd(), epochs=2)
    rates = np.full(2 * STEPS, 0.1, np.float32)
    rates[10:] = 1e20
    (chunk,) = chunks_of(replace(job, rates=Tabulated(rates)))[1]
    assert 11 <= chunk.diverged_step < STEPS
    assert np.isfinite(chunk.train_loss[:-1]).all()
    assert not np.isfinite(chunk.train_loss[-1])
    assert len(chunk.learning_rate) == len(chunk.timestamps) == chunk.diverged_step + 1


def test_weights_spoilt_by_the_last_update_count_as_diverged(tensorflow):
    job = digits_job(partial(models.mlp, (8, 8), 10), optimizers.sgd())
    rates = np.full(STEPS, 0.1, np.float32)
    rates[-1] = 1e38
    (chunk,) = chunks_of(replace(job, rates=Tabulated(rates)))[1]
    assert np.isfinite(chunk.train_loss).all()
    assert chunk.diverged_step == STEPS - 1


def test_dropout_and_batch_normalisation_move_their_own_variables(tensorflow):
    import keras

    def build():
        return keras.Sequential(
            [
                keras.Input((64,)),
                keras.layers.Dense(16, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(10),
            ]
        )

    training, chunks = chunks_of(digits_job(build, optimizers.sgd(), epochs=5))
    mean = training.model().layers[1].moving_mean.numpy()
    assert (mean > 0).any()
    assert chunks[-1].validation["accuracy"] > 0.7


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("keras.Sequential([keras.layers.Dense(10)])", "must be a built keras.Model"),
        ("keras.Sequential([keras.Input((63,)), keras.layers.Dense(10)])", "input must hold 64 values"),
        (
            "keras.Sequential([keras.Input((64,)), keras.layers.Dense(9)])",
            r"shape \(None, 10\), got \(None, 9\)",
        ),
        (
            "keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation='softmax')])",
            "must return logits",
        ),
        ("'a string'", "must be a built keras.Model .*got str"),
    ],
)
def test_a_model_of_another_form_is_refused_with_its_reason(tensorflow, build, message):
    import keras

    job = digits_job(lambda: eval(build, {"keras": keras}), optimizers.sgd())  # noqa: S307 - our own words
    with pytest.raises(UserError, match=message):
        Program(job)


@pytest.mark.parametrize(
    ("build", "compiled"),
    [
        (softmax, True),
        (partial(models.mlp, (8, 8), 10), True),
        (partial(models.mlp, (8, 8), 10, dropout=0.5), False),
        (partial(models.cnn, (8, 8), 10), False),
    ],
)
def test_xla_is_used_by_itself_for_models_that_gain_from_it(tensorflow, build, compiled):
    program = Program(digits_job(build, optimizers.sgd()))
    assert program.xla is compiled


def test_the_private_part_of_keras_is_where_it_was(tensorflow):
    """A layer inside of a layer is listed; `model.layers`, which is public, names the outer one alone."""
    import keras

    assert hasattr(keras.Model, "_flatten_layers"), (
        "Keras has moved Model._flatten_layers: list_layers in training/models_accepted.py needs another way."
    )
    inner = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])
    model = keras.Sequential([keras.Input((64,)), inner, keras.layers.Dense(10)])
    listed = list_layers(model)
    assert model not in listed
    assert [type(layer) for layer in listed if type(layer) in (keras.layers.Dropout, keras.layers.Dense)] == [
        keras.layers.Dropout,
        keras.layers.Dense,
    ]
    assert not can_stack(model)


def stack_of(build, make_optimizer, settings, epochs=4):
    """Jobs of one seed with different schedules and different settings of one kind of optimizer."""
    rates = [tabulate(fixed(0.03), epochs * STEPS), None, tabulate(fixed(0.01), epochs * STEPS)]
    jobs = [digits_job(build, make_optimizer(**own), rate=0.05, epochs=epochs, seed=3) for own in settings]
    return [
        job if own is None else replace(job, rates=Tabulated(own))
        for job, own in zip(jobs, rates, strict=True)
    ]


def train(jobs, programs=None):
    """Train jobs as one program, by default one of their own."""
    training = Training(jobs, (programs or ProgramCache()).get(jobs[0], len(jobs)))
    epochs = list(training)
    return epochs, training.test()


def stacked_and_alone(jobs):
    """Each chunk of a job in a stack, and that of the job alone; losses and results are compared here."""
    programs = ProgramCache()  # as a worker has it
    epochs, results = train(jobs, programs)
    for place, job in enumerate(jobs):
        alone, (result,) = train([job], programs)
        for chunks, (chunk,) in zip(epochs, alone, strict=True):
            # float32, and a product for three jobs adds up in another order than that for one
            np.testing.assert_allclose(chunks[place].train_loss, chunk.train_loss, rtol=1e-3)
            yield chunks[place], chunk
        assert results[place] == pytest.approx(result, rel=1e-3, abs=1 / 297)


OPTIMIZERS = [
    (optimizers.sgd, [{}, {}, {}]),
    (optimizers.sgd, [{"momentum": m} for m in (0.9, 0.5, 0.8)]),
    (optimizers.sgd, [{"momentum": m, "nesterov": True} for m in (0.9, 0.5, 0.8)]),
    (optimizers.adam, [{"beta_1": b, "epsilon": e} for b, e in ((0.9, 1e-7), (0.8, 1e-5), (0.5, 1e-3))]),
    (
        optimizers.adamw,
        [{"weight_decay": d, "beta_2": b} for d, b in ((0.1, 0.9), (0.01, 0.99), (1.0, 0.999))],
    ),
]


@pytest.mark.parametrize("xla", [None, False])
@pytest.mark.parametrize(("make_optimizer", "settings"), OPTIMIZERS)
@pytest.mark.parametrize("build", [softmax, partial(models.mlp, (8, 8), 10, hidden=[16, 12])])
def test_a_job_in_a_stack_equals_the_same_job_alone(tensorflow, build, make_optimizer, settings, xla):
    for stacked, alone in stacked_and_alone(
        [replace(job, xla=xla) for job in stack_of(build, make_optimizer, settings)]
    ):
        np.testing.assert_array_equal(stacked.learning_rate, alone.learning_rate)
        assert stacked.val_loss == pytest.approx(alone.val_loss, rel=1e-3)
        assert stacked.epoch == alone.epoch


def test_a_job_that_diverges_leaves_the_others_of_its_stack_as_they_are(tensorflow):
    jobs = stack_of(partial(models.mlp, (8, 8), 10), optimizers.sgd, [{}, {}, {}])
    healthy, results = train(jobs)
    rates = jobs[1].rates.table.copy()
    rates[STEPS + 10 :] = 1e20
    epochs, spoilt = train([jobs[0], replace(jobs[1], rates=Tabulated(rates)), jobs[2]])
    assert STEPS + 10 < epochs[1][1].diverged_step < 2 * STEPS
    assert [chunks[1] is None for chunks in epochs] == [False, False, True, True]
    for place in (0, 2):
        assert spoilt[place] == results[place]
        assert bits(chunks[place] for chunks in epochs) == bits(chunks[place] for chunks in healthy)


def test_a_stack_ends_when_its_last_job_has_diverged(tensorflow):
    rates = np.full(4 * STEPS, 1e20, np.float32)
    jobs = stack_of(partial(models.mlp, (8, 8), 10), optimizers.sgd, [{}, {}, {}])
    training = [replace(job, rates=Tabulated(rates)) for job in jobs[:2]]
    epochs = list(Training(training, Program(training[0], 2)))
    assert len(epochs) == 1


def test_each_job_of_a_stack_has_its_own_weights_at_the_end(tensorflow):
    jobs = stack_of(softmax, optimizers.sgd, [{}, {}, {}])
    training = Training(jobs, Program(jobs[0], 3))
    list(training)
    for place, job in enumerate(jobs):
        alone = Training([job], Program(job))
        list(alone)
        expected = alone.model().get_weights()
        for ours, theirs in zip(training.model(place).get_weights(), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "build", [partial(models.cnn, (8, 8), 10), partial(models.mlp, (8, 8), 10, dropout=0.5)]
)
def test_models_with_other_layers_than_dense_ones_are_not_stacked(tensorflow, build):
    with pytest.raises(CannotStack):
        Program(digits_job(build, optimizers.sgd()), 2)


@pytest.mark.parametrize("penalty", ["kernel_regularizer", "bias_regularizer", "activity_regularizer"])
def test_a_penalty_of_a_dense_layer_is_a_part_of_the_loss(tensorflow, penalty):
    import keras

    def build(**penalties):
        dense = keras.layers.Dense(10, bias_initializer="ones", **penalties)
        return keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), dense])

    first = {}
    for name, arguments in {"with": {penalty: keras.regularizers.L2(0.1)}, "without": {}}.items():
        job = digits_job(partial(build, **arguments), optimizers.sgd())
        training = Training([job], Program(job))
        model, pixels = training.model(), next(batches(job))[0]
        model(pixels)
        penalties = float(sum(model.losses))
        ((chunk,),) = training
        first[name] = chunk.train_loss[0] - penalties
    assert first["with"] == pytest.approx(first["without"], rel=1e-5)


@pytest.mark.parametrize("xla", [True, False])
def test_seconds_of_training_leave_out_compilation(tensorflow, xla):
    """To compile takes a hundred times as long as an epoch here, whichever run comes first."""
    job = digits_job(softmax, optimizers.sgd(), epochs=2, xla=xla)
    program = Program(job)
    first, second = (chunk for (chunk,) in Training([job], program))
    assert 0 < first.seconds < program.seconds_compiling / 5
    assert first.timestamps[0] + 1e3 * first.seconds <= second.timestamps[0] + 1
    compiled = program.seconds_compiling
    list(Training([replace(job, seed=1)], program))
    assert (program.seconds_compiling, program.traces) == (compiled, 1)
