"""Groups, pairs and verdicts, on results that are easy to work out by hand."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.comparison import Measured, Result, compare, study, tune
from ratelab.comparison.outcomes import resolve_task
from ratelab.validation import UserError

SCHEDULES = st.sampled_from(["fixed", "exponential", "cosine"])
# multiples of 1/1024: sums and means of a few of them are exact
EXACT = st.integers(0, 1024).map(lambda n: n / 1024)


def run(
    schedule="fixed",
    seed=0,
    accuracy=0.5,
    *,
    status="finished",
    looks=(),
    choices=(),
    data="sha256:a",
    **settings,
):
    """A run; of a setting with a dot in its name, the dot is written as two underscores."""
    finished = status == "finished"
    return Result(
        seed=seed,
        choices={"schedule": schedule, "model": "softmax", **dict(choices)},
        settings={"seed": str(seed)} | {k.replace("__", "."): str(v) for k, v in settings.items()},
        data_digest=data,
        status=status,
        test={"accuracy": accuracy} if finished else {},
        validation=tuple(Measured(*look) for look in looks)
        or (Measured(99, accuracy, 2.0, 2400),) * finished,
        final_rate=0.1 if finished else None,
        diverged_step=7 if status == "diverged" else None,
    )


def runs(schedule, accuracies, **options):
    return [run(schedule, seed, accuracy, **options) for seed, accuracy in enumerate(accuracies)]


@st.composite
def sweeps(draw):
    """Runs of up to three schedules, each with its own seeds; some diverged, none twice."""
    places = draw(st.lists(st.tuples(SCHEDULES, st.integers(0, 7)), min_size=1, max_size=20, unique=True))
    return [
        run(schedule, seed, draw(EXACT), status=draw(st.sampled_from(["finished"] * 5 + ["diverged"])))
        for schedule, seed in places
    ]


def names(comparison):
    return [group.name for group in comparison.groups]


def test_a_group_in_numbers():
    [group] = compare(runs("fixed", [0.5, 1.0, 0.75, 0.25])).groups
    assert (group.mean, group.middle, group.worst) == (0.625, 0.625, (0.25, 3))
    assert group.deviation == pytest.approx((5 / 48) ** 0.5)
    assert (group.seeds, group.values) == ((0, 1, 2, 3), (0.5, 1.0, 0.75, 0.25))
    assert (group.diverged, group.final_rate, group.seconds) == (0, 0.1, 2.0)


def test_groups_come_in_the_order_in_which_they_first_appear():
    sweep = [run(s, i) for i, s in enumerate(["staircase", "fixed", "staircase", "exponential", "fixed"])]
    assert names(compare(sweep)) == ["staircase", "fixed", "exponential"]


def test_a_pair_by_hand():
    """Differences 1/4, 1/4, 0, 1/2, 1/4, 1/4, 1/4: of 2^7 choices of signs, all or none and the 0."""
    first = [0.75, 0.75, 0.5, 1.0, 0.75, 0.75, 0.75]
    [pair] = compare([*runs("fixed", [0.5] * 7), *runs("cosine", first)]).pairs
    assert (pair.first, pair.second, pair.seeds) == ("cosine", "fixed", tuple(range(7)))
    assert pair.differences == (0.25, 0.25, 0.0, 0.5, 0.25, 0.25, 0.25)
    assert (pair.mean, pair.p, pair.corrected, pair.improvement) == (0.25, 4 / 2**7, 4 / 2**7, 6.5 / 7)
    assert pair.effect == pytest.approx(0.25 / (1 / 48) ** 0.5)
    assert pair.verdict == "better"
    assert pair.sentence.startswith("cosine is better than fixed: accuracy +0.2500 (95 % interval +0.")
    assert pair.sentence.endswith("higher in 6 of 7 seeds, p = 0.031 after Holm.")


def test_that_seeds_of_a_group_were_added_is_noted():
    def note(*sweeps):
        pairs = zip(runs("fixed", [0.5] * 4), sweeps, strict=True)
        first = [dataclasses.replace(run, sweep_id=sweep, run_id=str(run.seed)) for run, sweep in pairs]
        other = [dataclasses.replace(run, sweep_id="other") for run in runs("cosine", [0.5] * 4)]
        return [one for one in compare([*first, *other]).notes if "not trained in one sweep" in one]

    assert note(*"aaaa") == []  # groups of two sweeps are no added seeds
    assert note(*"aabb")[0].startswith("seeds of fixed were not trained in one sweep: p-values and intervals")
    assert len(note("", "", "", "")) == 1  # each was a program of its own


@pytest.mark.parametrize(("looks", "number"), [(0, 0), (1, 0), (5, 0), (6, 1)])
def test_that_a_test_split_has_judged_many_sweeps_is_noted(looks, number):
    notes = study(runs("fixed", [0.5, 0.75]), looks_at_test=looks).notes
    assert [f"judged {looks} sweeps of the experiment" in note for note in notes].count(True) == number


def test_only_seeds_that_both_have_are_pairs():
    comparison = compare([*runs("fixed", [0.5, 0.5, 0.5]), run("cosine", 2, 1.0), run("cosine", 9, 0.0)])
    assert (comparison.pairs[0].seeds, comparison.pairs[0].differences) == ((2,), (0.5,))
    assert any("different seeds (fixed 3, cosine 2)" in note for note in comparison.notes)


def test_no_common_seed_is_no_comparison():
    [pair] = compare([run("fixed", 0), run("cosine", 1)]).pairs
    assert (pair.verdict, pair.p, pair.mean) == ("not compared", None, None)
    assert pair.sentence == "cosine and fixed: not compared, they have no seed in common."


def test_one_seed_gives_numbers_and_says_that_there_is_no_conclusion():
    comparison = compare([run("fixed", 3, 0.5), run("cosine", 3, 0.75)])
    assert [group.mean for group in comparison.groups] == [0.5, 0.75]
    assert comparison.groups[0].interval is None
    assert comparison.pairs[0].verdict == "no conclusion"
    assert comparison.pairs[0].sentence == (
        "cosine and fixed: no conclusion is possible from one seed (seed 3: +0.2500); "
        "more seeds are needed, at least 6."
    )


def test_too_few_seeds_say_how_many_are_needed():
    [pair] = compare([*runs("fixed", [0.5] * 5), *runs("cosine", [0.6, 0.7, 0.8, 0.9, 1.0])]).pairs
    assert (pair.verdict, pair.p) == ("no conclusion", 0.0625)
    assert "the smallest p-value that they can give is 0.062; at least 6 seeds are needed." in pair.sentence


def test_more_pairs_need_more_seeds():
    """Six seeds give 1/32 at best, times three pairs; the correction is for all of them."""
    sweep = [*runs("a", [0.1] * 6), *runs("b", [0.2] * 6), *runs("c", [0.3] * 6)]
    pairs = compare(sweep).pairs
    assert [pair.corrected for pair in pairs] == [3 / 32] * 3
    assert {pair.verdict for pair in pairs} == {"no conclusion"}
    assert all("times 3 pairs; at least 7 seeds are needed" in pair.sentence for pair in pairs)
    assert {pair.verdict for pair in compare(sweep, baseline="a").pairs} == {"no conclusion"}
    assert compare([*runs("a", [0.1] * 6), *runs("b", [0.2] * 6)]).pairs[0].verdict == "better"


def test_no_difference_shown_gives_the_largest_that_is_compatible():
    ours = [0.50, 0.51, 0.49, 0.50, 0.52, 0.48, 0.50, 0.50]
    [pair] = compare([*runs("fixed", [0.5] * 8), *runs("cosine", ours)]).pairs
    largest = max(abs(pair.interval.low), abs(pair.interval.high))
    assert pair.verdict == "no difference shown"
    assert f"differences up to {largest:.4f} are compatible with these 8 seeds." in pair.sentence


def test_equal_runs_are_called_equal():
    [pair] = compare([*runs("fixed", [0.5, 0.6] * 5), *runs("cosine", [0.5, 0.6] * 5)]).pairs
    assert pair.verdict == "no difference shown"
    assert pair.sentence == "no difference shown between cosine and fixed: equal in all 10 seeds."


def test_a_diverged_run_counts_as_zero_and_never_drops_out():
    sweep = [*runs("fixed", [0.5] * 8), *runs("cosine", [0.6] * 7), run("cosine", 7, status="diverged")]
    comparison = compare(sweep)
    cosine = comparison.groups[1]
    assert (cosine.diverged, cosine.mean, cosine.worst) == (1, pytest.approx(0.525), (0.0, 7))
    assert comparison.pairs[0].differences[7] == -0.5
    assert "diverged, and counted with accuracy 0: cosine: 1" in comparison.notes


def test_a_schedule_that_always_diverges_is_worse():
    sweep = [*runs("fixed", [0.9] * 8), *(run("wild", seed, status="diverged") for seed in range(8))]
    [pair] = compare(sweep).pairs
    assert (pair.verdict, pair.mean) == ("worse", -0.9)


def test_steps_seconds_and_examples_to_a_target():
    fast = [(9, 0.5, 1.0, 20), (19, 0.8, 2.0, 60), (29, 0.9, 3.0, 140)]
    slow = [(9, 0.1, 1.0, 20), (19, 0.2, 2.0, 60), (29, 0.8, 3.5, 140)]
    never = [(9, 0.1, 1.0, 20), (19, 0.2, 2.0, 60), (29, 0.3, 3.0, 140)]
    sweep = [run(seed=seed, looks=looks) for seed, looks in enumerate([fast, slow, never])]
    [group] = compare(sweep, target=0.8).groups
    assert (group.reached, group.steps_to_target, group.seconds_to_target) == (2, 30, 3.5)
    assert group.examples_to_target == 140
    [group] = compare(sweep, target=0.85).groups
    assert (group.reached, group.steps_to_target, group.seconds_to_target) == (1, None, None)
    assert group.examples_to_target is None


def test_the_target_is_what_the_lowest_group_reaches_at_its_end():
    sweep = [
        run("a", looks=[(9, 0.95, 1.0, 10), (19, 0.9876, 2.0, 20)]),
        run("b", looks=[(9, 0.9, 1.0, 10), (19, 0.9129, 2.0, 20)]),
    ]
    assert compare(sweep).target == 0.912


def test_each_pair_of_six_groups_and_of_seven_each_with_the_first():
    six = [run(name, seed) for name in "abcdef" for seed in (0, 1)]
    assert len(compare(six).pairs) == 15
    seven = compare([*six, *runs("g", [0.5, 0.5])])
    assert [(pair.first, pair.second) for pair in seven.pairs] == [(name, "a") for name in "bcdefg"]
    assert "7 groups: each is compared with a, another one with --baseline" in seven.notes


def test_of_many_groups_fixed_is_the_baseline_wherever_it_stands():
    many = compare([run(name, seed) for name in [*"abcdef", "fixed", "g"] for seed in (0, 1)])
    assert [(pair.first, pair.second) for pair in many.pairs] == [(name, "fixed") for name in "abcdefg"]


def test_many_pairs_are_counted_and_those_without_a_conclusion_share_a_sentence():
    sweep = runs("fixed", [0.5] * 10)
    for number, name in enumerate("abcdef"):
        sweep += runs(name, [0.5 + 0.001 * (number + seed % 3) for seed in range(10 if name in "ab" else 3)])
    found = compare(sweep)
    sentences = [one.sentence for one in found.conclusions]
    assert len(found.pairs) == 6
    assert sentences == [pair.sentence for pair in found.pairs]  # six are not many
    found = compare([*sweep, *runs("g", [0.9] * 3), *runs("h", [0.9])])
    sentences = [one.sentence for one in found.conclusions]
    own = {pair.first: pair.sentence for pair in found.pairs}
    assert (
        sentences[0]
        == "8 groups against fixed: 1 better, 1 with no difference shown, 6 without a conclusion."
    )
    assert sentences[1:3] == [own["a"], own["b"]]
    assert sentences[3] == (
        "no conclusion is possible from 3 seeds, in 5 pairs: the smallest p-value that they can give is "
        "0.25, times 7 pairs; at least 9 seeds are needed."
    )
    assert sentences[4:] == [own["h"]]


def test_a_setting_that_is_the_seed_makes_no_groups():
    sweep = [run(name, seed) for name in ("fixed", "cosine") for seed in range(3)]
    sweep += [run("noisy", seed, schedule__seed=seed) for seed in range(3)]
    assert names(compare(sweep)) == ["fixed", "cosine", "noisy"]
    sweep[-1] = run("noisy", 2, schedule__seed=7)  # so it is a setting of its own
    assert names(compare(sweep))[2:] == [f"noisy schedule.seed={seed}" for seed in (0, 1, 7)]


def test_a_baseline_is_compared_with_every_other():
    sweep = [run(name, seed) for name in "abc" for seed in (0, 1)]
    pairs = compare(sweep, baseline="b").pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("c", "b")]
    with pytest.raises(UserError, match="--baseline: there is no 'd'"):
        compare(sweep, baseline="d")


@given(sweeps(), st.randoms())
def test_the_order_of_the_runs_changes_only_the_order_of_the_groups(sweep, random):
    one, other = compare(sweep), compare(random.sample(sweep, len(sweep)))
    assert sorted(one.groups, key=str) == sorted(other.groups, key=str)


@given(sweeps())
def test_swapping_two_groups_turns_the_signs(sweep):
    for pair in compare(sweep, baseline=compare(sweep).groups[0].name).pairs:
        [turned] = [p for p in compare(sweep, baseline=pair.first).pairs if p.first == pair.second]
        assert turned.differences == tuple(-d for d in pair.differences)
        assert turned.p == pair.p
        if pair.mean is not None:
            assert turned.mean == -pair.mean
            assert turned.improvement == pytest.approx(1 - pair.improvement)
        if pair.interval is not None:
            ends = (-pair.interval.high, -pair.interval.low)
            assert (turned.interval.low, turned.interval.high) == pytest.approx(ends, abs=1e-12)


@given(sweeps())
def test_every_run_is_counted_once(sweep):
    comparison = compare(sweep)
    assert sum(len(group.seeds) for group in comparison.groups) == len(sweep)
    assert sum(group.diverged for group in comparison.groups) == sum(r.status == "diverged" for r in sweep)


def test_runs_that_did_not_end_are_named_and_not_counted():
    sweep = [
        *runs("fixed", [0.5, 0.5]),
        run("cosine", 0, status="killed"),
        run("cosine", 1, status="running"),
        *(run("cosine", seed, status="failed") for seed in range(2, 9)),
    ]
    found = study(sweep)
    assert names(found.comparisons[0]) == ["fixed"]
    assert found.notes == (
        f"failed, not counted: {', '.join(f'cosine seed={seed}' for seed in range(2, 7))} and 2 more",
        "killed, not counted: cosine seed=0",
        "running, not counted: cosine seed=1",
    )


def test_nothing_that_ended_is_nothing_to_compare():
    assert study([run(status="running")]).comparisons == ()


def test_groups_are_named_after_what_varies():
    sweep = [run(s, learning_rate=rate) for s in ("fixed", "cosine") for rate in (0.1, 1.0)]
    assert names(compare(sweep)) == [
        "fixed learning_rate=0.1",
        "fixed learning_rate=1.0",
        "cosine learning_rate=0.1",
        "cosine learning_rate=1.0",
    ]


def test_what_an_option_brings_along_is_not_in_the_name():
    sweep = [
        run("fixed", schedule___target_="f"),
        run("exponential", schedule___target_="e", schedule__decay_rate=0.9),
        run("staircase", schedule___target_="e", schedule__decay_rate=0.5),
    ]
    assert names(compare(sweep)) == ["fixed", "exponential", "staircase"]


def test_a_setting_of_an_option_is_in_the_name_where_it_varies():
    sweep = [run("fixed"), *(run("exponential", schedule__decay_rate=r) for r in (0.9, 0.5))]
    assert names(compare(sweep)) == [
        "fixed",
        "exponential schedule.decay_rate=0.9",
        "exponential schedule.decay_rate=0.5",
    ]


def test_the_same_schedule_under_two_names_is_two_groups():
    assert names(compare([run("a", schedule__x=1), run("b", schedule__x=1)])) == ["a", "b"]


@pytest.mark.parametrize("key", ["tracking__uri", "data__dir", "print_schedule", "test"])
def test_what_has_no_influence_makes_no_groups(key):
    assert names(compare([run(seed=0, **{key: "x"}), run(seed=1, **{key: "y"})])) == ["fixed"]


def test_other_data_or_another_model_is_not_compared_and_says_why():
    sweep = [*runs("fixed", [0.5] * 8), *runs("cosine", [0.9] * 8, data="sha256:b")]
    [pair] = compare(sweep).pairs
    assert (pair.verdict, pair.mean) == ("not compared", None)
    assert "they differ in data digest" in pair.sentence
    sweep = [
        run("fixed", choices={"model": name}.items(), model__units=u) for name, u in (("mlp", 1), ("cnn", 2))
    ]
    [pair] = compare(sweep).pairs
    assert pair.verdict == "not compared"
    assert "they differ in model, model.units" in pair.sentence


def test_pairs_that_are_not_compared_do_not_count_for_holm():
    sweep = [*runs("a", [0.1] * 6), *runs("b", [0.2] * 6), *runs("c", [0.3] * 6, data="sha256:b")]
    assert [pair.corrected for pair in compare(sweep).pairs] == [1 / 32, None, None]


def test_by_averages_the_rest_within_a_seed():
    sweep = [
        run(schedule, seed, accuracy, learning_rate=rate)
        for schedule, best in (("fixed", 0.5), ("cosine", 0.75))
        for seed in (0, 1)
        for rate, accuracy in ((0.1, best), (1.0, best - 0.25))
    ]
    comparison = compare(sweep, by=["schedule"])
    assert [(group.name, group.values) for group in comparison.groups] == [
        ("fixed", (0.375, 0.375)),
        ("cosine", (0.625, 0.625)),
    ]
    assert comparison.notes[0] == "averaged over learning_rate within each seed"


SINCE = {  # what runs say since there are tasks
    "data___target_": "ratelab.data.digits",
    "task___target_": "ratelab.tasks.auto",
    "optimizer__clip_norm": None,
    "optimizer__decay_on": "all",
}


def test_runs_from_before_there_were_tasks_are_those_of_today():
    before = [
        *runs("fixed", [0.5, 0.25], choices={"data": "digits"}, data__name="digits"),
        *runs("cosine", [0.75, 0.5], choices={"data": "digits"}, data__name="digits"),
    ]
    chosen = {"data": "digits", "task": "auto"}
    today = [
        *runs("fixed", [0.5, 0.75], choices=chosen, **SINCE),
        *runs("cosine", [0.75, 1.0], choices=chosen, schedule__floor=0.0, **SINCE),
    ]
    comparison = compare([*before, *today])
    assert [(group.name, group.values) for group in comparison.groups] == [
        ("fixed", (0.5, 0.75)),
        ("cosine", (0.75, 1.0)),
    ]
    assert "fixed: 2 of its runs repeat others; the newest of each counts" in comparison.notes
    tested = compare([*before, *runs("cosine", [1.0, 1.0], choices=chosen, schedule__floor=0.5, **SINCE)])
    assert names(tested) == ["fixed", "cosine schedule.floor=0.0", "cosine schedule.floor=0.5"]


def judged_by_accuracy(schedule, values, task, **settings):
    """Runs on classes, with the choices as a record of them has them."""
    return runs(schedule, values, choices=resolve_task({"task": task}, "accuracy"), **settings)


def test_the_task_that_the_data_chose_and_the_same_by_name_are_one_group():
    named = {"task___target_": "ratelab.tasks.classification", "task__class_weights": None}
    chosen = judged_by_accuracy("fixed", [0.5, 0.25], "auto", task___target_="ratelab.tasks.auto")
    again = judged_by_accuracy("fixed", [0.75, 0.5], "classification", task__label_smoothing=0.0, **named)
    [group] = compare([*chosen, *again]).groups
    assert (group.name, group.values) == ("fixed", (0.75, 0.5))
    smooth = judged_by_accuracy("fixed", [0.5, 0.5], "classification", task__label_smoothing=0.1, **named)
    assert names(compare([*chosen, *smooth])) == [
        "fixed task.label_smoothing=0.0",
        "fixed task.label_smoothing=0.1",
    ]
    mine = judged_by_accuracy("fixed", [0.5, 0.5], "mine", task___target_="mine.task")
    assert names(compare([*chosen, *again, *mine])) == [
        "fixed task=classification",
        "fixed task=mine",
    ]


def test_another_way_to_the_same_data_is_no_difference():
    """The digest says what they are; a file may be moved, and arrays may be those of a table."""
    table = {"data": "table"}
    sweep = [
        run(seed=0, choices=table, data__file="/here/a.csv", data__separator=","),
        run(seed=1, choices=table, data__file="/there/b.csv", data__separator=";"),
        run(seed=2, choices={"data": "arrays"}, data__file="/here/a.npz"),
    ]
    [group] = compare(sweep).groups
    assert (group.name, group.seeds) == ("fixed", (0, 1, 2))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"file": "/a/x.csv"}, {"file": "/a/y.csv"}, ["data.file=x.csv", "data.file=y.csv"]),
        ({"file": "/a/x.csv"}, {"file": "/b/x.csv"}, ["data digest=sha256:a", "data digest=sha256:b"]),
        ({"context": 8}, {"context": 16}, ["data.context=8", "data.context=16"]),
    ],
)
def test_other_data_are_named_by_what_tells_them_apart_in_words(first, second, expected):
    sweep = [
        run(choices={"data": "own"}, data=digest, **{f"data__{key}": value for key, value in given.items()})
        for given, digest in ((first, "sha256:a"), (second, "sha256:b"))
    ]
    assert names(compare(sweep)) == [f"fixed {words}" for words in expected]


def test_by_refuses_to_average_over_models_or_data():
    sweep = [run(seed=0, data="sha256:a"), run(seed=1, data="sha256:b")]
    with pytest.raises(
        UserError, match=r"fixed: its runs differ in data digest, .* give --by 'schedule,data digest'"
    ):
        compare(sweep, by=["schedule"])


def test_by_refuses_a_seed_that_lacks_a_run():
    sweep = [run(seed=s, learning_rate=r) for s, r in ((0, 0.1), (0, 1.0), (1, 0.1))]
    with pytest.raises(UserError, match=r"fixed: seed 1 has no run with learning_rate=1\.0"):
        compare(sweep, by=["schedule"])


def test_by_refuses_a_key_that_no_run_has():
    with pytest.raises(UserError, match="--by: there is no 'learningrate'; did you mean 'learning_rate'"):
        compare([run(learning_rate=1)], by=["learningrate"])


def test_a_repeated_run_counts_once():
    comparison = compare([run(seed=0, accuracy=0.25), run(seed=0, accuracy=0.5), run(seed=1, accuracy=0.5)])
    assert comparison.groups[0].values == (0.5, 0.5)
    assert "fixed: 1 of its runs repeat others; the newest of each counts" in comparison.notes


def test_runs_of_different_lengths_are_told():
    sweep = [run("a", looks=[(9, 0.5, 1.0, 10)]), run("b", looks=[(1999, 0.5, 1.0, 2000)])]
    assert "runs are of different lengths: 10, 2,000 steps" in compare(sweep).notes


def tuning(schedule, rate, accuracies):
    return [
        run(schedule, 1000 + seed, a, test=False, learning_rate=rate) for seed, a in enumerate(accuracies)
    ]


def test_the_best_rate_has_the_highest_mean_and_of_equals_is_the_lowest():
    [one] = tune(
        [
            *tuning("fixed", 1.0, [0.75, 0.5]),
            *tuning("fixed", 0.1, [0.5, 0.75]),
            *tuning("fixed", 10.0, [0.5, 0.5]),
        ]
    )
    assert (one.rates, one.means, one.best, one.at_edge) == (
        (0.1, 1.0, 10.0),
        (0.625, 0.625, 0.5),
        0.1,
        "lowest",
    )
    assert one.runs == 6


def test_a_diverged_tuning_run_counts_as_zero():
    [one] = tune(
        [
            *tuning("fixed", 0.1, [0.5, 0.5]),
            *tuning("fixed", 1.0, [0.9]),
            run(seed=1001, status="diverged", test=False, learning_rate=1.0),
        ]
    )
    assert (one.means, one.best, one.diverged) == ((0.5, 0.45), 0.1, (0, 1))


def tuned_sweep():
    tried = {"fixed": {0.1: 0.5, 1.0: 0.7, 10.0: 0.6}, "cosine": {0.1: 0.5, 1.0: 0.6, 10.0: 0.9}}
    judged = {("fixed", 0.1): 0.5, ("cosine", 0.1): 0.4, ("fixed", 1.0): 0.7, ("cosine", 10.0): 0.9}
    grid = [
        one
        for name, rates in tried.items()
        for rate, a in rates.items()
        for one in tuning(name, rate, [a] * 2)
    ]
    final = [
        one
        for (name, rate), accuracy in judged.items()
        for one in runs(name, [accuracy] * 8, learning_rate=rate, test=True)
    ]
    return [*grid, *final]


def test_a_tuned_sweep_is_compared_at_the_same_rate_and_each_at_its_best():
    found = study(tuned_sweep())
    assert [(one.name, one.best) for one in found.tuned] == [("fixed", 1.0), ("cosine", 10.0)]
    same, best = found.comparisons
    assert (same.title, names(same)) == ("Test accuracy, the same base rate 0.1", ["fixed", "cosine"])
    assert best.title == "Test accuracy, each at its best base rate"
    assert names(best) == ["fixed learning_rate=1.0", "cosine learning_rate=10.0"]
    assert [pair.verdict for pair in (*same.pairs, *best.pairs)] == ["worse", "better"]
    assert found.notes == ("cosine: its best base rate, 10, is the highest tried; a better one may exist",)


def test_a_baseline_of_a_tuned_sweep_is_named_without_its_rate():
    best = study(tuned_sweep(), baseline="cosine").comparisons[1]
    assert [(p.first, p.second) for p in best.pairs] == [
        ("fixed learning_rate=1.0", "cosine learning_rate=10.0")
    ]


def test_tuning_that_has_no_final_runs_yet_is_shown():
    found = study([one for one in tuned_sweep() if one.is_tuning])
    assert (len(found.tuned), found.comparisons) == (2, ())


def test_runs_of_two_commits_and_with_local_changes_are_told():
    sweep = [
        dataclasses.replace(one, origin={"mlflow.source.git.commit": commit, "git_dirty": dirty})
        for one, commit, dirty in zip(
            runs("fixed", [0.5, 0.5]), ("a" * 40, "b" * 40), ("false", "true"), strict=True
        )
    ]
    assert study(sweep).notes == (
        f"the runs come from 2 commits: {'a' * 12}, {'b' * 12}",
        "some runs were made with local changes that are in no commit (git.diff in their artifacts)",
    )


def test_a_result_as_a_number_is_what_a_search_may_choose_by():
    """Never the accuracy on the test split; and a run that diverged is worse than any other."""
    seen = run(accuracy=0.9, looks=[(9, 0.25, 1.0, 240), (19, 0.75, 2.0, 480)])
    assert float(seen) == 0.75
    assert float(run(status="diverged", looks=[(9, 0.25, 1.0, 240)])) == 0.0
    assert float(run(status="diverged")) == 0.0
