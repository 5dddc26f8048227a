"""What holds for every schedule in conf/, and the steps at which something changes."""

import functools
import inspect
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ratelab import schedules
from ratelab.config.targets import locate
from ratelab.schedules import momentum_of, tabulate
from ratelab.schedules.durations import in_steps, whole_steps
from ratelab.validation import UserError
from support import ROOT

FILES = {path.stem: path for path in sorted((ROOT / "conf" / "schedule").glob("*.yaml"))}
OPTIONS = {
    name: OmegaConf.to_container(
        OmegaConf.merge({"seed": 7}, {"schedule": OmegaConf.load(path)}), resolve=True
    )
    for name, path in FILES.items()
}


@functools.cache
def build(name):
    """The schedule of a file in conf/, as a function of its base rate and its length."""
    options = dict(OPTIONS[name]["schedule"])
    function = locate(options.pop("_target_"))
    takes_steps = "steps" in inspect.signature(function).parameters

    def made(learning_rate, steps):
        lengths = {"steps": steps} if takes_steps else {}
        return function(learning_rate, **lengths, **options)

    return made


# At t = 0 and at t = steps - 1, where x is how much of the run is over at the last step.
ENDS = {
    "fixed": (1, lambda x, t: 1),
    "exponential": (1, lambda x, t: 0.9 ** (t / 1000)),
    "staircase": (1, lambda x, t: 0.9 ** (t // 1000)),
    "natural_exp": (1, lambda x, t: math.exp(-3 * x)),
    "inverse_time": (1, lambda x, t: 1 / (1 + 9 * x)),
    "inverse_sqrt": (1, lambda x, t: math.sqrt(0.1 / (x + 0.1))),
    "piecewise": (1, lambda x, t: 1 if x <= 0.5 else 0.1 if x <= 0.75 else 0.01),
    "polynomial": (1, lambda x, t: (1 - x) ** 2),
    "linear_to_zero": (1, lambda x, t: 1 - x),
    "rex": (1, lambda x, t: (1 - x) / (0.5 + 0.5 * (1 - x))),
    "cosine": (1, lambda x, t: (1 + math.cos(math.pi * x)) / 2),
    "cosine_restarts": (1, lambda x, t: (1 + math.cos(math.pi * (4 * x % 1))) / 2),
    "linear_cosine": (1.001, lambda x, t: (1 - x) * (1 + math.cos(math.pi * x)) / 2 + 0.001),
    "noisy_linear_cosine": (None, None),
    "cyclic": (0.25, lambda x, t: 0.25 + 0.75 * (1 - abs(8 * x - 2 * math.floor(4 * x) - 1))),
    "one_cycle": (0.04, lambda x, t: 0.04 / 1e4),
    "wsd": (1, lambda x, t: 1 - math.sqrt(max(0, (x - 0.8) / 0.2))),
}
JUMPS = {"staircase", "piecewise", "cosine_restarts", "noisy_linear_cosine"}
PURE = sorted(ENDS)

lengths = st.integers(20, 3000).map(lambda n: 20 * (n // 20))  # so that the fractions are whole steps
rates = st.floats(1e-6, 10)


def test_every_schedule_in_conf_is_here():
    """But for plateau, which is no function of the step: tests/test_training_data.py."""
    assert set(FILES) == {*ENDS, "plateau"}


@pytest.mark.parametrize("name", PURE)
@given(rate=rates, steps=st.integers(1, 3000))
def test_every_rate_is_finite_and_not_negative_for_any_length_of_the_run(name, rate, steps):
    table = tabulate(build(name)(rate, steps), steps) if not too_short(name, steps) else np.zeros(1)
    assert np.isfinite(table).all()
    assert (table >= 0).all()


def too_short(name, steps):
    """A quarter of three steps is less than one step, and refused."""
    return name == "cosine_restarts" and steps < 4


@pytest.mark.parametrize("name", sorted(set(PURE) - {"noisy_linear_cosine"}))
@given(rate=rates, steps=lengths)
def test_the_first_and_the_last_rate_are_those_of_the_formula(name, rate, steps):
    table, (first, last) = build(name)(rate, steps)(np.arange(steps)), ENDS[name]
    assert table[0] == pytest.approx(rate * first, rel=1e-12)
    assert table[-1] == pytest.approx(rate * last((steps - 1) / steps, steps - 1), rel=1e-9, abs=rate * 1e-12)


@pytest.mark.parametrize("name", PURE)
@given(rate=rates, steps=lengths, data=st.data())
def test_a_rate_depends_on_its_step_alone(name, rate, steps, data):
    schedule = build(name)(rate, steps)
    table = schedule(np.arange(steps))
    some = np.array(data.draw(st.lists(st.integers(0, steps - 1), min_size=1, max_size=8)))
    np.testing.assert_array_equal(schedule(some), table[some])
    np.testing.assert_array_equal(schedule(some.reshape(-1, 1)), table[some].reshape(-1, 1))
    assert [float(schedule(int(t))) for t in some] == pytest.approx(table[some].tolist(), rel=1e-15)
    assert np.shape(schedule(int(some[0]))) == ()


@pytest.mark.parametrize("name", sorted(set(PURE) - JUMPS))
@given(steps=st.integers(100, 3000))
def test_no_rate_jumps_where_that_is_not_the_nature_of_the_schedule(name, steps):
    """From one step to the next the change is of the order of 1 / steps; the root at the start of a cool-down
    and one half of a cycle on an eighth of the run are the steepest."""
    change = np.abs(np.diff(build(name)(1.0, steps)(np.arange(steps))))
    steepest = math.sqrt(1 / round(0.2 * steps)) if name == "wsd" else 12 / steps
    assert change.max() <= steepest * (1 + 1e-9)


@pytest.mark.parametrize("name", sorted(JUMPS))
def test_a_rate_jumps_where_that_is_the_nature_of_the_schedule(name):
    change = np.abs(np.diff(build(name)(1.0, 3000)(np.arange(3000))))
    assert change.max() > 0.05


@pytest.mark.parametrize("name", PURE)
@given(rate=rates, steps=st.integers(40, 1000), share=st.floats(0.05, 0.9))
def test_a_warm_up_climbs_in_front_of_every_schedule(name, rate, steps, share):
    climb = whole_steps("warmup_steps", share, steps)
    whole = schedules.warmup(rate, steps, schedule=build(name), warmup_steps=climb)(np.arange(steps))
    alone = build(name)(rate, steps - climb)(np.arange(steps - climb))
    np.testing.assert_array_equal(whole[climb:], alone)
    np.testing.assert_allclose(whole[:climb], alone[0] * np.arange(climb) / climb, rtol=1e-12)


@given(steps=st.integers(2, 3000), pct=st.floats(0, 0.99))
@example(steps=101, pct=0.5)
def test_the_momentum_goes_down_where_the_rate_goes_up(steps, pct):
    both = schedules.one_cycle(1.0, steps, pct_start=pct)
    t = np.arange(steps)
    momenta = momentum_of(both)(t)
    assert ((momenta >= 0.85 - 1e-12) & (momenta <= 0.95 + 1e-12)).all()
    assert momenta[-1] == pytest.approx(0.95)
    peak = pct * steps - 1
    within = (t[1:] <= peak) | (t[:-1] >= peak)  # a step across the peak goes up and down
    assert within.sum() >= steps - 2
    assert (np.diff(both(t)) * np.diff(momenta) <= 1e-15)[within].all()


def test_most_schedules_leave_the_momentum_alone():
    assert [name for name in PURE if momentum_of(build(name)(0.1, 100)) is not None] == ["one_cycle"]
    assert momentum_of(schedules.one_cycle(0.1, 100, cycle_momentum=False)) is None


FLOORED = [name for name in PURE if "floor" in OPTIONS[name]["schedule"]]


def with_floor(name, floor):
    """The schedule of a file in conf/ with a floor, as a function of its base rate and its length."""
    options = {**OPTIONS[name]["schedule"], "floor": floor}
    function = locate(options.pop("_target_"))
    return lambda learning_rate, steps: function(learning_rate, steps, **options)


def test_every_schedule_that_ends_at_zero_has_a_floor():
    """But for one_cycle, whose last rate has a key of its own, and would have its first one lifted."""
    ending = [name for name in PURE if build(name)(1.0, 1000)(np.array(1000)) < 0.01]
    restarting = ["cosine_restarts"]  # at its end it begins anew
    assert sorted([*ending, *restarting]) == sorted([*FLOORED, "one_cycle"])


@pytest.mark.parametrize("name", FLOORED)
@given(rate=rates, steps=lengths, floor=st.floats(0, 0.999))
def test_a_floor_draws_the_whole_course_together(name, rate, steps, floor):
    t = np.arange(steps + 1)
    usual, lifted = build(name)(rate, steps)(t), with_floor(name, floor)(rate, steps)(t)
    np.testing.assert_allclose(lifted, floor * rate + (1 - floor) * usual, rtol=1e-12)
    np.testing.assert_array_equal(lifted[usual == rate], rate)
    np.testing.assert_array_equal(lifted[usual == 0], floor * rate)
    assert (lifted >= floor * rate * (1 - 1e-12)).all()


@pytest.mark.parametrize("name", FLOORED)
def test_a_floor_of_zero_changes_no_bit(name):
    usual = build(name)(0.1, 1000)(np.arange(1000))
    options = {key: value for key, value in OPTIONS[name]["schedule"].items() if key != "floor"}
    without = locate(options.pop("_target_"))(0.1, 1000, **options)(np.arange(1000))
    assert usual.tobytes() == without.tobytes()


@pytest.mark.parametrize("name", FLOORED)
def test_a_warm_up_climbs_to_a_schedule_with_a_floor_and_a_part_keeps_its_own(name):
    made = with_floor(name, 0.25)
    alone = made(1.0, 80)(np.arange(80))
    warm = schedules.warmup(1.0, 100, schedule=made, warmup_steps=20)(np.arange(100))
    np.testing.assert_array_equal(warm[20:], alone)
    np.testing.assert_allclose(warm[:20], alone[0] * np.arange(20) / 20)

    def tenth(learning_rate, steps):
        return schedules.scale(learning_rate, steps, schedule=made, factor=0.1)

    both = schedules.join(1.0, 100, schedules=[schedules.fixed, tenth], boundaries=[20])(np.arange(100))
    np.testing.assert_array_equal(both[20:], 0.1 * alone)


@pytest.mark.parametrize("name", sorted(set(PURE) - {"exponential", "staircase"}))
def test_the_files_say_the_defaults_of_the_functions(name):
    options = OmegaConf.to_container(OmegaConf.load(FILES[name]))
    for key, parameter in inspect.signature(locate(options["_target_"])).parameters.items():
        if parameter.default is not inspect.Parameter.empty and key != "seed":
            assert options[key] == parameter.default


# Boundaries, as full vectors


def values(schedule, steps):
    return tabulate(schedule, steps).tolist()


def test_piecewise_has_the_old_rate_at_the_boundary():
    made = schedules.piecewise(1.0, 8, boundaries=[2, 0.625], factors=[1, 0.5, 0.25])
    assert values(made, 8) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("function", [schedules.natural_exp, schedules.inverse_time])
def test_stairs_have_the_new_rate_at_the_boundary(function):
    made = values(function(1.0, 7, decay_steps=3, decay_rate=1.0, staircase=True), 7)
    smooth = function(1.0, 7, decay_steps=3, decay_rate=1.0)(np.array([0, 3, 6]))
    assert made == [float(np.float32(smooth[i])) for i in (0, 0, 0, 1, 1, 1, 2)]


def test_polynomial_ends_at_its_decay_steps_and_stays():
    made = schedules.polynomial(1.0, 7, decay_steps=4, power=1.0, end_learning_rate=0.5)
    assert values(made, 7) == [1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5]


def test_polynomial_with_a_cycle_has_the_end_rate_at_the_boundary_and_jumps_after_it():
    made = schedules.polynomial(1.0, 9, decay_steps=2, power=1.0, cycle=True)
    assert values(made, 9) == [1, 0.5, 0, 0.25, 0, np.float32(1 / 6), 0, 0.125, 0]


def test_restarts_have_the_high_rate_at_the_boundary():
    made = schedules.cosine_restarts(1.0, 8, first_decay_steps=2, m_mul=0.5)
    assert values(made, 8) == [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]
    longer = schedules.cosine_restarts(1.0, 15, first_decay_steps=1, t_mul=2.0)
    assert np.flatnonzero(tabulate(longer, 15) == 1).tolist() == [0, 1, 3, 7]


def test_restarts_at_a_fraction_of_the_run_that_is_no_whole_step():
    """62.5 steps: the first period ends between 62 and 63, and no fifth one begins in the run."""
    table = tabulate(schedules.cosine_restarts(1.0, 250), 250)
    assert (np.flatnonzero(np.diff(table) > 0) + 1).tolist() == [63, 125, 188]


def test_cyclic_turns_at_whole_step_sizes():
    made = schedules.cyclic(1.0, 9, step_size=2, div_factor=2.0)
    assert values(made, 9) == [0.5, 0.75, 1, 0.75, 0.5, 0.75, 1, 0.75, 0.5]
    lower = schedules.cyclic(1.0, 9, step_size=2, div_factor=2.0, mode="triangular2")
    assert values(lower, 9) == [0.5, 0.75, 1, 0.75, 0.5, 0.625, 0.75, 0.625, 0.5]


def test_one_cycle_has_its_peak_at_pct_start_of_the_run():
    made = schedules.one_cycle(1.0, 6, pct_start=0.5, div_factor=2.0, final_div_factor=2.0)
    assert values(made, 6) == [0.5, 0.75, 1, 0.8125, 0.4375, 0.25]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_a_few_steps_ends_low(steps):
    table = tabulate(schedules.one_cycle(1.0, steps), steps)
    assert table[-1] == np.float32(4e-6)


@pytest.mark.parametrize(
    ("cooldown", "expected"),
    [
        ("linear", [1, 1, 1, 0.75, 0.5, 0.25]),
        ("1-sqrt", [1, 1, 1, 0.5, np.float32(1 - math.sqrt(0.5)), np.float32(1 - math.sqrt(0.75))]),
        ("cosine", [1, 1, 1, np.float32((2 + math.sqrt(2)) / 4), 0.5, np.float32((2 - math.sqrt(2)) / 4)]),
    ],
)
def test_wsd_still_has_the_base_rate_where_the_cool_down_begins(cooldown, expected):
    assert values(schedules.wsd(1.0, 6, cooldown_steps=4, cooldown=cooldown), 6) == expected


def test_wsd_without_a_cool_down_is_fixed_and_with_nothing_else_a_cool_down():
    assert values(schedules.wsd(1.0, 3, cooldown_steps=0), 3) == [1, 1, 1]
    assert values(schedules.wsd(1.0, 4, cooldown_steps=1.0, cooldown="linear"), 4) == [1, 0.75, 0.5, 0.25]


def test_a_warm_up_starts_at_zero_and_reaches_the_base_rate_at_its_last_step_plus_one():
    made = schedules.warmup(1.0, 8, schedule=schedules.linear_to_zero, warmup_steps=4)
    assert values(made, 8) == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    half = schedules.warmup(1.0, 8, schedule=schedules.fixed, warmup_steps=0.5, start_factor=0.5)
    assert values(half, 8) == [0.5, 0.625, 0.75, 0.875, 1, 1, 1, 1]


def test_joined_schedules_each_have_their_own_steps_and_the_new_one_holds_at_the_boundary():
    def half(learning_rate, steps):
        return schedules.scale(learning_rate, steps, schedule=schedules.linear_to_zero, factor=0.5)

    made = schedules.join(
        1.0, 8, schedules=[schedules.fixed, schedules.linear_to_zero, half], boundaries=[2, 0.5]
    )
    assert values(made, 8) == [1, 1, 1, 0.5, 0.5, 0.375, 0.25, 0.125]


def test_a_momentum_is_kept_while_the_rate_climbs_and_by_a_multiple():
    made = schedules.warmup(1.0, 12, schedule=schedules.one_cycle, warmup_steps=2)
    alone = momentum_of(schedules.one_cycle(1.0, 10))(np.arange(10))
    np.testing.assert_array_equal(momentum_of(made)(np.arange(12)), [0.95, 0.95, *alone])
    scaled = schedules.scale(1.0, 10, schedule=schedules.one_cycle, factor=0.5)
    np.testing.assert_array_equal(momentum_of(scaled)(np.arange(10)), alone)
    np.testing.assert_array_equal(scaled(np.arange(10)), 0.5 * schedules.one_cycle(1.0, 10)(np.arange(10)))
    twice = schedules.join(1.0, 20, schedules=[schedules.one_cycle] * 2, boundaries=[10])
    np.testing.assert_array_equal(momentum_of(twice)(np.arange(20)), [*alone, *alone])


# Durations


@pytest.mark.parametrize(
    ("duration", "steps", "expected"),
    [(1, 50, 1), (1.0, 50, 50), (0.1, 50, 5), (1.5, 50, 1.5), (7, None, 7), (0.5, None, 0.5), (0.7, 10, 7)],
)
def test_a_duration_is_steps_or_a_fraction_of_the_run(duration, steps, expected):
    assert in_steps(duration, steps) == expected


@given(steps=st.integers(1, 10**7), parts=st.integers(1, 99))
def test_a_fraction_that_is_whole_steps_is_exactly_that(steps, parts):
    assert in_steps(parts / 100, 100 * steps) == parts * steps


def test_decay_steps_of_exponential_can_be_a_fraction_of_the_run():
    by_part = schedules.exponential(0.1, 200, decay_steps=0.25, decay_rate=0.5)
    by_steps = schedules.exponential(0.1, decay_steps=50, decay_rate=0.5)
    np.testing.assert_array_equal(tabulate(by_part, 200), tabulate(by_steps, 200))


# What is refused

LINE = schedules.linear_to_zero


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LINE(0.1, 0), "linear_to_zero: steps must be greater than 0, got 0"),
        (lambda: LINE(0.1, -5), "linear_to_zero: steps must be greater than 0, got -5"),
        (lambda: LINE(0.1, 10.0), "linear_to_zero: steps must be a valid integer, got 10.0"),
        (lambda: LINE(math.nan, 10), "learning_rate must be a finite number, got nan"),
        (lambda: LINE(math.inf, 10), "learning_rate must be a finite number, got inf"),
        (lambda: schedules.cosine(0.1, 10, decay_steps=0), "decay_steps must be greater than 0, got 0"),
        (lambda: schedules.cosine(0.1, 10, decay_steps=-0.5), "decay_steps must be greater than 0, got -0.5"),
        (lambda: schedules.cosine(0.1, 10, alpha=-1.0), "alpha must be greater than or equal to 0, got -1.0"),
        (
            lambda: schedules.cosine_restarts(0.1, 10, t_mul=0.5),
            "t_mul must be greater than or equal to 1, got 0.5",
        ),
        (
            lambda: schedules.cosine_restarts(0.1, 10, first_decay_steps=0.01),
            "first_decay_steps must be one step or more of 10, got 0.01",
        ),
        (lambda: LINE(0.1, 10, floor=1.0), "linear_to_zero: floor must be less than 1, got 1.0"),
        (lambda: schedules.wsd(0.1, 10, floor=-0.1), "floor must be greater than or equal to 0, got -0.1"),
        (lambda: schedules.rex(0.1, 10, d=1.0), "rex: d must be less than 1, got 1.0"),
        (lambda: schedules.cyclic(0.1, 10, mode="square"), "mode must be 'triangular', .*, got 'square'"),
        (lambda: schedules.one_cycle(0.1, 10, pct_start=1.0), "pct_start must be less than 1, got 1.0"),
        (lambda: schedules.wsd(0.1, 10, cooldown_steps=11), "cooldown_steps must be at most .*10.*got 11"),
        (lambda: schedules.wsd(0.1, 10, cooldown_steps=2.5), "cooldown_steps must be a whole .*got 2.5"),
        (
            lambda: schedules.piecewise(0.1, 10, boundaries=[5, 2], factors=[1, 1, 1]),
            r"piecewise: boundaries must rise, got \[5, 2\]",
        ),
        (
            lambda: schedules.piecewise(0.1, 10, boundaries=[0.5, 5], factors=[1, 1, 1]),
            r"piecewise: boundaries must rise, got \[0.5, 5\]",
        ),
        (
            lambda: schedules.piecewise(0.1, 10, boundaries=[5], factors=[1]),
            r"factors must be one more than the 1 boundaries, got \[1\]",
        ),
        (
            lambda: schedules.piecewise(0.1, 10, boundaries=[-5], factors=[1, 1]),
            "boundaries.0 must be greater than 0, got -5",
        ),
        (
            lambda: schedules.warmup(0.1, 10, schedule=LINE, warmup_steps=10),
            "warmup_steps must be less than the 10 steps of the run, got 10",
        ),
        (
            lambda: schedules.warmup(0.1, 10, schedule=LINE, warmup_steps=1.0),
            "warmup_steps must be less than the 10 steps of the run, got 1.0",
        ),
        (
            lambda: schedules.warmup(0.1, 10, schedule=LINE, warmup_steps=-1),
            "warmup_steps must be greater than or equal to 0, got -1",
        ),
        (lambda: schedules.warmup(0.1, 10, schedule=3, warmup_steps=1), "schedule must be callable, got 3"),
        (
            lambda: schedules.join(0.1, 10, schedules=[LINE, LINE], boundaries=[10]),
            r"boundaries must rise within the 10 steps of the run, got \[10\]",
        ),
        (
            lambda: schedules.join(0.1, 10, schedules=[LINE, LINE, LINE], boundaries=[5, 5]),
            r"boundaries must rise within the 10 steps of the run, got \[5, 5\]",
        ),
        (
            lambda: schedules.join(0.1, 10, schedules=[LINE], boundaries=[5]),
            r"boundaries must be one fewer than the 1 schedules, got \[5\]",
        ),
        (
            lambda: schedules.join(0.1, 10, schedules=[LINE, schedules.one_cycle], boundaries=[5]),
            "all schedules or none must move the momentum, got 1 of 2 that do",
        ),
    ],
)
def test_bad_arguments_name_argument_rule_and_value(call, message):
    with pytest.raises(UserError, match=message):
        call()
