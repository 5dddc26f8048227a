import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.schedules import exponential, fixed, tabulate
from ratelab.validation import UserError

STEPS = 1000


def test_fixed_keeps_the_rate():
    np.testing.assert_array_equal(tabulate(fixed(0.1), STEPS), np.full(STEPS, np.float32(0.1)))


@pytest.mark.parametrize("staircase", [False, True])
@pytest.mark.parametrize(("decay_steps", "decay_rate"), [(10, 0.5), (1000, 0.9), (7.5, 0.96), (3, 1.1)])
def test_exponential_equals_the_formula_at_every_step(decay_steps, decay_rate, staircase):
    def by_hand(step):
        periods = step / decay_steps
        return 0.1 * math.pow(decay_rate, math.floor(periods) if staircase else periods)

    rates = tabulate(
        exponential(0.1, decay_steps=decay_steps, decay_rate=decay_rate, staircase=staircase), STEPS
    )
    # numpy's and the C library's pow differ in the last bit of float64: at most one float32 apart
    np.testing.assert_array_almost_equal_nulp(rates, np.float32([by_hand(t) for t in range(STEPS)]), nulp=1)


def test_staircase_has_the_new_rate_at_the_boundary():
    rates = tabulate(exponential(1.0, decay_steps=3, decay_rate=0.5, staircase=True), 8)
    np.testing.assert_array_equal(rates, np.float32([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]))


def test_toy_halves_every_ten_steps_exactly():
    rates = tabulate(exponential(0.1, decay_steps=10, decay_rate=0.5), 50)
    np.testing.assert_array_equal(rates[::10], np.float32([0.1, 0.05, 0.025, 0.0125, 0.00625]))


@given(
    rate=st.floats(1e-6, 10),
    decay_steps=st.floats(0.5, 1e5),
    decay_rate=st.floats(0.01, 1),
    staircase=st.booleans(),
)
def test_decay_starts_at_the_base_rate_and_never_rises(rate, decay_steps, decay_rate, staircase):
    rates = tabulate(
        exponential(rate, decay_steps=decay_steps, decay_rate=decay_rate, staircase=staircase), 100
    )
    assert rates[0] == np.float32(rate)
    assert (np.diff(rates) <= 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decay_steps": 0}, "exponential: decay_steps must be greater than 0, got 0"),
        ({"decay_steps": math.nan}, "decay_steps must be .*got nan"),
        ({"decay_rate": -1.0}, "decay_rate must be greater than 0, got -1.0"),
        ({"learning_rate": -0.1}, "learning_rate must be greater than or equal to 0, got -0.1"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number, got inf"),
        ({"learning_rate": "abc"}, "learning_rate must be a valid number, got 'abc'"),
        ({"staircase": 1}, "staircase must be a valid boolean, got 1"),
        ({"decay_step": 3}, "unexpected keyword argument 'decay_step'"),
    ],
)
def test_bad_arguments_name_argument_rule_and_value(arguments, message):
    good = {"learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
    with pytest.raises((UserError, TypeError), match=message):
        exponential(**(good | arguments))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda t: 1.0 - t, "finite and >= 0, got -1.0 at step 2"),
        (lambda t: np.where(t < 3, 1.0, np.nan), "got nan at step 3"),
        (lambda t: 0.1 * (t + 1e40), "got inf at step 0"),
        (lambda _: 0.1, r"shape \(5,\), got \(\)"),
    ],
)
def test_a_schedule_that_cannot_be_applied_is_refused(schedule, message):
    with pytest.raises(UserError, match=message):
        tabulate(schedule, 5)
