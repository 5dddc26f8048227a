"""`as_keras`: the same rates inside Keras, applied in a compiled fit, and back from a configuration."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest

from ratelab import schedules
from ratelab.schedules import as_keras, keras_class, tabulate
from ratelab.validation import UserError
from support import ROOT

STEPS = 60
MADE = {
    "fixed": (schedules.fixed, {}, lambda: schedules.fixed(0.1)),
    "exponential": (
        schedules.exponential,
        {"decay_steps": 10, "decay_rate": 0.5},
        lambda: schedules.exponential(0.1, decay_steps=10, decay_rate=0.5),
    ),
    "one_cycle": (schedules.one_cycle, {}, lambda: schedules.one_cycle(0.1, STEPS)),
    "noisy": (
        schedules.noisy_linear_cosine,
        {"seed": 4},
        lambda: schedules.noisy_linear_cosine(0.1, STEPS, seed=4),
    ),
    "warmup": (
        schedules.warmup,
        {"schedule": functools.partial(schedules.cosine, alpha=0.1), "warmup_steps": 0.1},
        lambda: schedules.warmup(
            0.1, STEPS, schedule=functools.partial(schedules.cosine, alpha=0.1), warmup_steps=6
        ),
    ),
    "join": (
        schedules.join,
        {"schedules": [schedules.fixed, schedules.rex], "boundaries": [0.5]},
        lambda: schedules.join(0.1, STEPS, schedules=[schedules.fixed, schedules.rex], boundaries=[30]),
    ),
}


def made(name):
    function, options, ours = MADE[name]
    return as_keras(function, 0.1, STEPS, **options), tabulate(ours(), STEPS)


@pytest.mark.parametrize("name", MADE)
def test_keras_gets_the_same_rate_at_every_step_and_the_last_one_after_the_end(tensorflow, name):
    schedule, rates = made(name)
    np.testing.assert_array_equal([np.float32(schedule(t)) for t in range(STEPS)], rates)
    assert np.float32(schedule(STEPS + 100)) == rates[-1]
    np.testing.assert_array_equal(schedule(np.arange(STEPS)), rates)


@pytest.mark.parametrize("name", MADE)
def test_a_configuration_goes_through_json_and_back(tensorflow, name):
    import keras

    schedule, rates = made(name)
    written = json.loads(json.dumps(keras.optimizers.schedules.serialize(schedule)))
    assert written["registered_name"] == "ratelab>Schedule"
    back = keras.optimizers.schedules.deserialize(written)
    np.testing.assert_array_equal(back(np.arange(STEPS)), rates)
    assert back.get_config() == schedule.get_config()


def test_a_compiled_fit_applies_the_rate_of_every_step(tensorflow):
    """SGD on a loss whose gradient is 1: after t updates the weight has moved by the sum of t rates."""
    import keras

    schedule, rates = made("warmup")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(schedule), loss=lambda _, logits: logits, jit_compile=False)
    start, ones = float(model.get_weights()[0][0, 0]), np.ones((STEPS, 1), np.float32)
    model.fit(ones, ones, batch_size=1, epochs=1, verbose=0, shuffle=False)
    assert start - float(model.get_weights()[0][0, 0]) == pytest.approx(rates.sum(dtype=float), rel=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, when it saves
def test_a_saved_model_is_loaded_in_another_process(tensorflow, tmp_path):
    import keras

    schedule, rates = made("warmup")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), loss="mse")
    model.save(tmp_path / "model.keras")
    script = (
        "import keras; from ratelab.schedules import keras_class; keras_class(); "
        f"model = keras.models.load_model({str(tmp_path / 'model.keras')!r}); "
        "print(float(model.optimizer._learning_rate(20)))"
    )
    environment = {"PYTHONPATH": str(ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.float32(done.stdout) == rates[20]


def test_a_function_that_is_not_registered_is_not_loaded(tensorflow):
    config = {"schedule": {"function": "os.system", "arguments": {}}, "learning_rate": 0.1, "steps": 3}
    with pytest.raises(
        UserError, match=r"os.system must be a function of ratelab.schedules or one registered"
    ):
        keras_class().from_config(config)
    config["schedule"]["function"] = "ratelab.schedules.cosin"
    with pytest.raises(UserError, match="there is no 'cosin'; did you mean 'cosine'"):
        keras_class().from_config(config)


def test_a_registered_function_of_ones_own_comes_back(tensorflow):
    import keras

    @keras.saving.register_keras_serializable(package="mine")
    def halves(learning_rate):
        return lambda step: learning_rate * 0.5 ** np.asarray(step)

    schedule = as_keras(halves, 1.0, 4)
    assert schedule.get_config()["schedule"]["function"] == "mine>halves"
    back = keras_class().from_config(schedule.get_config())
    assert np.asarray(back(np.arange(4))).tolist() == [1, 0.5, 0.25, 0.125]


def test_bad_arguments_are_refused_as_without_keras(tensorflow):
    with pytest.raises(UserError, match="cosine: steps must be greater than 0, got 0"):
        as_keras(schedules.cosine, 0.1, 0)
    with pytest.raises(UserError, match="alpha must be greater than or equal to 0, got -1"):
        as_keras(schedules.cosine, 0.1, 10, alpha=-1)
