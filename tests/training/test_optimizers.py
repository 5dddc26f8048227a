import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ratelab import optimizers
from ratelab.optimizers.decay import clip_gradients
from ratelab.optimizers.rule import Weight
from ratelab.validation import UserError

STEPS = 60


# Of every kind that an optimizer tells apart, tall, wide and square; the last matrix is the output.
MODEL = {
    "embedding/embeddings": (6, 4),
    "wide/kernel": (4, 7),
    "wide/bias": (7,),
    "norm/gamma": (7,),
    "tall/kernel": (7, 3),
    "query/bias": (2, 3),
    "query/kernel": (3, 2, 3),
    "square/kernel": (5, 5),
    "output/kernel": (3, 2),
}


def keras_path(tf, optimizer, weights, gradients, rates, undecayed=()):
    """Apply Keras' optimizer with the rate set before each step; all weights after each, in one row."""
    import keras

    variables = []
    for path, value in weights.items():
        layer, _, name = path.rpartition("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(value, name=name))
    assert [variable.path for variable in variables] == list(weights)
    if undecayed:
        optimizer.exclude_from_weight_decay(
            var_list=[variable for variable in variables if variable.path in undecayed]
        )
    optimizer.build(variables)
    apply = tf.function(lambda given: optimizer.apply(given, variables))
    path = []
    for step, rate in enumerate(rates):
        optimizer.learning_rate = rate
        apply([tf.constant(gradient[step]) for gradient in gradients.values()])
        path.append(np.concatenate([variable.numpy().ravel() for variable in variables]))
    return np.array(path)


def our_path(tf, optimizer, weights, gradients, rates):
    state = [tf.constant(value) for value in weights.values()]
    slots = optimizer.first_slots(state)
    optimizer = optimizer.for_weights([Weight(path, value.shape) for path, value in weights.items()])
    numbers = {name: tf.constant(value) for name, value in optimizer.hyperparameters.items()}
    update = tf.function(partial(optimizer.update, **numbers))
    path = []
    for step, rate in enumerate(rates):
        given = [tf.constant(gradient[step]) for gradient in gradients.values()]
        state, slots = update(tf.constant(step), tf.constant(rate), state, given, slots)
        path.append(np.concatenate([value.numpy().ravel() for value in state]))
    return np.array(path)


def start_of(shapes):
    """Weights and gradients of any size, and rates that change."""
    rng = np.random.default_rng(0)
    weights = {path: rng.normal(size=shape).astype(np.float32) for path, shape in shapes.items()}
    gradients = {path: rng.normal(size=(STEPS, *shape)).astype(np.float32) for path, shape in shapes.items()}
    return weights, gradients, (0.1 * 0.97 ** np.arange(STEPS)).astype(np.float32)


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
        ("rmsprop", "RMSprop", {}),
        ("rmsprop", "RMSprop", {"rho": 0.8, "epsilon": 1e-4, "weight_decay": 0.1}),
        ("rmsprop", "RMSprop", {"momentum": 0.8}),
        ("rmsprop", "RMSprop", {"centered": True}),
        ("rmsprop", "RMSprop", {"centered": True, "momentum": 0.9}),
        ("adagrad", "Adagrad", {}),
        ("adagrad", "Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-3, "weight_decay": 0.1}),
        ("nadam", "Nadam", {}),
        ("nadam", "Nadam", {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-5, "weight_decay": 0.1}),
        ("lion", "Lion", {}),
        ("lion", "Lion", {"beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.1}),
        ("muon", "Muon", {}),
        ("muon", "Muon", {"momentum": 0.8, "nesterov": False, "weight_decay": 0.1}),
        ("muon", "Muon", {"rms_rate": None, "ns_steps": 3, "muon_a": 2.0, "muon_b": -1.5, "muon_c": 0.5}),
        ("muon", "Muon", {"exclude_embeddings": False, "exclude_layers": ["^wide", "out.*kernel"]}),
        (
            "muon",
            "Muon",
            {
                "adam_lr_ratio": 0.3,
                "adam_beta_1": 0.8,
                "adam_beta_2": 0.99,
                "adam_weight_decay": 0.2,
                "epsilon": 1e-5,
            },
        ),
    ],
)
def test_every_step_equals_keras_under_a_rate_that_changes(tensorflow, ours, theirs, arguments):
    import keras

    run = start_of(MODEL)
    expected = keras_path(tensorflow, getattr(keras.optimizers, theirs)(**arguments), *run)
    actual = our_path(tensorflow, getattr(optimizers, ours)(**arguments), *run)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)  # float32, another order of operations


def test_plain_sgd_is_exact(tensorflow):
    weights, gradients = {"w": np.float32([1.0, -2.0])}, {"w": np.float32([[0.5, 0.25], [1.0, -1.0]])}
    path = our_path(tensorflow, optimizers.sgd(), weights, gradients, np.float32([0.5, 0.25]))
    np.testing.assert_array_equal(path, np.float32([[0.75, -2.125], [0.5, -1.875]]))


DECAYING = ["AdamW", "RMSprop", "Adagrad", "Nadam", "Lion", "Muon"]


@pytest.mark.parametrize("theirs", DECAYING)
def test_a_decay_on_matrices_equals_keras_with_biases_and_norms_excluded(tensorflow, theirs):
    import keras

    run = start_of(MODEL)
    undecayed = ["wide/bias", "norm/gamma", "query/bias"]
    expected = keras_path(tensorflow, getattr(keras.optimizers, theirs)(weight_decay=0.3), *run, undecayed)
    ours = getattr(optimizers, theirs.lower())(weight_decay=0.3, decay_on="matrices")
    np.testing.assert_allclose(our_path(tensorflow, ours, *run), expected, rtol=2e-5, atol=2e-6)


def test_a_schedule_free_decay_on_matrices_leaves_the_others_as_without_a_decay(tensorflow):
    run = start_of(MODEL)
    decayed, masked, without = (
        our_path(tensorflow, optimizers.schedule_free_adamw(**arguments), *run)
        for arguments in ({"weight_decay": 0.3}, {"weight_decay": 0.3, "decay_on": "matrices"}, {})
    )
    kept = ["wide/bias", "norm/gamma", "query/bias"]
    of_kept = np.concatenate([np.full(np.prod(shape), path in kept) for path, shape in MODEL.items()])
    np.testing.assert_array_equal(masked[:, of_kept], without[:, of_kept])
    np.testing.assert_array_equal(masked[:, ~of_kept], decayed[:, ~of_kept])
    assert not np.isclose(masked[-1, ~of_kept], without[-1, ~of_kept]).any()


@pytest.mark.parametrize(
    ("theirs", "clip_norm"),
    # The gradients of a step are about 10 long.
    [("SGD", 9.0), ("SGD", 1e3), *((theirs, 0.5) for theirs in ["SGD", "Adam", *DECAYING])],
)
def test_a_clipped_step_equals_keras_with_a_global_norm(tensorflow, theirs, clip_norm):
    import keras

    run = start_of(MODEL)
    expected = keras_path(tensorflow, getattr(keras.optimizers, theirs)(global_clipnorm=clip_norm), *run)
    ours = clip_gradients(getattr(optimizers, theirs.lower())(), clip_norm)
    np.testing.assert_allclose(our_path(tensorflow, ours, *run), expected, rtol=2e-5, atol=2e-6)


def test_muon_moves_a_matrix_that_is_held_turned_as_keras_moves_it_unturned(tensorflow):
    import keras

    shapes = {path: MODEL[path] for path in ("wide/kernel", "tall/kernel", "square/kernel")}
    weights, gradients, rates = start_of(shapes)
    expected = keras_path(tensorflow, keras.optimizers.Muon(), weights, gradients, rates)
    turned = {path: value.T for path, value in weights.items()}
    over = {path: value.transpose(0, 2, 1) for path, value in gradients.items()}
    actual = our_path(tensorflow, optimizers.muon(), turned, over, rates)
    ends = np.cumsum([value.size for value in weights.values()])
    parts = zip(np.split(actual, ends[:-1], axis=1), turned.values(), strict=True)
    back = [part.reshape(STEPS, *value.shape).transpose(0, 2, 1).reshape(STEPS, -1) for part, value in parts]
    # Of the square one the other products are taken, and the iteration magnifies what rounding leaves.
    np.testing.assert_allclose(np.concatenate(back, axis=1), expected, rtol=2e-4, atol=2e-5)


def test_muon_leaves_the_last_matrix_to_adamw_where_the_output_is_excluded(tensorflow):
    import keras

    run = start_of(MODEL)
    expected = keras_path(tensorflow, keras.optimizers.Muon(exclude_layers=["output"]), *run)
    actual = our_path(tensorflow, optimizers.muon(exclude_output=True), *run)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)
    assert not np.allclose(actual, our_path(tensorflow, optimizers.muon(), *run))


