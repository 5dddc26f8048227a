"""Which base rate is taken from a tuned grid, when that is uncertain, and how much depends on it."""

import dataclasses
import itertools
import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ratelab.comparison import Measured, Result, find_near, measure_sensitivities, study, tune
from ratelab.comparison.statistics import mean_interval
from ratelab.tasks import ACCURACY, LOSS, Outcome

# What training for 5 epochs gave: MNIST, exponential, three seeds at each rate. Over 30 seeds the means are
# 0.857, 0.890, 0.907, 0.901, 0.891, 0.881.
LUCKY = {
    0.1: (0.8564, 0.8544, 0.8522),
    0.316: (0.8898, 0.8908, 0.8902),
    1.0: (0.9088, 0.9066, 0.9062),
    3.16: (0.915, 0.9158, 0.8914),
    10.0: (0.917, 0.9182, 0.9008),
    31.6: (0.91, 0.8828, 0.8886),
}
RMSE = Outcome("rmse", higher_is_better=False, worst=2.0)
SMALL = st.integers(0, 64).map(lambda n: n / 64)  # whose sums are exact


def trial(name, rate, seed, value, outcome=ACCURACY):
    """A tuning run; without a value it diverged."""
    return Result(
        seed=seed,
        choices={"schedule": name},
        settings={"learning_rate": str(rate), "test": "False"},
        status="diverged" if value is None else "finished",
        outcome=outcome,
        validation=() if value is None else (Measured(99, value, 1.0, 2400),),
    )


def trials(grid, name="fixed", outcome=ACCURACY):
    return [
        trial(name, rate, 1000 + seed, value, outcome)
        for rate, values in grid.items()
        for seed, value in enumerate(values)
    ]


def tuned(grid, outcome=ACCURACY):
    [one] = tune(trials(grid, outcome=outcome))
    return one


@st.composite
def grids(draw, fewest=2):
    number, count = draw(st.integers(2, 6)), draw(st.integers(fewest, 5))
    row = st.lists(SMALL, min_size=count, max_size=count).map(tuple)
    return {10.0**place: draw(row) for place in range(number)}


def test_three_lucky_seeds_do_not_choose_a_rate_that_is_too_high():
    one = tuned(LUCKY)
    assert (one.rates[one.peak], one.best) == (10.0, 1.0)
    assert one.as_good == (1.0, 10.0)
    assert study(trials(LUCKY, "exponential")).notes == (
        "exponential: its best base rate is uncertain: 1 and 10 are as good within the spread of 3 seeds; "
        "the lowest is taken",
    )


@given(st.lists(SMALL, min_size=2, max_size=6), st.lists(SMALL, min_size=2, max_size=5))
def test_where_all_seeds_agree_the_rate_with_the_best_mean_is_taken(curve, luck):
    """The seeds differ, but each by the same at every rate."""
    one = tuned({10.0**place: [height + own for own in luck] for place, height in enumerate(curve)})
    assert one.place == one.peak == curve.index(max(curve))
    # more than one only where they are the same at every seed
    assert len(one.as_good) == curve.count(max(curve))


def test_a_rate_is_not_as_good_where_another_surely_beats_it():
    """The best mean has one lucky seed and a wide spread; 0.1 is worse than 1.0 in every seed."""
    one = tuned({0.1: [0.25, 0.25], 1.0: [0.5, 0.5], 10.0: [1.0, 0.25]})
    assert (one.rates[one.peak], one.as_good) == (10.0, (1.0, 10.0))


@given(grids())
def test_it_is_the_lowest_rate_that_no_other_beats_by_more_than_a_standard_error(grid):
    one = tuned(grid)
    beaten = set()
    for rate, other in itertools.permutations(grid, 2):
        leads = [ours - theirs for ours, theirs in zip(grid[other], grid[rate], strict=True)]
        lead, error = statistics.fmean(leads), statistics.stdev(leads) / len(leads) ** 0.5
        assume(lead <= 0 or abs(lead - error) > 1e-12)  # at a tie the last digit of a sum would decide
        if lead > error:
            beaten.add(rate)
    assert one.as_good == tuple(rate for rate in grid if rate not in beaten)
    assert one.best == one.rates[one.place] == min(one.as_good)
    assert one.rates[one.peak] in one.as_good


