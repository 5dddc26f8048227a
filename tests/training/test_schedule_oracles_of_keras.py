"""Every schedule that Keras or TensorFlow 1 has too, at every step of a run of 1,000."""

import numpy as np
import pytest

from ratelab import schedules
from ratelab.schedules import exponential, tabulate
from support.schedules import BASE, same_to_float32

STEPS = 1000

# Keras and TensorFlow 1, in float64; their options become float32 first, so all of these are exact in it

EXPONENTIAL = [
    {"decay_steps": 100, "decay_rate": 0.875, "staircase": staircase} for staircase in (False, True)
]
POLYNOMIAL = [
    {"decay_steps": 300, "end_learning_rate": 0.0078125, "power": power, "cycle": cycle}
    for power, cycle in ((1.0, False), (2.5, False), (1.0, True), (0.5, True))
]
COSINE = [{"decay_steps": 1000}, {"decay_steps": 640, "alpha": 0.0625}]
RESTARTS = [
    {"first_decay_steps": first, "t_mul": t_mul, "m_mul": m_mul, "alpha": alpha}
    for first, t_mul, m_mul, alpha in (
        (250, 1.0, 1.0, 0.0),
        (130, 2.0, 0.75, 0.125),
        (90, 1.5, 0.875, 0.0),
        (7, 3.0, 1.0, 0.0),
    )
]
LINEAR_COSINE = [{"decay_steps": 640, "num_periods": 2.5, "alpha": 0.125, "beta": 0.0078125}]
CASES = {
    schedules.exponential: ("ExponentialDecay", "exponential_decay", EXPONENTIAL),
    schedules.natural_exp: (None, "natural_exp_decay", EXPONENTIAL),
    schedules.inverse_time: ("InverseTimeDecay", "inverse_time_decay", EXPONENTIAL),
    schedules.polynomial: ("PolynomialDecay", "polynomial_decay", POLYNOMIAL),
    schedules.cosine: ("CosineDecay", "cosine_decay", COSINE),
    schedules.cosine_restarts: ("CosineDecayRestarts", "cosine_decay_restarts", RESTARTS),
    schedules.linear_cosine: (
        None,
        "linear_cosine_decay",
        [*LINEAR_COSINE, {"decay_steps": 1000, "beta": 0.0}],
    ),
}


def cases(column):
    return [
        pytest.param(case[column], ours, options, id=f"{case[column]}-{number}")
        for ours, case in CASES.items()
        if case[column] is not None
        for number, options in enumerate(case[2])
    ]


def mended(expected, options):
    """The oracles round the logarithm that counts periods: at a first step they may be in the one before."""
    t_mul = options.get("t_mul", 1.0)
    start, period = 0.0, 0
    while t_mul > 1 and start < STEPS:
        if start == int(start):
            height = options["m_mul"] ** period
            expected[int(start)] = BASE * (options["alpha"] + (1 - options["alpha"]) * height)
        start += options["first_decay_steps"] * t_mul**period
        period += 1
    return expected


@pytest.mark.parametrize(("name", "ours", "options"), cases(0))
def test_keras_has_the_same_rate_at_every_step(tensorflow, name, ours, options):
    import keras

    base = tensorflow.constant(BASE, tensorflow.float64)  # the classes compute in the type of the base rate
    oracle = tensorflow.function(getattr(keras.optimizers.schedules, name)(base, **options))
    expected = [float(oracle(tensorflow.constant(t, tensorflow.float64))) for t in range(STEPS)]
    same_to_float32(ours(BASE, steps=STEPS, **options), mended(expected, options))


@pytest.mark.parametrize("floor", [0.125, 0.5])
@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        (schedules.cosine, "CosineDecay", lambda floor: {"alpha": floor}),
        (
            schedules.linear_to_zero,
            "PolynomialDecay",
            lambda floor: {"end_learning_rate": BASE * floor, "power": 1.0},
        ),
        (
            schedules.polynomial,
            "PolynomialDecay",
            lambda floor: {"end_learning_rate": BASE * floor, "power": 2.0},
        ),
    ],
)
def test_a_floor_is_what_keras_names_alpha_or_the_end(tensorflow, ours, name, options, floor):
    import keras

    base = tensorflow.constant(BASE, tensorflow.float64)
    oracle = getattr(keras.optimizers.schedules, name)(base, decay_steps=STEPS, **options(floor))
    expected = oracle(tensorflow.range(STEPS, dtype=tensorflow.float64)).numpy()
    same_to_float32(ours(BASE, STEPS, floor=floor), expected)


def test_keras_piecewise_has_the_same_rate_at_every_step(tensorflow):
    import keras

    boundaries, factors = [100, 500, 750], [1.0, 0.3, 0.1, 0.01]
    oracle = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, [BASE * f for f in factors])
    expected = [np.float32(oracle(t)) for t in range(STEPS)]
    ours = schedules.piecewise(BASE, STEPS, boundaries=[100, 0.5, 750.0], factors=factors)
    np.testing.assert_array_equal(tabulate(ours, STEPS), np.float32(expected))


def tensorflow_1(tensorflow, name, options):
    """The rates of a function of tf.train; most of them compute in float32 whatever they are given."""
    function = getattr(tensorflow.compat.v1.train, name)
    base = tensorflow.constant(BASE, tensorflow.float32)

    @tensorflow.function
    def oracle(step):
        value = function(base, step, **options)
        return value() if callable(value) else value

    return [float(oracle(tensorflow.constant(t, tensorflow.float32))) for t in range(STEPS)]


@pytest.mark.parametrize(("name", "ours", "options"), cases(1))
def test_tensorflow_1_has_the_same_rate_at_every_step(tensorflow, name, ours, options):
    expected = mended(tensorflow_1(tensorflow, name, options), options)
    rates = tabulate(ours(BASE, steps=STEPS, **options), STEPS)
    np.testing.assert_allclose(rates, expected, rtol=2e-6, atol=2e-7 * BASE)  # its own float32, several times


def test_tensorflow_1_has_the_same_rates_below_the_noise(tensorflow):
    options = {**LINEAR_COSINE[0], "initial_variance": 0.0}
    expected = tensorflow_1(tensorflow, "noisy_linear_cosine_decay", options)
    rates = tabulate(schedules.noisy_linear_cosine(BASE, STEPS, **options), STEPS)
    np.testing.assert_allclose(rates, expected, rtol=2e-6, atol=2e-7 * BASE)


def test_tensorflow_1_piecewise_has_the_same_rate_at_every_step(tensorflow):
    boundaries, factors = [100, 500, 750], [1.0, 0.3, 0.1, 0.01]

    @tensorflow.function
    def oracle(step):
        train = tensorflow.compat.v1.train
        value = train.piecewise_constant(step, boundaries, [BASE * f for f in factors])
        return value() if callable(value) else value

    expected = [np.float32(oracle(tensorflow.constant(t))) for t in range(STEPS)]
    ours = schedules.piecewise(BASE, STEPS, boundaries=boundaries, factors=factors)
    np.testing.assert_array_equal(tabulate(ours, STEPS), np.float32(expected))


@pytest.mark.parametrize("staircase", [False, True])
def test_exponential_equals_keras_at_every_step(tensorflow, staircase):
    import keras

    oracle = keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9, staircase=staircase)
    rates = tabulate(exponential(0.1, decay_steps=100, decay_rate=0.9, staircase=staircase), STEPS)
    expected = np.array([float(oracle(t)) for t in range(STEPS)], np.float32)
    # Keras computes in float32, exponent and power: a few units in the last place
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
