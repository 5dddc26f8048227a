"""Steps, examples and seconds to a target, held against values that are worked out by hand."""

import dataclasses
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ratelab.comparison import Measured, Result, compare, study
from ratelab.comparison.outcomes import COUNTS, TIMES
from ratelab.comparison.plans import Plan
from ratelab.comparison.requirements import check_requirement
from ratelab.report import as_json, print_study
from ratelab.tasks import ACCURACY, Outcome
from ratelab.validation import UserError

RMSE = Outcome("rmse", higher_is_better=False)
SCORE = Outcome("score", higher_is_better=True)
STEPS, EXAMPLES, SECONDS = TIMES
LOOKED = "validation is looked at once an epoch: the time of a run is that of whole epochs"


def run(schedule="fixed", seed=0, looks=(), *, status="finished", outcome=ACCURACY, pace=1.0, **settings):
    """A run with a look every ten steps of twenty examples each; an epoch takes `pace` seconds."""
    return Result(
        seed=seed,
        choices={"schedule": schedule, "model": "softmax"},
        settings={"seed": str(seed), **settings},
        data_digest=settings.get("digest", "sha256:a"),
        status=status,
        outcome=outcome,
        test={outcome.metric: looks[-1]} if status == "finished" else {},
        validation=tuple(
            Measured(10 * n + 9, look, (n + 1) * pace, 200 * (n + 1)) for n, look in enumerate(looks)
        ),
        diverged_step=10 * len(looks) + 3 if status == "diverged" else None,
    )


def reaching(schedule, epochs, length=10, **options):
    """A run for each seed, which shows 0.9 after so many epochs; None: never."""
    return [
        run(
            schedule,
            seed,
            [0.9 if first is not None and n + 1 >= first else 0.1 for n in range(length)],
            **options,
        )
        for seed, first in enumerate(epochs)
    ]


def printed(made):
    file = io.StringIO()
    print_study(Console(file=file, width=80), made)
    return file.getvalue().splitlines()


def test_steps_examples_and_seconds_by_hand():
    sweep = [*reaching("fixed", [3, 4, 5]), *reaching("cosine", [2, 2, None])]
    expected = {
        STEPS: ((30, 40, 50), (20, 20, 100), (-10, -20, 50)),
        EXAMPLES: ((600, 800, 1000), (400, 400, 2000), (-200, -400, 1000)),
        SECONDS: ((3, 4, 5), (2, 2, 10), (-1, -2, 5)),
    }
    for time, (fixed, cosine, differences) in expected.items():
        found = compare(sweep, time=time, target=0.9)
        assert [one.values for one in found.groups] == [fixed, cosine]
        [pair] = found.pairs
        assert pair.differences == differences
        assert (found.metric, found.target, found.split) == (time, 0.9, "validation")
        assert not found.outcome.higher_is_better
        assert found.title == f"{time.split('_')[0].capitalize()} to a target in validation accuracy"
    late = "1 of 6 runs did not reach 0.9 within 100 steps, the common end, and count with it: means are"
    notes = compare(sweep, time=STEPS, target=0.9).notes
    assert (notes[0], notes[1]) == (f"{late} restricted to it", LOOKED)


def test_the_sooner_is_the_better():
    """Eight differences of one sign: of 2^8 choices of signs, all and none are as large."""
    [pair] = compare(
        [*reaching("fixed", [5] * 8), *reaching("cosine", [3] * 4 + [4] * 4)], time=STEPS, target=0.9
    ).pairs
    assert (pair.mean, pair.p, pair.verdict) == (-15, 2 / 2**8, "better")
    assert pair.sentence.startswith("cosine is better than fixed: steps_to_target -15 (95 % interval -")
    assert ", lower in 8 of 8 seeds, p = 0.0078 after Holm." in pair.sentence


