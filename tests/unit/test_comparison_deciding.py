"""Which pairs are decided at which look, who goes on, and that a comparison tells the same afterwards."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelab.comparison import Result, compare
from ratelab.comparison.deciding import decide, list_going
from ratelab.comparison.pairs import Pair
from ratelab.comparison.plans import Plan, newest
from ratelab.comparison.sequential import Looks
from ratelab.tasks import Outcome

PLAN = Plan(planned=20, most=20, matters=0.5, question="all")
LOOKS = (6, 8, 10, 12, 15, 20)


def series(values):
    return dict(enumerate(values))


def noise(count, seed, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1, count).round(6).tolist()


def results(groups, plan=PLAN, **more):
    """The runs of groups by their names; each seed has a value."""
    return [
        Result(seed, {"schedule": name}, status="finished", test={"accuracy": value}, plan=plan, **more)
        for name, values in groups.items()
        for seed, value in enumerate(values)
    ]


def test_a_pair_is_decided_at_the_first_look_that_shows_it():
    large = [1.0, 1.1, 0.9, 1.2, 0.8, 1.0, 1.1, 0.9, *noise(12, 0)]
    [one] = decide([series(large)], range(20), PLAN)
    assert (one.verdict, one.looks) == ("different", (6, 8))
    assert Looks(large, (6, 8), 20).crosses(0.05)
    assert not Looks(large, (6,), 20).crosses(0.05)


def test_a_pair_is_equal_at_the_first_look_whose_interval_lies_within_what_matters():
    values = (np.array(noise(20, 3)) / 3).tolist()
    [one] = decide([series(values)], range(20), PLAN)
    assert one.verdict == "equal"
    assert len(one.looks) > 1
    for looks, is_within in ((one.looks, True), (one.looks[:-1], False)):
        found = Looks(values, looks, 20).interval()
        assert (found.low > -0.5 and found.high < 0.5) is is_within


@pytest.mark.parametrize("mean", [-3.0, 3.0])
@pytest.mark.parametrize("tests", [1, 60])
def test_what_differs_by_more_than_matters_is_never_equal(mean, tests):
    """Among so many tests it takes long to call it different; on neither side of both ends it is."""
    values = [mean + d / 50 for d in noise(20, 3)]
    found = decide([series(values)] * tests, range(20), PLAN)
    assert {one.verdict for one in found} == {"different"}
    assert {len(one.looks) for one in found} == {2 if tests == 1 else 4}


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.sampled_from([-1.0, -0.5, 0.0, 0.4, 2.0]), st.sampled_from([0.05, 0.3, 1.0])
)
def test_equal_is_what_the_interval_at_some_look_lies_within(seed, mean, matters):
    values = (np.array(noise(20, seed)) / 3 + mean).tolist()
    [one] = decide([series(values)], range(20), PLAN.model_copy(update={"matters": matters}))
    found = Looks(values, one.looks, 20).interval()
    step = np.ptp(values) / 2**15  # to which its ends are found
    if one.verdict == "equal":
        assert -matters - step < found.low <= found.high < matters + step
    elif one.verdict == "open":
        assert found.low < -matters + step or found.high > matters - step


def test_among_many_pairs_it_takes_more_to_be_equal_until_the_others_are():
    values = (np.array(noise(20, 3)) / 3).tolist()
    [alone] = decide([series(values)], range(20), PLAN)
    first, *_ = decide([series(values), *[series([9.0] * 20)] * 9], range(20), PLAN)
    assert (first.verdict, len(first.looks) > len(alone.looks)) == ("equal", True)
    for looks, is_shown in ((first.looks, True), (first.looks[:-1], False)):
        seen = Looks(values, looks, 20)
        found = [seen.find_crossing(2 * 0.05 / 10, end) for end in (0.5, -0.5)]
        assert (None not in found) is is_shown
    same = decide([series(values), *[series([0.0] * 20)] * 9], range(20), PLAN)
    assert {one.verdict for one in same} == {"equal"}
    assert len(same[0].looks) <= len(first.looks)


def test_without_a_difference_that_matters_nothing_is_equal():
    plan = PLAN.model_copy(update={"matters": None})
    [one] = decide([series([0.0] * 20)], range(20), plan)
    assert (one.verdict, one.looks) == ("open", LOOKS)


@pytest.mark.parametrize("seeds", [0, 1, 5])
def test_before_the_first_look_nothing_is_decided(seeds):
    [one] = decide([series([1.0] * seeds)], range(seeds), PLAN)
    assert (one.verdict, one.looks) == ("open", ())


def test_a_look_is_at_the_seeds_that_a_pair_has():
    lacking = {seed: value for seed, value in series(noise(20, 1)).items() if seed not in {3, 9, 10}}
    [one] = decide([lacking], range(20), PLAN.model_copy(update={"matters": None}))
    assert one.looks == (5, 7, 8, 9, 12, 17)


def test_a_pair_that_is_shown_leaves_its_part_of_the_level_to_the_others():
    clear, weak = [1.0 + d / 50 for d in noise(20, 2)], None
    for seed in range(300):  # one that a part of the level does not show, but all of it does
        values = noise(20, seed, 0.75)
        half, whole = (Looks(values, LOOKS, 20).crosses_at([0.05, 0.025])[place] for place in (1, 0))
        if whole and not half:
            weak = values
            break
    plan = PLAN.model_copy(update={"matters": None})
    assert [one.verdict for one in decide([series(weak)] * 2, range(20), plan)] == ["open", "open"]
    assert [one.verdict for one in decide([series(clear), series(weak)], range(20), plan)] == [
        "different",
        "different",
    ]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([None, 0.3, 1.0]))
def test_what_was_decided_stays_so_when_seeds_are_added(seed, pairs, matters):
    """At every look the program sees what it has by then; afterwards all is seen at once."""
    means = np.random.default_rng(seed).choice([0.0, 0.5, 1.5], pairs)
    data = [series(noise(20, seed + place, mean)) for place, mean in enumerate(means)]
    plan = PLAN.model_copy(update={"matters": matters})
    whole = decide(data, range(20), plan)
    for look in LOOKS:
        part = [{seed: value for seed, value in one.items() if seed < look} for one in data]
        for early, late in zip(decide(part, range(look), plan), whole, strict=True):
            if early.verdict != "open":
                assert early == late
            else:
                assert early.looks == late.looks[: len(early.looks)]


def test_more_seeds_than_were_planned_change_nothing_of_what_was_decided():
    data = [series(noise(40, place, mean)) for place, mean in enumerate([0.0, 1.0, 0.6])]
    first = decide([{s: v for s, v in one.items() if s < 20} for one in data], range(20), PLAN)
    more = PLAN.model_copy(update={"most": 40})
    assert more.looks == [*LOOKS, 25, 31, 40]
    for early, late in zip(first, decide(data, range(40), more), strict=True):
        assert late == early if early.verdict != "open" else late.looks[:6] == LOOKS


def test_where_the_best_is_asked_for_the_worse_ones_are_out():
    verdicts = {("b", "a"): "worse", ("c", "a"): "open", ("c", "b"): "open", ("d", "c"): "practically equal"}
    pairs = [Pair(first, second, verdict=verdict) for (first, second), verdict in verdicts.items()]
    assert list_going(pairs, "all") == ["c", "a", "b"]
    assert list_going(pairs, "best") == ["c", "a"]
    assert list_going(pairs[3:], "all") == []


def test_a_comparison_has_the_seeds_and_the_sentence_of_the_moment_of_the_decision():
    base = np.array(noise(20, 5)) / 100 + 0.5
    groups = {
        "fixed": base.tolist(),
        "rex": (base - 0.1 - np.array(noise(20, 6)) / 1000).tolist(),
        "wsd": (base + np.array(noise(20, 7)) / 10_000).tolist(),
    }
    plan = PLAN.model_copy(update={"matters": 0.01})
    found = compare(results(groups, plan))
    worse, equal, better = found.pairs
    assert [(pair.first, pair.second, pair.verdict) for pair in found.pairs] == [
        ("rex", "fixed", "worse"),
        ("wsd", "fixed", "practically equal"),
        ("wsd", "rex", "better"),
    ]
    assert worse.seeds == tuple(range(worse.looks[-1]))
    assert len(worse.differences) == worse.looks[-1] < 20
    assert worse.mean == pytest.approx(np.mean(worse.differences))
    assert f"lower in {worse.looks[-1]} of {worse.looks[-1]} seeds" in worse.sentence
    assert f", after {worse.looks[-1]} seeds." in worse.sentence
    assert "wsd and fixed are practically equal: accuracy" in equal.sentence
    assert f"within +-0.01), after {equal.looks[-1]} seeds." in equal.sentence
    assert better.corrected <= 0.05 + 1e-9
    assert found.notes[-1] == (
        "looked at after 6, 8, 10, 12, 15, 20 seeds: p-values and intervals of differences hold at all looks "
        "together; 60 runs, where 20 seeds for each would have been 60"
    )


def test_less_is_better_where_the_metric_says_so():
    outcome = Outcome("rmse", higher_is_better=False)
    runs = [
        Result(seed, {"schedule": name}, status="finished", outcome=outcome, test={"rmse": value}, plan=PLAN)
        for name, mean in (("fixed", 1.0), ("rex", 3.0))
        for seed, value in enumerate((np.array(noise(20, 5)) / 100 + mean).tolist())
    ]
    [pair] = compare(runs).pairs
    assert (pair.verdict, "rex is worse than fixed: rmse +2.0" in pair.sentence) == ("worse", True)


def test_what_is_not_told_apart_is_open():
    groups = {"fixed": noise(20, 8), "rex": noise(20, 9)}
    scaled = {name: [0.5 + value / 100 for value in values] for name, values in groups.items()}
    [pair] = compare(results(scaled, PLAN.model_copy(update={"matters": None}))).pairs
    assert pair.verdict == "open"
    assert pair.sentence.startswith("open between rex and fixed: accuracy ")
    assert pair.sentence.endswith("after Holm, after 20 seeds.")


def test_fewer_seeds_than_the_first_look_allow_no_conclusion():
    [pair] = compare(results({"fixed": [0.5] * 4, "rex": [0.25] * 4})).pairs
    assert (pair.verdict, pair.looks) == ("no conclusion", ())


def test_runs_of_other_plans_are_compared_at_one_look():
    groups = {"fixed": noise(20, 8), "rex": noise(20, 9)}
    scaled = {name: [0.5 + value / 100 for value in values] for name, values in groups.items()}
    mixed = [*results(scaled), replace(results(scaled)[0], plan=None, seed=20)]
    found = compare(mixed)
    assert found.pairs[0].looks == ()
    assert found.notes[-1].startswith("seeds of fixed, rex were added until all of their sweep was decided: ")
    assert not any("in one sweep" in note for note in found.notes)


def test_the_newest_plan_is_that_with_the_most_seeds():
    more = PLAN.model_copy(update={"most": 40})
    assert newest([PLAN, more, PLAN]) == more
    assert newest([PLAN, None]) is None
    for other in ({"planned": 19}, {"matters": 0.25}, {"question": "best"}, {"metric": "val_loss"}):
        assert newest([PLAN, PLAN.model_copy(update=other)]) is None
    assert newest([]) is None


@given(
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.none() | st.floats(1e-300, 1e300),
    st.sampled_from(["all", "best"]),
)
def test_a_plan_comes_back_from_its_tag(planned, more, matters, question):
    plan = Plan(planned=planned, most=planned + more, matters=matters, question=question, metric="test_loss")
    assert Plan.read(plan.write()) == plan


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", PLAN.write().replace("20", "0"), PLAN.write().replace("0.5", "-1"), "x" * 9]
)
def test_a_tag_that_holds_no_plan_is_told(text):
    with pytest.raises(ValueError, match="its tag decide is"):
        Plan.read(text)
    assert Plan.read(None) is None
