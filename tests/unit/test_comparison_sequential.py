"""The test and the interval at all looks against a plain count over every choice of signs."""

import itertools
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ratelab.comparison import sequential
from ratelab.comparison.sequential import Looks, list_looks, seeds_needed, spent_by
from ratelab.comparison.statistics import sign_flip_test, smallest_p

DIFFERENCES = st.lists(st.integers(-30, 30).map(lambda n: n / 16), min_size=6, max_size=11)
LOOKS = st.lists(st.integers(2, 11), min_size=1, max_size=4, unique=True).map(sorted)


@contextmanager
def every_choice():
    """Let every choice of signs be followed, once; the observed one is that of no change."""

    def draw(count):
        return np.array(list(itertools.product([1.0, -1.0], repeat=count)))[1:].T

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequential, "_draw_signs", draw)
        yield


def crosses_plainly(differences, looks, level, most):
    """The definition, one choice after the other, in whole sixteenths."""
    sizes = [abs(round(d * 16)) for d in differences]
    observed = tuple(1 if d >= 0 else -1 for d in differences[: looks[-1]])
    alive = list(itertools.product([1, -1], repeat=looks[-1]))
    count, crossed = len(alive), 0
    for look in looks:
        far = {signs: abs(sum(s * n for s, n in zip(signs[:look], sizes, strict=False))) for signs in alive}
        allowed = int(level * float(spent_by(look, most)) * count) - crossed
        # the smallest boundary that no more than these lie beyond
        boundary = min(b for b in {-1, *far.values()} if sum(f > b for f in far.values()) <= max(allowed, 0))
        out = {signs for signs in alive if far[signs] > boundary}
        if observed in out:
            return True
        alive = [signs for signs in alive if signs not in out]
        crossed += len(out)
    return False


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES, LOOKS, st.sampled_from([0.05, 0.2, 0.5, 0.9]), st.integers(6, 20))
def test_it_crosses_where_a_plain_count_says_so(differences, looks, level, most):
    looks = [look for look in looks if look <= len(differences)] or [len(differences)]
    with every_choice():
        shown = Looks(differences, looks, most).find_crossing(level)
    assert (shown is not None) == crosses_plainly(differences, looks, level, most)


@settings(max_examples=20, deadline=None)
@given(DIFFERENCES, st.integers(-30, 30).map(lambda n: n / 16))
def test_another_mean_is_tested_as_zero_is_with_what_differs_from_it(differences, mean):
    with every_choice():
        moved = Looks([d - mean for d in differences], [6], 8)
        assert Looks(differences, [6], 8).find_crossing(0.4, mean) == moved.find_crossing(0.4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 0, 1, 1, 1, 2, -1]), min_size=20, max_size=20))
def test_a_difference_is_shown_only_where_the_interval_does_not_hold_zero(differences):
    """Times are tied like this: whole epochs, many of them no difference at all."""
    seen = Looks(differences, [6, 8, 10, 12, 15, 20], 20)
    look = seen.find_difference(0.05)
    assert (look is not None) == seen.crosses(0.05)
    if look is not None:
        assert seen.find_crossing(0.05) is not None
        assert not seen.interval().holds(0.0)


def test_a_difference_that_many_seeds_do_not_have_takes_more_of_the_others():
    looks, tied = [6, 8, 10, 12, 15], [0.0] * 7 + [-1.0] * 8
    assert Looks(tied, looks, 60).find_crossing(0.05) is not None  # of the eight that differ all are below
    assert Looks(tied, looks, 60).find_difference(0.05) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_at_one_look_it_is_the_sign_flip_test(sign):
    differences = sign * np.array([0.5, 1.0, 0.25, -0.125, 2.0, 0.75, 0.5, 1.5])
    p = sign_flip_test(differences)
    share = float(spent_by(8, 8))
    with every_choice():
        assert [Looks(differences, [8], 8).crosses(p / share * by) for by in (1.001, 0.999)] == [True, False]


def test_what_has_crossed_at_one_look_is_shown_whatever_comes_later():
    differences = [1.0] * 20 + [-1.0] * 30
    assert [Looks(differences, looks, 60).crosses(0.05) for looks in ([20], [20, 50], [50])] == [
        True,
        True,
        False,
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=20, max_size=20), st.sampled_from([0.001, 1.0, 1000.0]))
def test_neither_the_unit_nor_which_is_first_matters(differences, unit):
    looks, levels = [6, 11, 20], [0.05, 0.025, 0.3]
    data = np.array(differences)
    wanted = Looks(data, looks, 20).crosses_at(levels)
    assert Looks(-data, looks, 20).crosses_at(levels) == wanted
    assert Looks(data * unit, looks, 20).crosses_at(levels) == wanted


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 2), min_size=15, max_size=15))
def test_a_higher_level_shows_whatever_a_lower_one_shows(differences):
    levels = [0.5, 0.05, 0.02, 0.01, 0.3]
    shown = dict(zip(levels, Looks(differences, [6, 8, 11, 15], 15).crosses_at(levels), strict=True))
    ordered = [shown[level] for level in sorted(levels)]
    assert ordered == sorted(ordered)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1, 2), min_size=15, max_size=15), st.integers(1, 15))