def test_a_run_that_diverged_counts_with_the_end_unless_it_had_reached_the_target():
    sweep = [
        *reaching("fixed", [3, 4]),
        run("wild", 0, [0.1, 0.1], status="diverged"),
        run("wild", 1, [0.1, 0.9], status="diverged"),
        run("wild", 2, [], status="diverged"),
    ]
    found = compare(sweep, time=STEPS, target=0.9)
    assert found.groups[1].values == (100, 20, 100)
    assert (found.groups[1].reached, found.groups[1].diverged) == (1, 3)
    assert not any("counted with accuracy" in note for note in found.notes)
    assert any(note.startswith("2 of 5 runs did not reach") for note in found.notes)


def test_means_are_cut_where_the_shortest_run_without_the_target_ends():
    short = reaching("short", [3, None], length=5)
    sweep = [*reaching("long", [2, 8]), *short]
    assert [one.values for one in compare(sweep, time=STEPS, target=0.9).groups] == [(20, 50), (30, 50)]
    # who reached it is known to the end, however short the run was
    sweep = [*reaching("long", [2, 8]), *reaching("short", [3, 5], length=5)]
    assert [one.values for one in compare(sweep, time=STEPS, target=0.9).groups] == [(20, 80), (30, 50)]
    found = compare(
        [*reaching("slow", [3, 4], pace=2.0), *reaching("fast", [9, None])], time=SECONDS, target=0.9
    )
    assert [one.values for one in found.groups] == [(6, 8), (9, 10)]


@st.composite
def sweeps(draw, never=True):
    """Two schedules over the same seeds; the epoch in which each run reaches 0.9."""
    epoch = st.none() | st.integers(1, 10) if never else st.integers(1, 10)
    count = draw(st.integers(2, 7))
    lists = st.lists(epoch, min_size=count, max_size=count)
    return [*reaching("fixed", draw(lists)), *reaching("cosine", draw(lists))]


@given(sweeps(), st.sampled_from(TIMES))
def test_no_value_is_above_the_end_and_a_harder_target_takes_no_less(sweep, time):
    found = [compare(sweep, time=time, target=target) for target in (0.1, 0.5, 0.9, 0.95)]
    end = {STEPS: 100, EXAMPLES: 2000, SECONDS: 10}[time]
    for easier, harder in itertools.pairwise(found):
        for ours, theirs in zip(easier.groups, harder.groups, strict=True):
            assert all(one <= other <= end for one, other in zip(ours.values, theirs.values, strict=True))
    assert {value for one in found[0].groups for value in one.values} == {end / 10}
    assert {value for one in found[-1].groups for value in one.values} == {end}


@given(sweeps(never=False), st.sampled_from(COUNTS))
def test_where_all_reach_it_the_numbers_are_those_of_any_metric_with_these_values(sweep, time):
    """The oracle: the same runs, judged by a metric whose final value is the step of the first look."""
    own = Outcome("own", higher_is_better=False)
    size = {STEPS: 10, EXAMPLES: 200}[time]
    plain = [
        dataclasses.replace(
            one, outcome=own, test={"own": size * (1.0 + [look.value for look in one.validation].index(0.9))}
        )
        for one in sweep
    ]
    ours, theirs = compare(sweep, time=time, target=0.9), compare(plain)
    for one, other in zip(ours.groups, theirs.groups, strict=True):
        assert (one.values, one.mean, one.interval) == (other.values, other.mean, other.interval)
    for one, other in zip(ours.pairs, theirs.pairs, strict=True):
        assert (one.differences, one.interval, one.p, one.verdict, one.improvement) == (
            other.differences,
            other.interval,
            other.p,
            other.verdict,
            other.improvement,
        )


