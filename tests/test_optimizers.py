import numpy as np
import pytest

from ratelab import optimizers
from ratelab.validation import UserError

STEPS = 60


def keras_path(optimizer, weights, gradients, rates):
    """Apply Keras' optimizer with the rate set before each step."""
    import keras

    variable = keras.Variable(weights)
    optimizer.build([variable])
    path = []
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([gradient], [variable])
        path.append(variable.numpy().copy())
    return np.array(path)


def our_path(tf, optimizer, weights, gradients, rates):
    state = [tf.constant(weights)]
    slots = [[tf.zeros_like(state[0])] for _ in range(optimizer.slots)]
    path = []
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        numbers = {name: tf.constant(value) for name, value in optimizer.hyperparameters.items()}
        state, slots = optimizer.update(tf.constant(step), rate, state, [gradient], slots, **numbers)
        path.append(state[0].numpy())
    return np.array(path)


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        ("sgd", "SGD", {}),
        ("sgd", "SGD", {"momentum": 0.9}),
        ("sgd", "SGD", {"momentum": 0.8, "nesterov": True}),
        ("adam", "Adam", {}),
        ("adam", "Adam", {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5}),
        ("adamw", "AdamW", {}),
        ("adamw", "AdamW", {"weight_decay": 0.1}),
    ],
)
def test_every_step_equals_keras_under_a_rate_that_changes(tensorflow, ours, theirs, arguments):
    import keras

    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 3)).astype(np.float32)
    gradients = rng.normal(size=(STEPS, 4, 3)).astype(np.float32)
    rates = (0.1 * 0.97 ** np.arange(STEPS)).astype(np.float32)
    expected = keras_path(getattr(keras.optimizers, theirs)(**arguments), weights, gradients, rates)
    actual = our_path(tensorflow, getattr(optimizers, ours)(**arguments), weights, gradients, rates)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)  # float32, another order of operations


def test_plain_sgd_is_exact(tensorflow):
    weights, gradients = np.float32([[1.0, -2.0]]), np.float32([[[0.5, 0.25]], [[1.0, -1.0]]])
    path = our_path(tensorflow, optimizers.sgd(), weights, gradients, np.float32([0.5, 0.25]))
    np.testing.assert_array_equal(path, np.float32([[[0.75, -2.125]], [[0.5, -1.875]]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimizers.sgd(momentum=1.0), "sgd: momentum must be less than 1, got 1.0"),
        (lambda: optimizers.sgd(nesterov=True), "nesterov needs momentum > 0, got 0"),
        (lambda: optimizers.adam(epsilon=0.0), "adam: epsilon must be greater than 0, got 0.0"),
        (
            lambda: optimizers.adamw(weight_decay=-1.0),
            "weight_decay must be greater than or equal to 0, got -1.0",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