def test_with_one_seed_the_best_is_taken_and_is_said_to_be_uncertain():
    grid = {0.1: [0.5], 1.0: [0.75], 10.0: [0.625]}
    assert (tuned(grid).best, tuned(grid).as_good) == (1.0, (1.0,))
    assert study(trials(grid)).notes == ("fixed: its best base rate is uncertain: it was chosen by one seed",)


def test_a_choice_that_the_seeds_agree_on_is_not_noted():
    assert study(trials({0.1: [0.5, 0.51], 1.0: [0.75, 0.76], 10.0: [0.625, 0.63]})).notes == ()


def test_a_rate_is_as_good_only_by_seeds_that_the_best_one_has_too():
    """At 0.1 the runs of two seeds failed: one pair has no spread, so nothing says that it is as good."""
    runs = [*trials({1.0: [0.5, 0.75, 0.625], 10.0: [0.25] * 3}), trial("fixed", 0.1, 1000, 0.5)]
    [one] = tune(runs)
    assert (one.seeds, one.as_good) == (((1000,), (1000, 1001, 1002), (1000, 1001, 1002)), (1.0,))


def test_the_best_mean_is_as_good_though_the_seeds_in_common_say_otherwise():
    """Four seeds are left of each rate, and each rate beats the next one at the two that both have."""
    low, high = 0.25, 0.5
    grid = {
        0.1: {0: high, 1: high, 4: low, 5: low},
        1.0: {0: low, 1: low, 2: high, 3: high},
        10.0: {2: low, 3: low, 4: high, 5: high},
    }
    [one] = tune([trial("fixed", rate, seed, value) for rate in grid for seed, value in grid[rate].items()])
    assert one.as_good == (0.1,)


def test_of_runs_that_repeat_others_the_newest_counts():
    [one] = tune([trial("fixed", 1.0, 1000, 0.25), *trials({0.1: [0.5], 1.0: [0.75]})])
    assert (one.values, one.runs) == (((0.5,), (0.75,)), 2)


def test_the_edge_is_where_the_best_mean_is_though_a_lower_rate_is_taken():
    grid = {rate: LUCKY[rate] for rate in (0.1, 0.316, 1.0, 3.16, 10.0)}
    one = tuned(grid)
    assert (one.best, one.at_edge, one.edges) == (1.0, "highest", ("", "", "", "", "highest"))
    assert study(trials(grid)).notes[0] == (
        "fixed: its best base rate, 10, is the highest tried; a better one may exist"
    )


def test_the_lowest_rate_is_no_edge_where_the_best_mean_is_within_the_grid():
    one = tuned({0.1: [0.5, 0.625], 1.0: [0.625, 0.5625], 10.0: [0.25, 0.25]})
    assert (one.best, one.peak, one.at_edge) == (0.1, 1, "")


# How much depends on it.

CURVE = {0.1: (0.5, 0.25, 0.5), 1.0: (0.75, 0.75, 1.0), 10.0: (0.25, None, 0.75)}


def test_what_is_lost_is_the_best_less_the_mean_over_the_rates():
    """By hand: 0.75 - 1.5/3, 0.75 - 1/3 with a diverged run as 0, 1 - 2.25/3."""
    [one] = measure_sensitivities(tune(trials(CURVE)))
    lost = [0.25, 0.75 - 1 / 3, 0.25]
    assert (one.first, one.second, one.seeds) == ("fixed", "", (1000, 1001, 1002))
    assert one.lost == pytest.approx(sum(lost) / 3)
    expected = mean_interval(lost)
    assert (one.lost_interval.low, one.lost_interval.high) == pytest.approx((expected.low, expected.high))


def test_of_a_loss_no_more_than_what_an_untrained_model_gives_is_counted():
    """2 is that of a model that has learned nothing; what diverged counts as 9 where rates are compared."""
    grid = {0.1: [0.5] * 3, 1.0: [0.25] * 3, 10.0: [9.0, 9.0, None]}
    [one] = measure_sensitivities(tune(trials(grid, outcome=RMSE)))
    assert one.lost == pytest.approx((0.5 + 0.25 + 2.0) / 3 - 0.25)
    without = dataclasses.replace(RMSE, worst=None)
    [one] = measure_sensitivities(tune(trials(grid, outcome=without)))
    assert one.lost == pytest.approx((0.5 + 0.25 + 9.0) / 3 - 0.25)


