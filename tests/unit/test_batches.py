"""Plans of batch sizes, and how a run is cut into segments of few shapes."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ratelab.batch_sizes import BatchSize, constant, growing, plan_batches
from ratelab.training.segments import Segments
from ratelab.validation import UserError


def plan_of(batch=10, examples=1000, epochs=5, *, rate=0.5, steps=7, largest=None):
    size = growing(batch, examples, decay_rate=rate, decay_steps=steps, largest=largest)
    return plan_batches(size, examples, epochs)


def by_hand(batch, examples, epochs, rate, steps, largest):
    """Sizes and factors of the rate, step by step, in exact fractions.

    Where a size is at a half but for the rounding of float64, there are two right answers: no such example.
    """
    seen, sizes, factors, firsts = 0, [], [], [0]
    for _ in range(epochs):
        left = examples
        while True:
            wanted = Fraction(batch) / Fraction(rate) ** (seen // (batch * steps))
            assume(abs(min(wanted, largest) % 1 - Fraction(1, 2)) > largest * 2**-40)
            size = math.floor(min(wanted, largest) + Fraction(1, 2))
            if size > left:
                break
            sizes.append(size)
            factors.append(float(min(1, largest / wanted)))
            left, seen = left - size, seen + size
        firsts.append(len(sizes))
    return sizes, factors, firsts


growths = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 20),
        "examples": st.integers(200, 700),
        "epochs": st.integers(1, 6),
        "rate": st.floats(0.3, 1.0),
        "steps": st.integers(1, 100),
        "largest": st.integers(20, 200),
    }
)


@given(growths)
def test_every_size_and_every_factor_is_that_of_the_formula(growth):
    plan = plan_of(**growth)
    sizes, factors, firsts = by_hand(**growth)
    assert plan.sizes.tolist() == sizes
    np.testing.assert_allclose(plan.rate_factors, factors, rtol=1e-12, atol=1e-300)  # 0 below
    assert plan.first_steps.tolist() == firsts


def test_a_half_is_rounded_up():
    assert plan_of(batch=1, rate=0.4, steps=1, largest=20).sizes.tolist()[:4] == [1, 3, 20, 20]


@given(st.integers(1, 300), st.integers(300, 1000), st.integers(1, 20))
def test_constant_batches_fill_every_epoch_but_its_rest(batch, examples, epochs):
    plan = plan_batches(constant(batch), examples, epochs)
    assert plan.sizes.tolist() == [batch] * (epochs * (examples // batch))
    assert (plan.rate_factors == 1).all()
    assert plan.is_constant
    assert (np.diff(plan.first_steps) == examples // batch).all()


@settings(max_examples=50)
@given(growths)
def test_a_growing_batch_and_a_staircase_of_the_rate_have_one_noise_scale_after_as_many_examples(growth):
    plan = plan_of(**growth)
    seen = plan.examples_seen - plan.sizes  # before each update
    staircase = growth["rate"] ** (seen // (growth["batch"] * growth["steps"])).astype(float)
    noise = plan.rate_factors / plan.sizes * growth["batch"]
    rounding = 0.5 / plan.sizes  # of the size to a whole number
    bound = staircase * (rounding / (1 - rounding) + 1e-9) + np.finfo(float).tiny
    assert (np.abs(noise - staircase) <= bound).all()


@given(growths)
def test_growing_and_constant_batches_see_as_many_examples_in_an_epoch_but_a_part_of_a_batch(growth):
    plan = plan_of(**growth)
    for first, end in zip(plan.first_steps, plan.first_steps[1:], strict=False):
        seen = int(plan.sizes[first:end].sum())
        assert growth["examples"] - growth["largest"] < seen <= growth["examples"]


def test_a_plan_by_hand_with_the_rate_falling_above_the_largest():
    plan = plan_of(2, 22, 1, rate=0.5, steps=3, largest=4)
    assert plan.sizes.tolist() == [2, 2, 2, 4, 4, 4, 4]
    assert plan.rate_factors.tolist() == [1, 1, 1, 1, 1, 0.5, 0.25]
    assert plan.examples_seen.tolist() == [2, 4, 6, 10, 14, 18, 22]


def test_the_largest_batch_is_a_tenth_of_the_examples_if_none_is_given():
    assert plan_of(10, 1000, 9, rate=0.1, steps=1).sizes.max() == 100
    assert plan_of(200, 1000, 9, rate=0.1, steps=1).sizes.max() == 200


def test_a_growth_without_end_gives_rates_that_vanish():
    plan = plan_of(10, 1000, 50, rate=1e-30, steps=1)
    assert np.isfinite(plan.rate_factors).all()
    assert plan.rate_factors[-1] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"largest": 9}, "largest must be from 10, batch_size, to 1000, the training examples, got 9"),
        ({"largest": 1001}, "largest must be from 10, .* got 1001"),
        ({"rate": 0.0}, "decay_rate must be greater than 0, got 0.0"),
        ({"rate": 1.5}, "decay_rate must be less than or equal to 1, got 1.5"),
        ({"steps": 0}, "decay_steps must be greater than 0, got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        plan_of(**arguments)


@pytest.mark.parametrize("wanted", [0.4, -1.0, math.nan])
def test_a_size_below_one_is_refused_with_the_examples_seen(wanted):
    with pytest.raises(UserError, match=r"the size must be at least 1, got .* after 3 examples"):
        plan_batches(BatchSize(lambda seen: wanted if seen >= 3 else 1), 10, 1)


# -------------------------------------------------------------------------------------------------- segments


@given(growths, st.booleans())
def test_segments_hold_the_examples_of_an_epoch_in_order_and_padding_that_repeats_the_first(growth, exact):
    plan = plan_of(**growth)
    segments = Segments(plan, exact=exact)
    order = np.random.default_rng(0).permutation(growth["examples"]).astype(np.int32)
    for epoch in range(plan.epochs):
        found = list(segments.of_epoch(epoch, order))
        assert {segment.order.shape for segment in found} <= segments.shapes
        steps = [step for s in found for step in range(s.first_step, s.first_step + s.steps)]
        assert steps == list(range(plan.first_steps[epoch], plan.first_steps[epoch + 1]))
        batches = []
        for segment in found:
            assert segment.order.dtype == np.int32
            sizes = plan.sizes[segment.place]
            if segment.sizes is not None:
                assert segment.sizes[: segment.steps].tolist() == sizes.tolist()
            for row, size in zip(segment.order, sizes, strict=False):
                batches.append(row[:size])
                assert (row[size:] == row[0]).all()
        assert np.concatenate(batches).tolist() == order[: sum(map(len, batches))].tolist()


@given(growths)
def test_shapes_are_few_and_less_than_half_of_a_batch_is_padding(growth):
    plan = plan_of(**growth)
    segments = Segments(plan, exact=False)
    assert len(segments.shapes) <= math.ceil(math.log2(plan.sizes.max() / plan.sizes.min())) + 1
    for epoch in range(plan.epochs):
        for segment in segments.of_epoch(epoch, np.arange(growth["examples"], dtype=np.int32)):
            assert segment.order.shape[1] < 2 * plan.sizes[segment.place].min()


def test_constant_batches_are_one_shape_without_padding():
    plan = plan_batches(constant(24), 1200, 3)
    segments = Segments(plan, exact=False)
    assert segments.shapes == {(50, 24)}
    (segment,) = segments.of_epoch(1, np.arange(1200, dtype=np.int32))
    assert (segment.first_step, segment.steps, segment.sizes) == (50, 50, None)
    np.testing.assert_array_equal(segment.order, np.arange(1200).reshape(50, 24))


def test_too_many_sizes_for_a_model_that_cannot_be_padded_are_refused():
    plan = plan_of(10, 1000, 100, rate=0.98, steps=20, largest=1000)
    assert len(Segments(plan, exact=False).shapes) <= 8
    with pytest.raises(UserError, match="there must be at most 64 sizes"):
        Segments(plan, exact=True)
