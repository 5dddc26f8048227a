"""What is said of a sweep whose rows its store takes long for; whole sweeps are in tests/programs."""

import pytest

from ratelab.sweeps.store import describe_wait
from support.configs import VALUES, planned_run


def a_run(uri, **tracking):
    """A run of 3 epochs of the digits: 49 updates each, which leave two rows for every one."""
    return planned_run(0, tracking={**VALUES["tracking"], "uri": uri, **tracking})


@pytest.mark.parametrize("uri", [None, "sqlite:///mlruns/mlflow.db", "postgresql://me@host/db"])
def test_nothing_is_said_of_a_store_that_is_fast(uri):
    assert describe_wait([a_run(uri)] * 2_000) == []


def test_what_takes_a_server_minutes_is_told_with_what_would_be_faster():
    own = a_run("http://host:5000")
    first, second = describe_wait([own] * 5_000)
    rows = 10_000 * own.steps
    wait = f"{rows / 420_000:.1f} to {rows / 120_000:.1f} minutes"
    assert first == (
        f"{rows:,} rows, for which a tracking server takes {wait}. It is waited for as long as training "
        "takes; `ratelab sync` gives it the rest."
    )
    assert second.startswith("Faster: tracking.learning_rate_every=100 ")


@pytest.mark.parametrize(
    ("number", "options"), [(100, {}), (5_000, {"learning_rate_every": 100, "train_loss_every": 100})]
)
def test_nothing_is_said_of_what_a_server_takes_in_less_than_a_minute(number, options):
    own = a_run("http://host:5000", **options)
    assert describe_wait([own] * number) == []
