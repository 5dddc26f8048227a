"""Power against integrals, against simulated t tests, and against our own test."""

import numpy as np
import pytest
from scipy import integrate, stats

from ratelab.comparison.power import MOST, find_power, find_ratio, find_seeds
from ratelab.comparison.statistics import mean_interval, pairs_needed, sign_flip_tests

KNOWN = 10**9  # seeds of a pilot that knows the spread


def integrated(counted, ratio, tests):
    """Student's test of that many values, integrated over the standard deviation that they show."""
    freedom = counted - 1
    critical = stats.t.isf(0.025 / tests, freedom)

    def shown(spread):
        above = stats.norm.sf(critical * spread - ratio * np.sqrt(counted))
        return above * stats.chi.pdf(spread * np.sqrt(freedom), freedom) * np.sqrt(freedom)

    return integrate.quad(shown, 0, 6)[0]


@pytest.mark.parametrize(("seeds", "ratio"), [(6, 2.0), (9, 1.2), (20, 0.7), (60, 0.2)])
@pytest.mark.parametrize("tests", [1, 6])
def test_where_the_spread_is_known_it_is_the_t_test_with_a_little_less_than_all_seeds(seeds, ratio, tests):
    expected = integrated(seeds - (1.5 if tests == 1 else 1), ratio, tests)
    expected = 0.0 if seeds < pairs_needed(tests) else expected
    assert find_power(seeds, ratio, tests, KNOWN) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("pilot", [3, 6, 20])
def test_what_a_pilot_does_not_know_is_averaged_over(pilot):
    """Of 200,000 sweeps, each with a standard deviation that the pilot allows."""
    rng, number, seeds, tests = np.random.default_rng(0), 200_000, 12, 2
    deviation = np.sqrt((pilot - 1) / rng.chisquare(pilot - 1, number))
    counted = seeds - 1
    values = 0.9 + deviation[:, None] * rng.normal(size=(number, counted))
    t = values.mean(1) / values.std(1, ddof=1) * np.sqrt(counted)
    expected = np.mean(t > stats.t.isf(0.025 / tests, counted - 1))
    assert find_power(seeds, 0.9, tests, pilot) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(("seeds", "ratio", "tests"), [(10, 1.1, 1), (12, 1.1, 3)])
def test_our_own_test_shows_as_much(seeds, ratio, tests):
    rng, number = np.random.default_rng(seeds), 200
    values = ratio + rng.normal(size=(number, seeds))
    small = sign_flip_tests(values) <= 0.05 / tests
    shown = [is_small and mean_interval(row).low > 0 for row, is_small in zip(values, small, strict=True)]
    assert find_power(seeds, ratio, tests, KNOWN) == pytest.approx(np.mean(shown), abs=0.1)


@pytest.mark.parametrize(("tests", "pilot"), [(1, 3), (1, 10), (6, 6), (15, 12)])
@pytest.mark.parametrize("wanted", [0.8, 0.95])
def test_one_seed_fewer_would_not_do(tests, pilot, wanted):
    for ratio in (0.3, 1.0, 2.5):
        seeds = find_seeds(wanted, ratio, tests, pilot)
        assert find_power(seeds, ratio, tests, pilot) >= wanted
        assert find_power(seeds - 1, ratio, tests, pilot) < wanted


@pytest.mark.parametrize(("tests", "pilot"), [(1, 6), (1, 40), (6, 8), (15, 12)])
def test_the_pilot_has_just_the_seeds_for_the_difference_that_it_sees(tests, pilot):
    ratio = find_ratio(0.8, tests, pilot)
    assert find_power(pilot, ratio, tests, pilot) == pytest.approx(0.8, abs=1e-6)
    assert find_seeds(0.8, ratio + 1e-6, tests, pilot) == pilot


@pytest.mark.parametrize("tests", [1, 3, 6, 15])
def test_fewer_seeds_than_the_test_needs_show_nothing_however_large_the_difference(tests):
    fewest = pairs_needed(tests)
    assert find_power(fewest - 1, 1e9, tests, 10) == 0
    assert find_power(fewest, 1e9, tests, 10) == pytest.approx(1)
    assert find_seeds(0.95, 1e9, tests, 10) == fewest
    assert find_ratio(0.8, tests, fewest - 1) is None


def test_more_seeds_than_anybody_trains_are_not_counted():
    assert find_seeds(0.8, 1e-9, 1, 6) is None
    few = find_ratio(0.8, 1, 1000) * np.sqrt(1000 / MOST)
    assert find_seeds(0.8, 1.1 * few, 1, 1000) < MOST


def test_without_a_difference_only_errors_are_shown():
    assert find_power(50, 0.0, 1, KNOWN) == pytest.approx(0.025)
