"""Where a run that is trained again first differs from what was recorded of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.commands.replay.comparing import Comparison, Difference, Kept, measure_difference
from support.fakes import chunk, diverged_chunk

LOOKS = {"val_loss": {49: 0.25, 99: 0.25}, "val_accuracy": {49: 0.5, 99: 0.625}}
TEST = {"test_loss": 0.25, "test_accuracy": 0.75}


def kept(*epochs, finished=True, lacks=False, looks=LOOKS, test=TEST, **changes):
    """What would have been recorded of these epochs; changes are values of a column by step."""
    names = ["learning_rate", "batch_size", "train_loss"]
    if epochs[0].momentum is not None:
        names.append("momentum")
    columns = {name: np.concatenate([getattr(one, name) for one in epochs]).astype(float) for name in names}
    for name, values in changes.items():
        for step, value in values.items():
            columns[name][step] = value
    return Kept(columns, looks, test, finished, lacks)


BOTH = [chunk(0), chunk(1)]
MEASURED = {"loss": 0.25, "accuracy": 0.75}


def run(record, epochs=BOTH, test=MEASURED, tolerance=0.0):
    """Return the first difference and the comparison."""
    comparison = Comparison(record, tolerance)
    for one in epochs:
        if (found := comparison.add(one)) is not None:
            return found, comparison
        if comparison.is_through:
            return None, comparison
    return comparison.finish(test, int(epochs[-1].steps[-1])), comparison


def test_what_is_equal_is_identical():
    found, comparison = run(kept(*BOTH))
    assert (found, comparison.steps, comparison.largest) == (None, 100, None)


@pytest.mark.parametrize("step", [0, 49, 50, 99])
@pytest.mark.parametrize("name", ["learning_rate", "batch_size", "train_loss"])
def test_a_value_of_a_column_is_found_at_its_step(name, step):
    now = float(getattr(BOTH[step // 50], name)[step % 50])
    was = float(np.nextafter(np.float32(now), np.float32(9999)))
    found, _ = run(kept(*BOTH, **{name: {step: was}}))
    assert found == Difference(step, name, was, now)


def test_the_first_step_counts_whichever_the_column():
    found, _ = run(kept(*BOTH, learning_rate={7: 1.0}, train_loss={6: 9.0}))
    assert (found.step, found.name) == (6, "train_loss")


def test_a_momentum_that_moves_is_compared():
    moving = [chunk(0, momentum=np.linspace(0.9, 0.8, 50, dtype=np.float32))]
    looks = {name: {49: values[49]} for name, values in LOOKS.items()}
    found, _ = run(kept(*moving, looks=looks, momentum={3: 0.5}), moving)
    assert (found.step, found.name, found.was) == (3, "momentum", 0.5)
    found, _ = run(kept(*BOTH), [replace(one, momentum=np.ones(50, np.float32)) for one in BOTH])
    assert found == Difference(0, "momentum", None, 1.0)
    found, _ = run(kept(*moving, looks=looks), [chunk(0)])
    assert (found.step, found.name, found.now) == (0, "momentum", None)


@pytest.mark.parametrize("name", ["val_loss", "val_accuracy"])
def test_a_look_at_the_validation_split_is_compared(name):
    looks = LOOKS | {name: {**LOOKS[name], 99: 0.5000001}}
    found, _ = run(kept(*BOTH, looks=looks))
    assert (found.step, found.name, found.was) == (99, name, 0.5000001)


def test_a_metric_that_is_not_measured_any_more_differs():
    found, _ = run(kept(*BOTH, looks={**LOOKS, "val_f1": {49: 0.5}}))
    assert found == Difference(49, "val_f1", 0.5, None)


@pytest.mark.parametrize(
    ("lacks", "expected"), [(False, Difference(99, "val_loss", None, 0.25)), (True, None)]
)
def test_a_look_that_was_not_recorded_counts_unless_the_store_lost_metrics(lacks, expected):
    looks = LOOKS | {"val_loss": {49: 0.25}}
    assert run(kept(*BOTH, looks=looks, lacks=lacks))[0] == expected


def test_the_test_split_is_compared():
    found, _ = run(kept(*BOTH), test={**MEASURED, "accuracy": 0.5})
    assert found == Difference(99, "test_accuracy", 0.75, 0.5)
    assert run(kept(*BOTH), test=None)[0] == Difference(99, "test_loss", 0.25, None)
    assert run(kept(*BOTH, test={}), test=None)[0] is None
    assert run(kept(*BOTH, test={}))[0] == Difference(99, "test_loss", None, 0.25)


def test_a_run_that_was_stopped_is_compared_as_far_as_it_came():
    looks = {name: {49: values[49]} for name, values in LOOKS.items()}
    found, comparison = run(kept(BOTH[0], finished=False, looks=looks, test={}))
    assert (found, comparison.steps) == (None, 50)
    found, comparison = run(kept(BOTH[0], finished=False, looks={}, test={}))
    assert (found, comparison.steps) == (None, 50)


def test_a_run_that_diverged_is_compared_up_to_there():
    broken = [BOTH[0], diverged_chunk(1, steps=50)]
    broken[1] = replace(broken[1], learning_rate=broken[1].learning_rate[:20], train_loss=cut(broken[1], 20))
    broken[1] = replace(broken[1], batch_size=broken[1].batch_size[:20])
    looks = {name: {49: values[49]} for name, values in LOOKS.items()}
    record = kept(*broken, finished=False, looks=looks, test={})
    assert run(record, broken)[0] is None
    whole = replace(BOTH[1], train_loss=np.ones(50, np.float32))
    assert run(record, [BOTH[0], whole])[0] == Difference(69, "train_loss", math.inf, 1.0)


def cut(one, steps):
    losses = one.train_loss[:steps].copy()
    losses[-1] = np.inf
    return losses


def test_a_record_that_ends_within_an_epoch_differs_where_it_ends():
    record = kept(*BOTH)
    short = {name: values[:70] for name, values in record.columns.items()}
    assert run(replace(record, columns=short))[0] == Difference(70, "train_loss", None, 70 / 8)
    none = {name: values[:50] for name, values in record.columns.items()}
    assert run(replace(record, columns=none))[0] == Difference(50, "train_loss", None, 50 / 8)


def test_a_record_that_goes_on_differs_where_training_ends():
    assert run(kept(*BOTH), [BOTH[0]])[0] == Difference(50, "train_loss", 50 / 8, None)


def test_two_that_are_no_numbers_are_equal():
    both = [replace(BOTH[0], train_loss=np.full(50, np.nan, np.float32))]
    record = kept(*both, finished=False, looks={}, test={})
    assert run(record, both)[0] is None
    found, _ = run(record, [BOTH[0]])
    assert (found.step, found.size) == (0, math.inf)


def test_within_the_tolerance_the_largest_difference_is_told():
    record = kept(*BOTH, train_loss={8: 1.001, 60: 7.5 * 1.01})
    found, comparison = run(record, tolerance=0.02)
    assert found is None
    assert (comparison.largest.step, comparison.largest.name) == (60, "train_loss")
    assert comparison.largest.size == pytest.approx(0.01, rel=0.02)
    assert run(record, tolerance=0.005)[0].step == 60
    assert run(record, tolerance=0.0005)[0].step == 8


def test_no_tolerance_covers_what_is_not_finite():
    found, _ = run(kept(*BOTH, train_loss={3: np.nan}), tolerance=1e300)
    assert found.step == 3


@given(st.floats(), st.floats())
def test_the_difference_is_zero_exactly_for_equal_values(was, now):
    [size] = measure_difference(np.array([was]), np.array([now]))
    equal = was == now or (math.isnan(was) and math.isnan(now))
    assert bool(size == 0) is equal
    assert not math.isnan(size)
    assert size == measure_difference(np.array([now]), np.array([was]))[0]
