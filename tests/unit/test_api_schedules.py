"""`ratelab.schedule` gives what a configuration would: a schedule by name, with the arguments of its file."""

import numpy as np
import pytest

import ratelab
from ratelab import schedules

STEPS = np.arange(30)
BASE = {"learning_rate": 0.5, "steps": 30}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("cosine", {}, schedules.cosine(0.5, 30)),
        ("cosine", {"alpha": 0.1, "decay_steps": 20}, schedules.cosine(0.5, 30, decay_steps=20, alpha=0.1)),
        (
            "piecewise",
            {"boundaries": [10, 20], "factors": (1.0, 0.5, 0.1)},
            schedules.piecewise(0.5, 30, boundaries=[10, 20], factors=[1.0, 0.5, 0.1]),
        ),
        ("polynomial", {"cycle": True, "power": 1}, schedules.polynomial(0.5, 30, power=1.0, cycle=True)),
    ],
)
def test_every_rate_is_that_of_the_function(name, arguments, expected):
    given = {"learning_rate": np.float32(0.5), "steps": np.int64(30)} if arguments else BASE
    np.testing.assert_array_equal(ratelab.schedule(name, **given, **arguments)(STEPS), expected(STEPS))


def test_plateau_is_one_that_reacts():
    assert isinstance(ratelab.schedule("plateau", **BASE), schedules.Reactive)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("cosin", {}), r"Did you mean schedule=cosine\?"),
        (("cosine,wsd", {}), "one at a time"),
        (("cosine", {"steps": 0}), "steps must be a whole number above 0, got 0"),
        (("cosine", {"steps": 1.5}), r"steps must be a whole number above 0, got 1\.5"),
        (("cosine", {"learning_rate": -1}), "learning_rate must be greater than or equal to 0"),
        (("cosine", {"alfa": 0.1}), "alfa"),
    ],
)
def test_a_mistake_is_refused(call, message):
    name, changes = call
    with pytest.raises(ratelab.UserError, match=message):
        ratelab.schedule(name, **(BASE | changes))
