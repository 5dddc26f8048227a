"""The products that dense layers are computed by, and that they are those of Keras."""

from functools import partial

import numpy as np
import pytest

from ratelab import models
from ratelab.training import network
from ratelab.training.loop import lift
from ratelab.training.network import LARGE_BATCH, WIDE, Network

BUILD = partial(models.mlp, (12,), WIDE, hidden=[WIDE, WIDE - 1])
INPUTS = np.random.default_rng(0).standard_normal((LARGE_BATCH, 12), dtype=np.float32)


@pytest.fixture
def turned(monkeypatch):
    """The units of the layers that compute [units, batch], in the order of their calls."""
    units, original = [], network._call_along_rows

    def call(layer, inputs, training=None):
        units.append(layer.units)
        return original(layer, inputs, training)

    monkeypatch.setattr(network, "_call_along_rows", call)
    return units


@pytest.mark.parametrize(
    ("stacked", "examples", "expected"),
    [
        (False, LARGE_BATCH, [WIDE - 1, WIDE]),
        (False, LARGE_BATCH - 1, [WIDE, WIDE - 1, WIDE]),
        (True, LARGE_BATCH, [WIDE, WIDE - 1, WIDE]),
    ],
)
def test_wide_hidden_layers_of_a_run_alone_keep_the_product_of_keras(
    tensorflow, turned, stacked, examples, expected
):
    model = BUILD()
    held = Network(model, None, stacked=stacked)
    held.outputs(*held.state_of(model), tensorflow.constant(INPUTS[:examples]), training=True)
    assert turned == expected


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("xla", [True, False])
def test_outputs_and_gradients_of_wide_and_of_narrow_layers_are_those_of_keras(tensorflow, size, xla):
    model = BUILD()
    held = Network(model, None, stacked=size > 1)
    weights, others = held.state_of(model)
    inputs = tensorflow.constant(INPUTS)

    def differentiate(weights):
        with tensorflow.GradientTape() as tape:
            tape.watch(weights)
            outputs, _, _ = held.outputs(weights, others, inputs, training=True)
        return outputs, tape.gradient(outputs, weights)

    compiled = tensorflow.function(lift(differentiate, size), jit_compile=xla, autograph=False)
    outputs, gradients = compiled([tensorflow.repeat(weight[None], size, 0) for weight in weights])
    with tensorflow.GradientTape() as tape:
        expected = model(inputs)
    slopes = tape.gradient(expected, model.trainable_variables)
    for run in range(size):
        np.testing.assert_allclose(outputs[run], expected, rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(held.turn([slope[run] for slope in gradients]), slopes, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