def test_p_is_below_a_shared_level_just_where_that_crosses(differences, tests):
    levels, seen = [0.05 / left for left in range(1, tests + 1)], Looks(differences, [6, 8, 11, 15], 15)
    p, shown = seen.p(tests), seen.crosses_at(levels)
    assert [p <= level * (1 + 1e-12) for level in levels] == shown
    assert 0 < p <= 1


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=20, max_size=20, unique=True))
def test_the_interval_is_what_the_test_does_not_exclude(differences):
    seen = Looks(differences, [6, 11, 20], 20)
    mean = np.mean(differences)
    assume(not seen.excludes(mean))  # as looks before the last can do; see below
    found = seen.interval()
    width = found.high - found.low
    assert found.low <= mean <= found.high
    outside = [found.low, found.high, found.low - 0.3 * width, found.high + 0.3 * width, -1e6, 1e6]
    assert all(map(seen.excludes, outside))
    # where the last halving ended, the 10th of a 64th of the way; there may be gaps farther inside
    ways = mean - min(differences), max(differences) - mean
    inside = [found.low + ways[0] / 2**16, found.high - ways[1] / 2**16]
    assert not any(map(seen.excludes, inside))
    moved = Looks(np.array(differences) + 64.0, [6, 11, 20], 20).interval()
    assert (moved.low, moved.high) == pytest.approx((found.low + 64, found.high + 64), abs=1e-3 * width)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=20, max_size=20, unique=True),
    st.dictionaries(st.integers(0, 19), st.sampled_from([-80_000, -900, 3_000]), min_size=1, max_size=2),
)
def test_the_interval_is_that_of_the_others_where_a_seed_lies_far_away(differences, far):
    """As where one of the runs came to nothing: looks before that seed then exclude the mean of all."""
    data = [far.get(place, difference) for place, difference in enumerate(differences)]
    seen = Looks(data, [6, 8, 10, 12, 15, 20], 20)
    found = seen.interval()
    assume(np.isfinite(found.low))  # else no mean is left
    kept = [mean for mean in (*np.linspace(-60, 60, 49), *data, np.mean(data)) if not seen.excludes(mean)]
    assert all(map(found.holds, kept))
    for end, inwards in ((found.low, 1), (found.high, -1)):
        near = end + inwards * np.ptp(data) / 2**16 * np.linspace(0, 2, 9)
        assert not all(map(seen.excludes, near))  # as near as the halvings come to an end


def test_where_no_mean_is_left_nothing_follows():
    differences = [*np.arange(1.0, 21.0), *np.arange(-1020.0, -1000.0)]  # no mean in common
    seen = Looks(differences, [20, 40], 40)
    assert all(map(seen.excludes, np.linspace(-1100, 100, 241)))
    found = seen.interval()
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_before_anything_can_be_excluded_every_mean_is_possible():
    found = Looks([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [6], 60).interval()
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_differences_that_are_all_equal_leave_one_mean():
    found = Looks([0.25] * 12, [6, 8, 11, 12], 12).interval()
    assert (found.low, found.high) == pytest.approx((0.25, 0.25), abs=1e-12)


@given(st.integers(1, 400), st.integers(0, 400))
def test_looks_go_up_to_what_was_planned_and_on_to_the_most(planned, more):
    looks = list_looks(planned, planned + more)
    assert looks == sorted(set(looks))
    assert {planned, planned + more} <= set(looks)
    assert looks[: len(list_looks(planned, planned))] == list_looks(planned, planned)
    # a quarter more, in whole seeds; the last may be half a step farther: 10 after 7 is 1.43 times as many
    assert all(b <= max(round(1.25 * a), a + 1) * 1.25**0.5 for a, b in itertools.pairwise(looks))


@given(st.integers(6, 500), st.lists(st.integers(1, 5000), min_size=2, max_size=9, unique=True).map(sorted))
def test_what_may_be_spent_grows_and_never_is_more_than_all(most, looks):
    shares = spent_by(looks, most)
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] <= 1
    assert float(spent_by(most, most)) == pytest.approx(0.99)


@pytest.mark.parametrize("tests", [1, 2, 3, 6, 15])
def test_fewer_seeds_than_needed_cannot_decide_anything(tests):
    n = seeds_needed(tests)
    assert smallest_p(n) <= 0.05 / tests * 0.99 < smallest_p(n - 1)