@pytest.mark.parametrize("schedules", [2, 3, 8])
def test_a_target_that_nobody_reaches_is_said_once(schedules):
    sweep = [one for n in range(schedules) for one in reaching(f"s{n}", [3] * 7)]
    made = study(sweep, time=STEPS, target=0.99)
    [found] = made.comparisons
    sentence = "no run reached 0.99 on the validation split within 100 steps: there is nothing to compare."
    assert [one.sentence for one in found.conclusions] == [sentence]
    assert {(pair.verdict, pair.p, pair.mean) for pair in found.pairs} == {("not compared", None, None)}
    assert check_requirement(made, "s1 > s0") == ("not shown", sentence)
    assert " ".join(printed(made)).count("nothing to compare") == 1


def test_a_pair_of_which_nobody_reaches_it_is_not_compared_and_costs_the_others_nothing():
    sweep = [*reaching("a", [3] * 7), *reaching("b", [None] * 7), *reaching("c", [None] * 7)]
    first, second, third = compare(sweep, time=STEPS, target=0.9).pairs
    assert [pair.verdict for pair in (first, second, third)] == ["worse", "worse", "not compared"]
    assert third.sentence == (
        "c and b: not compared, no run reached 0.9 on the validation split within 100 steps."
    )
    assert first.corrected == second.corrected == 2 * 2 / 2**7


@pytest.mark.parametrize(
    ("outcome", "ends", "wanted", "target"),
    [
        (ACCURACY, (0.8, 0.9), "5%", 0.855),
        (ACCURACY, (0.8, 0.9), "10 %", 0.81),
        (ACCURACY, (0.8, 0.9), "0%", 0.9),
        (ACCURACY, (0.8, 0.9), "0.85", 0.85),
        (ACCURACY, (0.8, 0.9), None, 0.8),
        (RMSE, (50.0, 40.0), "5%", 42.0),
        (RMSE, (50.0, 40.0), None, 50.0),
        (RMSE, (-50.0, -40.0), "10%", -45.0),
        (SCORE, (-50.0, -40.0), "10%", -44.0),
        (SCORE, (50.0, 40.0), "1%", 49.5),
    ],
)
def test_a_target_is_a_value_or_the_best_mean_made_worse(outcome, ends, wanted, target):
    sweep = [run(name, 0, [end], outcome=outcome) for name, end in zip("ab", ends, strict=True)]
    assert compare(sweep, target=wanted).target == target
    found = compare(sweep, time=STEPS, target=wanted)
    assert found.target == target
    if wanted is None:
        assert found.notes[0] == f"target {target:g}: what the worst group ends with"
    elif wanted.endswith("%"):
        share = float(wanted.strip("% "))
        assert (
            found.notes[0] == f"target {target:g}: what the best group ends with, made worse by {share:g} %"
        )
    else:
        assert not any(note.startswith("target") for note in found.notes)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("100%", "--target must be from 0% to below 100%, got '100%'."),
        ("-1%", "--target must be from 0% to below 100%, got '-1%'."),
        ("nan%", "--target must be from 0% to below 100%, got 'nan%'."),
        ("%", "--target must be a value, as 0.9, or a share, as 5%, got ''."),
        ("much", "--target must be a value, as 0.9, or a share, as 5%, got 'much'."),
        ("1.5", "--target must be an accuracy, above 0 and at most 1, got 1.5."),
        (1.5, "--target must be an accuracy, above 0 and at most 1, got 1.5."),
    ],
)
def test_what_is_no_target_is_one_message(wanted, message):
    for time in (None, STEPS):
        with pytest.raises(UserError) as error:
            compare(reaching("fixed", [1]), time=time, target=wanted)
        assert str(error.value) == message


def test_each_data_set_has_a_target_and_an_end_of_its_own():
    easy = [run(name, 0, [0.5, end]) for name, end in (("a", 0.8), ("b", 0.9))]
    hard = [run(name, 0, [0.1, 0.3, end], digest="sha256:b") for name, end in (("a", 0.3), ("b", 0.4))]
    made = study([*easy, *hard], time=STEPS, target="10%")
    [found] = made.comparisons
    assert found.target is None
    assert [one.target for one in found.groups] == [0.81, 0.81, 0.36, 0.36]
    assert [one.values for one in found.groups] == [(20,), (20,), (30,), (30,)]
    assert found.notes[0].startswith(
        "target 0.81 and 0.36: what the best group on the same data and model ends"
    )
    assert "Until its target is reached" in "\n".join(printed(made))
    assert '"target": 0.36' in as_json(made)


