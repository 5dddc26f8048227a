from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ratelab.comparison import Group, Result, summarise

NAMES = st.sampled_from(["fixed", "exponential", "staircase"])
# multiples of 1/1024: sums and means of a few of them are exact
EXACT = st.integers(0, 1024).map(lambda n: n / 1024)


def finished(group, accuracy, *, rate=0.1, seconds=1.0, seed=0):
    return Result(group, seed, "id", "finished", accuracy, rate, seconds)


@st.composite
def results(draw):
    status = draw(st.sampled_from(["finished", "diverged", "failed"]))
    if status == "finished":
        return finished(draw(NAMES), draw(EXACT), rate=draw(EXACT), seconds=draw(EXACT))
    return Result(draw(NAMES), 0, status=status)


def test_nothing_gives_no_groups():
    assert summarise([]) == []


def test_accuracy_is_mean_lowest_and_highest():
    runs = [finished("fixed", accuracy) for accuracy in (0.5, 1.0, 0.75)]
    assert summarise(runs) == [Group("fixed", 3, 0, 0, (0.75, 0.5, 1.0), 0.1, 1.0)]


def test_groups_come_in_the_order_in_which_they_first_appear():
    runs = [finished(name, 0.5) for name in ("staircase", "fixed", "staircase", "exponential", "fixed")]
    assert [group.name for group in summarise(runs)] == ["staircase", "fixed", "exponential"]


def test_a_diverged_run_is_counted_and_has_no_part_in_the_means():
    runs = [finished("fixed", 0.5, seconds=3.0), Result("fixed", 1, "2", "diverged", seconds=100.0)]
    assert summarise(runs) == [Group("fixed", 2, 1, 0, (0.5, 0.5, 0.5), 0.1, 3.0)]


def test_a_failed_run_is_counted_apart_from_a_diverged_one():
    runs = [Result("fixed", 0, status="diverged"), Result("fixed", 1), Result("fixed", 2)]
    assert summarise(runs) == [Group("fixed", 3, 1, 2, None, None, 0.0)]


def test_a_run_that_failed_after_its_test_result_has_no_part_in_the_means():
    """It can: storing the model comes after the test result."""
    runs = [finished("fixed", 0.5), Result("fixed", 1, "2", "failed", 1.0, 0.1, 9.0)]
    assert summarise(runs) == [Group("fixed", 2, 0, 1, (0.5, 0.5, 0.5), 0.1, 1.0)]


def test_a_final_rate_is_given_only_where_all_finished_runs_agree():
    same, different = [finished("a", 0.5)] * 2, finished("a", 0.5, rate=0.2)
    assert summarise(same)[0].final_rate == 0.1
    assert summarise([*same, different])[0].final_rate is None
    assert summarise([*same, Result("a", 0, status="diverged", final_rate=0.3)])[0].final_rate == 0.1


def test_an_accuracy_and_a_rate_of_zero_are_results():
    [group] = summarise([finished("fixed", 0.0, rate=0.0)])
    assert group == Group("fixed", 1, 0, 0, (0.0, 0.0, 0.0), 0.0, 1.0)


@given(st.lists(results(), max_size=12))
def test_every_run_is_counted_once_in_its_group(runs):
    groups = summarise(runs)
    assert {group.name: group.runs for group in groups} == Counter(run.group for run in runs)
    assert sum(group.diverged for group in groups) == sum(run.status == "diverged" for run in runs)
    assert sum(group.failed for group in groups) == sum(run.status == "failed" for run in runs)


@given(st.lists(results(), max_size=12), st.randoms())
def test_the_order_of_the_runs_changes_only_the_order_of_the_groups(runs, random):
    shuffled = random.sample(runs, len(runs))
    assert sorted(summarise(shuffled), key=str) == sorted(summarise(runs), key=str)


@given(st.lists(results(), min_size=1, max_size=12))
def test_the_mean_lies_between_the_lowest_and_the_highest(runs):
    for group in summarise(runs):
        if group.accuracy is None:
            assert group.runs == group.diverged + group.failed
        else:
            mean, lowest, highest = group.accuracy
            assert lowest <= mean <= highest