def test_muon_refuses_a_pattern_that_no_weight_has():
    weights = [Weight(path, shape) for path, shape in MODEL.items()]
    with pytest.raises(UserError, match=r"exclude_layers must be in the path .* got 'head'; .*wide/kernel"):
        optimizers.muon(exclude_layers=["head"]).for_weights(weights)


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
        (lambda: optimizers.rmsprop(rho=1.0), "rmsprop: rho must be less than 1, got 1.0"),
        (
            lambda: optimizers.adagrad(initial_accumulator_value=-1.0),
            "adagrad: initial_accumulator_value must be greater than or equal to 0, got -1.0",
        ),
        (lambda: optimizers.nadam(beta_2=1.0), "nadam: beta_2 must be less than 1, got 1.0"),
        (lambda: optimizers.lion(beta_1=0.0), "lion: beta_1 must be greater than 0, got 0.0"),
        (lambda: optimizers.muon(ns_steps=0), "muon: ns_steps must be greater than 0, got 0"),
        (lambda: optimizers.muon(exclude_layers=["("]), r"exclude_layers must be regular expr.* got '\('"),
        (lambda: optimizers.lion(decay_on="biases"), "decay_on must be 'all' or 'matrices', got 'biases'"),
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
        (optimizers.rmsprop(momentum=0.9), {"momentum": [0.95, 0.85]}),
        (optimizers.nadam(), {"beta_1": [0.95, 0.85]}),
        (optimizers.lion(weight_decay=0.1), {"beta_1": [0.95, 0.85]}),
        (optimizers.muon(), {"momentum": [0.95, 0.85], "loss": [1 - 0.95, 1 - 0.85]}),
        (optimizers.schedule_free_sgd(), {"momentum": [0.95, 0.85]}),
        (optimizers.schedule_free_adamw(), {"beta_1": [0.95, 0.85]}),
    ],
)
def test_momenta_become_the_hyperparameters_that_hold_them(optimizer, numbers):
    actual = optimizer.numbers_of_momenta(np.array([0.95, 0.85]))
    assert {name: values.tolist() for name, values in actual.items()} == numbers
    assert set(actual) <= set(optimizer.hyperparameters)


def test_an_optimizer_without_momentum_has_nothing_that_follows_momenta():
    rules = optimizers.sgd(), optimizers.rmsprop(), optimizers.adagrad()
    assert [rule.numbers_of_momenta for rule in rules] == [None, None, None]