def test_without_any_mean_a_target_must_be_given():
    sweep = [run(name, seed, [0.1, 0.5], status=status) for name in "ab"
             for seed, status in enumerate(["finished", "diverged"])]  # fmt: skip
    [found] = study(sweep, time=STEPS).comparisons
    [conclusion] = found.conclusions
    assert conclusion.sentence == (
        "no mean gives a target, for a run of every group diverged or gave no number (give --target): there "
        "is nothing to compare."
    )
    assert compare(sweep, time=STEPS, target=0.5).groups[0].values == (20, 20)


def test_base_rates_are_chosen_by_the_metric_and_judged_by_the_time():
    tuning = [
        run("fixed", 9, [0.5, end], learning_rate=rate, test="False")
        for rate, end in (("0.1", 0.8), ("1.0", 0.9))
    ]
    final = [
        dataclasses.replace(one, settings={**one.settings, "learning_rate": rate})
        for rate, epoch in (("0.1", 2), ("1.0", 5))
        for one in reaching("fixed", [epoch] * 2)
    ]
    made = study([*tuning, *final], time=STEPS, target=0.9)
    assert [one.best for one in made.tuned] == [1.0]
    assert (
        made.comparisons[-1].title
        == "Steps to a target in validation accuracy, each at its best base rate, 1 for all"
    )
    assert made.comparisons[-1].groups[0].values == (50, 50)


@pytest.mark.parametrize("time", TIMES)
def test_times_are_whole_at_80_columns(time):
    made = study(
        [*reaching("exponential", [3, 4, 5] * 3), *reaching("staircase", [4, 5, None] * 3)], time=time
    )
    lines = printed(made)
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    mean = {STEPS: "40", EXAMPLES: "800", SECONDS: "4.000"}[time]
    assert any(row[:3] == ["exponential", "9", mean] for row in rows)


def test_what_matters_of_the_metric_makes_no_times_practically_equal():
    plan = Plan(planned=8, most=8, matters=0.9, question="all")
    sweep = [
        dataclasses.replace(one, plan=plan)
        for one in [*reaching("fixed", [3, 4] * 4, pace=0.01), *reaching("cosine", [4, 3] * 4, pace=0.01)]
    ]
    assert [pair.verdict for pair in compare(sweep).pairs] == ["practically equal"]
    assert [pair.verdict for pair in compare(sweep, time=SECONDS, target=0.9).pairs] == ["open"]


def test_a_plan_that_decides_by_steps_is_what_judges_where_nothing_else_is_asked_for():
    plan = Plan(planned=8, most=8, matters=5, question="all", metric=STEPS, target=0.9)
    sweep = [
        dataclasses.replace(one, plan=plan)
        for one in [
            *reaching("fixed", [3, 4] * 4),
            *reaching("cosine", [5, 6] * 4),
            *reaching("rex", [3, 4] * 4),
        ]
    ]
    [found] = study(sweep).comparisons
    assert (found.metric, found.target) == (STEPS, 0.9)
    assert found.title == "Steps to a target in validation accuracy"
    assert [pair.verdict for pair in found.pairs] == ["worse", "practically equal", "better"]
    assert found.pairs[0].looks == (6, 8)
    for other in (compare(sweep, time=EXAMPLES, target=0.9), compare(sweep, time=SECONDS, target=0.9)):
        assert [pair.verdict for pair in other.pairs] == ["worse", "open", "better"]
    assert compare(sweep, target=0.5).groups[0].values == (30, 40) * 4
