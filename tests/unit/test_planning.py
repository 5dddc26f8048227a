"""From a configuration to a job: what is refused, and which runs share a compiled program."""

import numpy as np
import pytest

from ratelab.config import read
from ratelab.runs.job_of import job_of
from ratelab.schedules import fixed
from ratelab.validation import UserError
from support.configs import VALUES

SGD = {"_target_": "ratelab.optimizers.sgd"}
GROWING = {"_target_": "ratelab.batch_sizes.growing", "decay_rate": 0.5, "decay_steps": 50}
EXPONENTIAL = {"_target_": "ratelab.schedules.exponential", "decay_rate": 0.5, "decay_steps": 50}


def job(**changes):
    return job_of(read({**VALUES, **changes}))


@pytest.fixture
def cycling(monkeypatch):
    """A schedule that changes the momentum, as one-cycle does."""
    import ratelab.schedules

    def cycle(learning_rate):
        schedule = fixed(learning_rate)
        schedule.momentum = lambda step: np.full(np.shape(step), 0.85)
        return schedule

    monkeypatch.setattr(ratelab.schedules, "fixed", cycle)


def test_a_schedule_changes_the_momentum_where_the_optimizer_has_one(cycling):
    assert job(optimizer=SGD).momenta is None
    planned = job(optimizer={**SGD, "momentum": 0.9})
    assert planned.hyperparameters["momentum"].tolist() == [np.float32(0.85)] * 150
    planned = job(optimizer={"_target_": "ratelab.optimizers.adam"})
    assert planned.hyperparameters["beta_1"].shape == planned.hyperparameters["gain_1"].shape == (150,)
    assert planned.hyperparameters["beta_2"].shape == ()


def test_runs_with_other_batches_or_another_update_share_no_program():
    optimizers = [SGD, {**SGD, "momentum": 0.9}, {"_target_": "ratelab.optimizers.schedule_free_sgd"}]
    batches = [VALUES["batch"], GROWING, {**GROWING, "decay_steps": 60}, {**GROWING, "largest": 60}]
    keys = [job(optimizer=optimizer).program_key for optimizer in optimizers]
    keys += [job(batch=batch).program_key for batch in batches[1:]]
    assert len(set(keys)) == len(keys)


def test_runs_that_differ_in_schedule_rate_seed_and_momentum_share_a_program():
    plateau = {"_target_": "ratelab.schedules.plateau"}
    momenta = [{**SGD, "momentum": momentum} for momentum in (0.9, 0.5)]
    keys = {
        job(schedule=schedule, optimizer=momentum, seed=seed, batch=GROWING).program_key
        for schedule in (VALUES["schedule"], plateau, EXPONENTIAL)
        for momentum in momenta
        for seed in (0, 1)
    }
    assert len(keys) == 1


def test_a_schedule_is_tabulated_over_the_steps_of_its_batches():
    growing = job(batch=GROWING, schedule=EXPONENTIAL, epochs=6)
    steps = growing.batches.steps
    assert steps < 6 * 50
    expected = 0.1 * 0.5 ** (np.arange(steps) / 50) * growing.batches.rate_factors
    np.testing.assert_array_equal(growing.rates.table, expected.astype(np.float32))
    assert growing.batches.sizes.max() == 120  # a tenth of the examples


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1201}, "batch_size must be at most 1200, the training examples, got 1201"),
        ({"batch": {**GROWING, "largest": 1201}}, "largest must be from 24, .* to 1200, .* got 1201"),
        ({"batch": {**GROWING, "decay_rate": 2.0}}, "decay_rate must be less than or equal to 1, got 2.0"),
        ({"batch": SGD}, "must return a ratelab.batch_sizes.BatchSize, got Optimizer"),
        ({"optimizer": VALUES["batch"]}, "batch_size is required"),
    ],
)
def test_what_cannot_be_planned_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        job(**changes)
