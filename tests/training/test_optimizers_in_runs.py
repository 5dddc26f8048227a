"""The optimizers in the compiled loop: in stacks, with clipping, and what they learn of a model's weights."""

from functools import partial

import numpy as np
import pytest
from test_training import batches, digits_job, stack_of, stacked_and_alone

from ratelab import models, optimizers
from ratelab.optimizers.decay import clip_gradients
from ratelab.training import Program, Training
from ratelab.training.network import Network

MLP = partial(models.mlp, (8, 8), 10, hidden=[16])


def named_mlp():
    """Keras numbers layers without a name by what the process has made before."""
    from keras import Input, Sequential, layers

    hidden, output = layers.Dense(16, "relu", name="hidden"), layers.Dense(10, name="output")
    return Sequential([Input((8, 8)), layers.Flatten(), hidden, output])


def clipped_adagrad(clip_norm, **arguments):
    return clip_gradients(optimizers.adagrad(**arguments), clip_norm)


@pytest.mark.parametrize(
    ("make_optimizer", "settings"),
    [
        (optimizers.rmsprop, [{"rho": r, "momentum": m} for r, m in ((0.9, 0.5), (0.8, 0.9), (0.99, 0.1))]),
        (clipped_adagrad, [{"clip_norm": c} for c in (0.1, 1.0, 100.0)]),
        (
            optimizers.nadam,
            [{"beta_1": b, "weight_decay": w} for b, w in ((0.9, 0.1), (0.8, 1.0), (0.5, 2.0))],
        ),
        (optimizers.lion, [{"beta_1": b} for b in (0.9, 0.8, 0.5)]),
        (
            optimizers.muon,
            [{"momentum": m, "decay_on": "matrices", "weight_decay": m} for m in (0.95, 0.9, 0.5)],
        ),
    ],
)
def test_a_job_in_a_stack_equals_the_same_job_alone(tensorflow, make_optimizer, settings):
    for stacked, alone in stacked_and_alone(stack_of(MLP, make_optimizer, settings, epochs=1)):
        assert stacked.val_loss == pytest.approx(alone.val_loss, rel=1e-3)


@pytest.mark.parametrize(
    ("optimizer", "theirs", "arguments"),
    [
        (optimizers.muon(exclude_output=True), "Muon", {"exclude_layers": ["output"]}),
        (
            optimizers.muon(decay_on="matrices", weight_decay=1.0, exclude_layers=["hid.*kernel"]),
            "Muon",
            {"weight_decay": 1.0, "exclude_layers": ["hid.*kernel"]},
        ),
        (clip_gradients(optimizers.adam(), 0.5), "Adam", {"global_clipnorm": 0.5}),
    ],
)
def test_every_loss_equals_keras_training_batch_by_batch(tensorflow, optimizer, theirs, arguments):
    """Also where the loop holds the kernels turned, and tells the weights apart by the names in the model."""
    import keras

    job = digits_job(named_mlp, optimizer, rate=0.01)
    training = Training([job], Program(job))
    twin = named_mlp()
    twin.set_weights(training.model().get_weights())
    oracle = getattr(keras.optimizers, theirs)(**arguments)
    if "weight_decay" in arguments:
        oracle.exclude_from_weight_decay(var_list=[v for v in twin.trainable_variables if v.name == "bias"])
    twin.compile(oracle, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    expected = []
    for rate, (pixels, labels) in zip(job.rates.table, batches(job), strict=True):
        oracle.learning_rate = rate
        expected.append(float(twin.train_on_batch(pixels, labels)))
        twin.reset_metrics()
    ((chunk,),) = training
    np.testing.assert_allclose(chunk.train_loss, expected, rtol=2e-4)  # float32 over 50 steps


def test_biases_scales_and_shifts_are_no_matrices_however_many_axes_they_have(tensorflow):
    import keras

    x = inputs = keras.Input((6,))
    x = keras.layers.Embedding(5, 4)(x)
    x = keras.layers.LayerNormalization(axis=[1, 2])(x)
    x = keras.layers.MultiHeadAttention(2, 3)(x, x)
    x = keras.layers.EinsumDense("abc,cde->abde", (6, 2, 3), bias_axes="de")(x)
    x = keras.layers.Reshape((6, 6))(x)
    x = keras.layers.GRU(4, return_sequences=True)(keras.layers.RMSNormalization(axis=[1, 2])(x))
    x = keras.layers.BatchNormalization()(keras.layers.Conv1D(3, 2)(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    weights = Network(model, None).weights
    matrices = {weight.path.rpartition("/")[2] for weight in weights if weight.is_matrix}
    others = [weight for weight in weights if not weight.is_matrix]
    assert matrices == {"embeddings", "kernel", "recurrent_kernel"}
    assert {weight.path.rpartition("/")[2] for weight in others} == {"bias", "beta", "gamma", "scale"}
    assert {len(weight.shape) for weight in others} == {1, 2}
