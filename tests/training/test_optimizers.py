import json
from pathlib import Path

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


# ------------------------------------------------------------------------------------------- schedule-free

PACKAGE = json.loads((Path(__file__).parents[1] / "data" / "schedule_free.json").read_text())


def slope(w, curvature):
    """Of the sum of curvature w^2 / 2 + 0.1 sin(3 w), the problem in data/schedule_free.json."""
    return curvature * w + 0.3 * np.cos(3 * w)


def averages(tf, optimizer, rates):
    """The weights to be evaluated after every step on that problem."""
    weights = [tf.constant(np.float32(PACKAGE["start"]))]
    slots, curvature = optimizer.first_slots(weights), np.float64(PACKAGE["curvature"])
    numbers = {name: tf.constant(np.float32(value)) for name, value in optimizer.hyperparameters.items()}
    path = []
    for step, rate in enumerate(rates):
        gradients = [tf.constant(slope(weights[0].numpy(), curvature).astype(np.float32))]
        weights, slots = optimizer.update(tf.constant(step), rate, weights, gradients, slots, **numbers)
        path.append(optimizer.evaluated(weights, slots)[0].numpy())
    return np.array(path)


def by_the_paper(rates, beta, step_of):
    """x after every step: z, x, y and c as in algorithm 1, in float64."""
    z = x = y = np.float64(PACKAGE["start"])
    largest = total = 0.0
    path = []
    for n, rate in enumerate(rates.astype(np.float64), 1):
        z = z - rate * step_of(n, y, slope(y, np.float64(PACKAGE["curvature"])))
        largest = max(largest, rate)
        total += largest**2
        c = largest**2 / total if total else 0.0
        x = (1 - c) * x + c * z
        y = (1 - beta) * z + beta * x
        path.append(x)
    return np.array(path)


def adam_steps(beta_2, epsilon, weight_decay):
    v = np.zeros(np.shape(PACKAGE["start"]))

    def step_of(n, y, g):
        nonlocal v
        v = beta_2 * v + (1 - beta_2) * g**2
        return g / (np.sqrt(v / (1 - beta_2**n)) + epsilon) + weight_decay * y

    return step_of


RATES = {
    "fixed": np.full(STEPS, 0.1),
    "warm-up from zero": 0.1 * np.minimum(1, np.arange(STEPS) / 10),
    "falling": 0.2 * 0.95 ** np.arange(STEPS),
    "zero": np.zeros(STEPS),
}


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
@pytest.mark.parametrize("beta", [0.9, 0.5])
def test_schedule_free_sgd_equals_the_papers_recurrence_at_every_step(tensorflow, rates, beta):
    actual = averages(tensorflow, optimizers.schedule_free_sgd(momentum=beta), rates.astype(np.float32))
    expected = by_the_paper(rates.astype(np.float32), beta, lambda _n, _y, g: g)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)  # float32 against float64


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_schedule_free_adamw_equals_the_papers_recurrence_at_every_step(tensorflow, rates):
    optimizer = optimizers.schedule_free_adamw(weight_decay=0.1, beta_1=0.8, beta_2=0.99, epsilon=1e-6)
    actual = averages(tensorflow, optimizer, rates.astype(np.float32))
    expected = by_the_paper(rates.astype(np.float32), 0.8, adam_steps(0.99, 1e-6, 0.1))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)  # float32; a root near zero magnifies


@pytest.mark.parametrize(
    ("name", "rate", "arguments"),
    [("sgd", 0.2, {"momentum": 0.9}), ("adamw", 0.05, {"beta_2": 0.99, "weight_decay": 0.1})],
)
def test_every_average_equals_that_of_the_schedulefree_package_with_its_warm_up(
    tensorflow, name, rate, arguments
):
    rates = rate * np.minimum(1, np.arange(1, PACKAGE["steps"] + 1) / PACKAGE["warmup"])
    optimizer = getattr(optimizers, f"schedule_free_{name}")(**arguments)
    expected = np.reshape(PACKAGE[name], (-1, 3, 2))
    np.testing.assert_allclose(averages(tensorflow, optimizer, np.float32(rates)), expected, atol=2e-6)


# ---------------------------------------------------------------------------------------- momenta by step


@pytest.mark.parametrize(
    ("optimizer", "numbers"),
    [
        (optimizers.sgd(momentum=0.9), {"momentum": [0.95, 0.85]}),
        (optimizers.adam(), {"beta_1": [0.95, 0.85], "gain_1": [1 - 0.95, 1 - 0.85]}),
        (optimizers.adamw(), {"beta_1": [0.95, 0.85], "gain_1": [1 - 0.95, 1 - 0.85]}),
        (optimizers.schedule_free_sgd(), {"momentum": [0.95, 0.85]}),
        (optimizers.schedule_free_adamw(), {"beta_1": [0.95, 0.85]}),
    ],
)
def test_momenta_become_the_hyperparameters_that_hold_them(optimizer, numbers):
    actual = optimizer.numbers_of_momenta(np.array([0.95, 0.85]))
    assert {name: values.tolist() for name, values in actual.items()} == numbers
    assert set(actual) <= set(optimizer.hyperparameters)


def test_an_optimizer_without_momentum_has_nothing_that_follows_momenta():
    assert optimizers.sgd().numbers_of_momenta is None
