"""What runs that are planned one after another share, and what is asked for in a plan of batches."""

from functools import partial

import numpy as np
import pytest

from ratelab.config import read
from ratelab.runs.job_of import batches_of, job_of, make_schedule
from ratelab.validation import UserError
from support.configs import VALUES

GROWING = {"_target_": "ratelab.batch_sizes.growing", "decay_rate": 0.5, "decay_steps": 50}


def config(**changes):
    return read({**VALUES, **changes})


def test_runs_that_agree_share_the_arrays_of_their_batches_and_of_their_data():
    first, second = (job_of(config(seed=seed, learning_rate=0.1 / (seed + 1))) for seed in (0, 1))
    assert first.batches is second.batches
    assert np.shares_memory(first.data.train.inputs, second.data.train.inputs)


@pytest.mark.parametrize("change", [{"batch_size": 25}, {"epochs": 4}, {"batch": GROWING}])
def test_runs_with_other_batches_share_none(change):
    assert job_of(config()).batches is not job_of(config(**change)).batches


def test_batches_are_planned_for_the_epochs_of_the_run_or_for_as_many_steps_as_are_asked_for():
    assert batches_of(config(), 1200).steps == 3 * 50
    assert batches_of(config(), 1200, steps=70).steps == 70
    with pytest.raises(UserError, match="batch_size must be at most 20, the training examples, got 24"):
        batches_of(config(), 20)


def test_a_job_has_what_its_run_asks_for():
    job = job_of(config(seed=3, test=False))
    assert (job.seed, job.test, job.xla, job.momenta) == (3, False, None, None)
    assert isinstance(job.build_model, partial)
    np.testing.assert_array_equal(job.rates.table, np.full(150, 0.1, np.float32))


def test_the_warm_up_comes_before_the_schedule():
    schedule = make_schedule(config(warmup={"steps": 10, "start_factor": 0.0}), 150)
    rates = schedule(np.arange(150))
    assert rates[0] == 0.0
    assert (np.diff(rates[:11]) > 0).all()
    assert (rates[10:] == 0.1).all()
