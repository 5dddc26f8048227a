"""Numbers against scipy, against formulas by hand, and against what must hold for all data."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ratelab.comparison import statistics
from ratelab.comparison.statistics import (
    Interval,
    effect_size,
    holm,
    interquartile_mean,
    mean_interval,
    pairs_needed,
    probability_of_improvement,
    sign_flip_test,
    sign_flip_tests,
    smallest_p,
)
from ratelab.validation import UserError

# as accuracies over 10,000 examples are
ACCURACY = st.integers(0, 10_000).map(lambda n: n / 10_000)
DIFFERENCE = st.integers(-500, 500).map(lambda n: n / 10_000)
DIFFERENCES = st.lists(DIFFERENCE, min_size=3, max_size=12)
PROBABILITIES = st.lists(st.floats(0, 1), max_size=12)


def noise(n, seed=0):
    return np.random.default_rng(seed).gamma(2, 0.003, n).round(4)


def test_no_interval_is_made_of_fewer_than_three_values():
    assert [mean_interval(values) for values in ([], [0.25], [0.25, 0.25], [0.1, 0.9])] == [None] * 4
    assert mean_interval([0.25, 0.25, 0.25]) == Interval(0.25, 0.25, "all equal")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0], 1.0),
        ([0.0, 1.0], 0.5),
        ([0.0, 2.0, 4.0, 100.0], 3.0),
        ([9.0, 1.0, 2.0, 3.0, 4.0, -9.0, 5.0, 6.0], 3.5),
    ],
)
def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end(values, expected):
    assert interquartile_mean(values) == expected


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_the_interquartile_mean_is_scipys_trimmed_mean_to_the_bit(values):
    assert interquartile_mean(values) == stats.trim_mean(values, 0.25)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_students_interval_is_as_wide_as_scipys_quantile_says_to_the_bit(n):
    values = noise(n)
    reach = float(stats.t.ppf(0.975, n - 1)) * (values.std(ddof=1) / np.sqrt(n))
    assert mean_interval(values) == Interval(values.mean() - reach, values.mean() + reach, "Student's t")


def test_few_pairs_have_students_interval():
    differences = np.array([0.01, 0.03, 0.02, 0.05])
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    found = mean_interval(differences)
    assert found.method == "Student's t"
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_interval_of_a_difference_is_the_studentized_bootstrap_by_hand(n):
    """Resample by resample, as the book has it; the resamples are those of the same generator."""
    values = noise(n) - 0.004
    data = sorted(values.tolist())
    places = np.random.default_rng(0).integers(n, size=(5_000, n))
    studentized = []
    for row in [*places, *(n - 1 - places)]:
        drawn = [data[place] for place in row]
        if len(set(drawn)) > 1:
            m = sum(drawn) / n
            s = (sum((x - m) ** 2 for x in drawn) / (n - 1)) ** 0.5
            studentized.append((m - sum(data) / n) / (s / n**0.5))
    studentized.sort()
    cut = int((len(studentized) + 1) * 0.025)
    error = np.std(values, ddof=1) / n**0.5
    found = mean_interval(values)
    assert found.method == "studentized bootstrap"
    assert found.low == pytest.approx(values.mean() - studentized[-cut] * error, rel=1e-9)
    assert found.high == pytest.approx(values.mean() - studentized[cut - 1] * error, rel=1e-9)


@given(DIFFERENCES, st.randoms())
def test_the_interval_of_a_difference_is_mirrored_and_has_no_order(differences, random):
    found = mean_interval(differences)
    turned = mean_interval([-d for d in random.sample(differences, len(differences))])
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
    assert turned.method == found.method


@given(DIFFERENCES)
def test_the_interval_of_a_difference_holds_the_mean_unless_resamples_say_otherwise(differences):
    found = mean_interval(differences)
    assert found.low <= found.high
    if found.method != "studentized bootstrap":
        assert found.low - 1e-12 <= np.mean(differences) <= found.high + 1e-12


@given(DIFFERENCES)
def test_p_is_the_share_of_sign_choices_counted_one_by_one(differences):
    """In whole ten-thousandths, where sums are exact."""
    whole = [round(d * 10_000) for d in differences]
    sums = [
        abs(sum(s * d for s, d in zip(signs, whole, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(whole))
    ]
    assert sign_flip_test(differences) == sum(s >= abs(sum(whole)) for s in sums) / len(sums)


@pytest.mark.parametrize("n", [3, 8, 12])
def test_p_is_scipys_exact_permutation_test(n):
    a, b = noise(n, 1), noise(n, 2)
    expected = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    ).pvalue
    assert sign_flip_test(a - b) == expected


def test_p_of_many_pairs_is_close_to_the_exact_one(monkeypatch):
    differences = noise(17) - 0.004
    drawn = sign_flip_test(differences)
    monkeypatch.setattr(statistics, "EXACT_PAIRS", 17)
    exact = sign_flip_test(differences)
    assert 0.01 < exact < 0.99
    assert drawn == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 2**16) ** 0.5)


@pytest.mark.parametrize("n", [2, 6, 16, 17, 30])
def test_no_p_is_below_the_smallest_one(n):
    assert sign_flip_test(np.arange(1, n + 1) / 100) == smallest_p(n)


def test_p_of_equal_runs_is_1():
    assert sign_flip_test([0.0, 0.0, 0.0]) == 1
    assert sign_flip_test([]) == 1


@given(st.lists(DIFFERENCE, min_size=1, max_size=18), st.randoms())
def test_p_depends_neither_on_the_order_nor_on_which_comes_first(differences, random):
    turned = [-d for d in random.sample(differences, len(differences))]
    assert sign_flip_test(turned) == sign_flip_test(differences)


def test_tests_in_bulk_are_the_single_tests():
    rows = np.random.default_rng(3).normal(size=(5, 9))
    assert sign_flip_tests(rows).tolist() == [sign_flip_test(row) for row in rows]


@pytest.mark.parametrize("tests", [1, 2, 3, 6, 10, 15, 190])
def test_as_many_pairs_as_needed_and_no_more(tests):
    n = pairs_needed(tests)
    assert smallest_p(n) * tests <= 0.05 < smallest_p(n - 1) * tests


def test_holm_on_an_example_by_hand():
    """Of 5: 0.01 * 5, then 0.02 * 4, 0.03 * 3, 0.04 * 2, 0.05 * 1, each no less than the one before."""
    assert holm([0.05, 0.01, 0.04, 0.02, 0.03]) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.09])
    assert holm([0.001, 0.3, 0.8]) == pytest.approx([0.003, 0.6, 0.8])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(PROBABILITIES, st.randoms())
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(values, random):
    corrected = holm(values)
    for (p, c), (q, d) in itertools.product(zip(values, corrected, strict=True), repeat=2):
        assert c <= d or p > q
    assert all(p <= c <= min(1, p * len(values)) for p, c in zip(values, corrected, strict=True))
    places = random.sample(range(len(values)), len(values))
    assert holm([values[i] for i in places]) == [corrected[i] for i in places]


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_probability(bad):
    with pytest.raises(UserError, match=r"p_values must lie in \[0, 1\]"):
        holm([0.5, bad])


@given(DIFFERENCES)
def test_improvement_of_the_other_is_the_rest(differences):
    share = probability_of_improvement(differences)
    assert share + probability_of_improvement([-d for d in differences]) == 1
    assert share == sum(1.0 if d > 0 else 0.5 if d == 0 else 0.0 for d in differences) / len(differences)


def test_the_effect_size_is_mean_over_deviation():
    assert effect_size([0.01, 0.03]) == pytest.approx(0.02 / 0.01 / 2**0.5)
    assert effect_size([0.01, 0.01]) is None
    assert effect_size([0.01]) is None


def test_a_wilcoxon_test_agrees_where_the_sizes_are_ranks():
    """Of 1, 2, ... n with signs, the sum of signed ranks is the sum itself: both tests count the same."""
    differences = np.array([1, -2, 3, 4, -5, 6, 7, 8, 9.0])
    assert sign_flip_test(differences) == stats.wilcoxon(differences, method="exact").pvalue
