"""What a sweep records of momenta, growing batches and rates that react: every step, as it was applied."""

import numpy as np
import pytest

from support.packages import MY_SCHEDULES
from support.programs import ONE_WORKER, together

GROWING = ["batch=growing", "batch.largest=600", "batch.decay_steps=60", "batch.decay_rate=0.6"]
PLATEAU = ["schedule=plateau", "schedule.patience=1", "schedule.min_delta=0.1", "schedule.factor=0.5"]
CYCLE = ["+schedule._target_=my_schedules.cycle", "allow_targets=[my_schedules]", "optimizer.momentum=0.9"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A sweep of two seeds for each, all at the same time."""
    path = tmp_path_factory.mktemp("packages")
    (path / "my_schedules.py").write_text(MY_SCHEDULES)
    common = ["-m", "experiment=quick", ONE_WORKER, "epochs=8", "seed=0,1"]
    commands = {
        "growing": [*common, *GROWING, *PLATEAU],
        "cycle": [*common, "schedule=fixed", *(word.removeprefix("+") for word in CYCLE)],
    }
    done = together(tmp_path_factory, *commands.values(), path=path)
    for one in done:
        assert one.status == 0, one.err
    return dict(zip(commands, done, strict=True))


def every_step(done, run, key):
    steps, values = done.points(run, key)
    assert steps == list(range(len(steps)))
    return values


def test_growing_batches_are_recorded_at_every_step(runs):
    done = runs["growing"]
    assert len(done.children) == 2
    for run in done.children.values():
        columns = done.steps(run)
        sizes = every_step(done, run, "batch_size")
        assert len(set(sizes.tolist())) > 3
        np.testing.assert_array_equal(columns["batch_size"], sizes)
        np.testing.assert_array_equal(every_step(done, run, "examples_seen"), np.cumsum(sizes))
        np.testing.assert_array_equal(every_step(done, run, "learning_rate"), columns["learning_rate"])
        steps, noise = done.points(run, "noise_scale")
        expected = columns["learning_rate"][steps] * 1200 / sizes[steps]
        np.testing.assert_allclose(noise, expected, rtol=1e-6)


def test_rates_that_react_are_recorded_as_they_were_decided(runs):
    from ratelab.schedules import plateau

    done = runs["growing"]
    schedule = plateau(0.1, patience=1, min_delta=0.1, factor=0.5)
    for run in done.children.values():
        ends, losses = done.points(run, "val_loss")
        rates, first = every_step(done, run, "learning_rate"), 0
        for epoch, end in enumerate(ends):
            (expected,) = schedule.rates(np.arange(1), losses[:epoch].tolist())
            assert set(rates[first : end + 1].tolist()) == {np.float32(expected)}
            first = end + 1
        assert rates[-1] < rates[0]


def test_a_momentum_that_changes_is_recorded_at_every_step(runs):
    done = runs["cycle"]
    expected = np.float32(0.95 - 0.1 * np.arange(400) / 400)
    for run in done.children.values():
        np.testing.assert_array_equal(every_step(done, run, "momentum"), expected)
        np.testing.assert_array_equal(done.steps(run)["momentum"], expected)
        assert (run.data.params["batch_size"], "batch_size" in run.data.metrics) == ("24", False)
        assert (done.steps(run)["batch_size"] == 24).all()
        steps, noise = done.points(run, "noise_scale")
        np.testing.assert_allclose(noise, 0.1 * 1200 / (24 * (1 - expected[steps])), rtol=1e-5)