@given(grids(fewest=3))
def test_the_width_is_that_of_the_curve_as_a_fine_grid_of_rates_shows_it(grid):
    [one] = measure_sensitivities(tune(trials(grid)))
    fine = np.linspace(0, len(grid) - 1, 20_001)
    widths = []
    for curve in zip(*grid.values(), strict=True):
        heights = np.interp(fine, np.arange(len(grid)), curve)
        widths.append(np.mean(heights >= max(curve) - 0.002) * (len(grid) - 1))
    assert one.width == pytest.approx(statistics.fmean(widths), abs=0.001)
    assert 0 <= one.lost <= 1


@given(grids(fewest=3), grids(fewest=3))
def test_mirrored_values_have_the_same_sensitivity(one, other):
    def mirror(run):
        look = run.validation[0]
        return dataclasses.replace(
            run, outcome=Outcome(LOSS, False, -0.0), validation=(look._replace(value=-look.value),)
        )

    high = Outcome("gain", True, 0.0)
    runs = [*trials(one, "a", high), *trials(other, "b", high)]
    assert measure_sensitivities(tune(runs)) == measure_sensitivities(tune([mirror(run) for run in runs]))


def test_near_is_a_part_of_all_there_is_to_gain_for_what_is_no_accuracy():
    assert find_near([tuned(LUCKY)]) == 0.002
    grid = {0.1: [0.5] * 2, 1.0: [0.25] * 2}
    assert find_near([tuned(grid, RMSE)]) == pytest.approx(0.002 * 1.75)


def test_pairs_are_by_seed_over_the_rates_of_all():
    """Of the second schedule one seed failed at a rate, and it was tried at one rate more."""
    other = {0.1: (0.5, 0.5, 0.25, 0.5), 1.0: (1.0, 0.75, 0.5, 0.5), 10.0: (0.5, 0.5, 0.0)}
    first = {rate: (*values, 0.5) for rate, values in CURVE.items()}
    runs = [*trials(first, "a"), *trials(other, "b"), *trials({100.0: [1.0] * 4}, "b")]
    alone, second, pair = measure_sensitivities(tune(runs))
    assert (pair.first, pair.second, pair.seeds) == ("b", "a", (1000, 1001, 1002))
    assert (len(alone.seeds), len(second.seeds)) == (4, 3)
    # by hand: 1 - 2/3 - 1/4, 3/4 - 1.75/3 - (3/4 - 1/3), 1/2 - 3/4/3 - 1/4
    differences = [1 / 12, -0.25, 0.0]
    assert pair.lost == pytest.approx(sum(differences) / 3)
    expected = mean_interval(differences)
    assert (pair.lost_interval.low, pair.lost_interval.high) == pytest.approx((expected.low, expected.high))


def test_below_three_seeds_there_is_no_interval():
    found = measure_sensitivities(
        tune([run for name in "ab" for run in trials({0.1: [0.5, 0.25], 1.0: [0.75, 0.5]}, name)])
    )
    assert [(one.lost_interval, one.width_interval) for one in found] == [(None, None)] * 3


def test_many_schedules_are_compared_with_one():
    names = ["a", "fixed", *"bcdef"]
    found = measure_sensitivities(tune([run for name in names for run in trials(CURVE, name)]))
    assert [(one.first, one.second) for one in found[7:]] == [(n, "fixed") for n in names if n != "fixed"]


@pytest.mark.parametrize(
    "runs",
    [
        [],
        trials({0.1: [0.5] * 3}),
        [*trials({0.1: [0.5] * 3, 1.0: [0.5] * 3}, "a"), *trials({1.0: [0.5] * 3, 10.0: [0.5] * 3}, "b")],
    ],
)
def test_of_fewer_than_two_common_rates_nothing_is_said(runs):
    assert measure_sensitivities(tune(runs)) == []


def test_all_pairs_of_a_few_schedules_are_told():
    found = measure_sensitivities(tune([run for name in "abc" for run in trials(CURVE, name)]))
    pairs = [(later, earlier) for earlier, later in itertools.combinations("abc", 2)]
    assert [(one.first, one.second) for one in found] == [("a", ""), ("b", ""), ("c", ""), *pairs]
    assert {(one.lost, one.width) for one in found if one.second} == {(0.0, 0.0)}
