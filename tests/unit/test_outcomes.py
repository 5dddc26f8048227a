"""What is the better the less: every verdict, choice and word follows the metric that judges."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.comparison import Digits, Measured, Result, compare, digits_of, study, tune, write_value
from ratelab.comparison.outcomes import Outcomes, choose_metric
from ratelab.tasks import ACCURACY, LOSS, Outcome
from ratelab.validation import UserError

SCORE = Outcome("score", higher_is_better=True)
RMSE = Outcome("rmse", higher_is_better=False)
# multiples of 1/1024: sums and means of a few of them are exact
EXACT = st.integers(-2048, 2048).map(lambda n: n / 1024)


def run(schedule="fixed", seed=0, value=0.5, outcome=RMSE, *, looks=(), data="sha256:a", **settings):
    """A run that finished with this value, or diverged if that is None."""
    return Result(
        seed=seed,
        choices={"schedule": schedule, "model": "softmax"},
        settings={"seed": str(seed), **{key: str(own) for key, own in settings.items()}},
        data_digest=data,
        status="diverged" if value is None else "finished",
        outcome=outcome,
        test={} if value is None else {outcome.metric: value},
        validation=tuple(Measured(9 + 10 * n, look, n + 1.0, 240) for n, look in enumerate(looks))
        or (() if value is None else (Measured(99, value, 2.0, 2400),)),
        diverged_step=7 if value is None else None,
    )


def runs(schedule, values, **options):
    return [run(schedule, seed, value, **options) for seed, value in enumerate(values)]


def mirror(result):
    """The same run, judged by minus its metric, of which less is better."""
    outcome = result.outcome
    worst = None if outcome.worst is None else -outcome.worst
    return dataclasses.replace(
        result,
        outcome=Outcome(outcome.metric, not outcome.higher_is_better, worst),
        test={name: -value for name, value in result.test.items()},
        validation=tuple(look._replace(value=-look.value) for look in result.validation),
    )


@st.composite
def sweeps(draw, **settings):
    """Runs of up to three schedules, each with its own seeds; some diverged, none twice."""
    worst = draw(st.none() | EXACT)
    outcome = dataclasses.replace(SCORE, worst=worst)
    schedules = st.sampled_from(["fixed", "exponential", "cosine"])
    places = draw(st.lists(st.tuples(schedules, st.integers(0, 7)), min_size=1, max_size=20, unique=True))
    values = EXACT if draw(st.booleans()) else st.none() | EXACT
    return [run(schedule, seed, draw(values), outcome, **settings) for schedule, seed in places]


def can_be_compared(sweep):
    return sweep[0].outcome.worst is not None or any(one.value is not None for one in sweep)


@given(sweeps().filter(can_be_compared))
def test_mirrored_values_with_the_other_direction_give_mirrored_intervals_and_the_same_verdicts(sweep):
    one, other = compare(sweep), compare([mirror(result) for result in sweep])
    for ours, theirs in zip(one.groups, other.groups, strict=True):
        assert theirs.values == tuple(-value for value in ours.values)
        assert (theirs.mean, theirs.worst) == (-ours.mean, (-ours.worst[0], ours.worst[1]))
        assert (theirs.deviation, theirs.diverged, theirs.reached) == (
            ours.deviation,
            ours.diverged,
            ours.reached,
        )
        assert theirs.steps_to_target == ours.steps_to_target
    assert (one.target is None) == (other.target is None)
    assert one.target is None or other.target == -one.target
    for ours, theirs in zip(one.pairs, other.pairs, strict=True):
        assert theirs.differences == tuple(-difference for difference in ours.differences)
        assert (theirs.p, theirs.corrected, theirs.improvement) == (ours.p, ours.corrected, ours.improvement)
        assert theirs.verdict == ours.verdict
        if ours.interval is not None:
            ends = (-ours.interval.high, -ours.interval.low)
            assert (theirs.interval.low, theirs.interval.high) == pytest.approx(ends, abs=1e-12)


@given(sweeps(learning_rate=1.0, test=False).filter(can_be_compared))
def test_mirrored_values_choose_the_same_rate(sweep):
    tried = [
        dataclasses.replace(result, settings={**result.settings, "learning_rate": str(10.0**result.seed)})
        for result in sweep
    ]
    one, other = tune(tried), tune([mirror(result) for result in tried])
    assert [(own.best, own.at_edge) for own in other] == [(own.best, own.at_edge) for own in one]
    assert [own.worst for own in other] == [-own.worst for own in one]


def test_less_is_better_in_words():
    """Differences -1/4 seven times: of 2^7 choices of signs, all and none."""
    [pair] = compare([*runs("fixed", [53.5] * 7), *runs("cosine", [53.25] * 7)]).pairs
    assert (pair.mean, pair.p, pair.improvement, pair.verdict) == (-0.25, 2 / 2**7, 1.0, "better")
    assert pair.sentence == (
        "cosine is better than fixed: rmse -0.25 (95 % interval -0.25 to -0.25), lower in 7 of 7 seeds, "
        "p = 0.016 after Holm."
    )
    [pair] = compare([*runs("fixed", [53.5] * 7), *runs("cosine", [54.5] * 7)]).pairs
    assert pair.sentence.startswith("cosine is worse than fixed: rmse +1.00")
    assert ", higher in 7 of 7 seeds," in pair.sentence


@pytest.mark.parametrize(
    ("worst", "counted"),
    [(77.0, 77.0), (None, 52.0), (51.0, 52.0), (math.inf, 52.0), (math.nan, 52.0)],
)
def test_a_diverged_run_counts_as_the_worst_that_is_known(worst, counted):
    outcome = dataclasses.replace(RMSE, worst=worst)
    sweep = [*runs("fixed", [50.0, 52.0], outcome=outcome), *runs("wild", [50.0, None], outcome=outcome)]
    comparison = compare(sweep)
    assert comparison.groups[1].values == (50.0, counted)
    assert comparison.pairs[0].differences == (0.0, counted - 52.0)
    assert comparison.notes[0] == f"diverged, and counted with rmse {counted:g}: wild: 1"


def test_a_run_without_a_number_counts_as_the_worst_and_is_told():
    comparison = compare([*runs("fixed", [50.0, 52.0]), *runs("odd", [51.0, math.nan])])
    assert comparison.groups[1].values == (51.0, 52.0)
    assert "gave no number, and counted with rmse 52: odd: 1" in comparison.notes


def test_what_is_worst_on_other_data_is_not_worst_on_these():
    sweep = [
        *(run("fixed", seed, value, data="large") for seed, value in enumerate([500.0, None])),
        *(run("fixed", seed, value, data="small") for seed, value in enumerate([0.5, None])),
        *(run("wild", seed, None, data="none") for seed in range(2)),
    ]
    comparison = compare(sweep)
    assert [group.values for group in comparison.groups] == [(500.0, 500.0), (0.5, 0.5), (500.0, 500.0)]
    assert [note for note in comparison.notes if "diverged" in note] == [
        "diverged, and counted with rmse 500: fixed data digest=large: 1, wild data digest=none: 2",
        "diverged, and counted with rmse 0.5: fixed data digest=small: 1",
    ]


def test_where_every_run_diverged_and_nothing_is_known_there_is_nothing_to_compare():
    fallen = runs("fixed", [None, None])
    with pytest.raises(UserError, match="no run has a value of rmse, and the worst there can be is"):
        compare(fallen)
    assert study(fallen).comparisons == ()
    assert study([dataclasses.replace(one, settings={"test": "False"}) for one in fallen]).tuned == ()
    known = [dataclasses.replace(one, outcome=dataclasses.replace(RMSE, worst=2.0)) for one in fallen]
    assert study(known).comparisons[0].groups[0].mean == 2.0


def test_the_target_is_what_the_highest_group_reaches_at_its_end():
    sweep = [run("a", looks=[90.0, 53.211]), run("b", value=53.2, looks=[60.0, 48.0])]
    comparison = compare(sweep)
    assert comparison.target == 53.3
    assert [group.steps_to_target for group in comparison.groups] == [20, 20]
    comparison = compare(sweep, target=60)
    assert [group.steps_to_target for group in comparison.groups] == [20, 10]
    assert [group.reached for group in compare(sweep, target=48).groups] == [0, 1]


@pytest.mark.parametrize("target", [math.nan, math.inf])
def test_a_target_is_a_number_and_of_an_accuracy_a_fraction(target):
    with pytest.raises(UserError, match="--target must be a number"):
        compare([run()], target=target)
    for wrong in (0.0, -1.0, 1.5, target):
        with pytest.raises(UserError, match="--target must be an accuracy, above 0 and at most 1, got"):
            compare([run(outcome=ACCURACY)], target=wrong)
    assert compare([run()], target=-3.5).target == -3.5


def test_a_look_that_is_no_number_reaches_no_target():
    assert run(looks=[math.nan, 2.0, 1.0]).first_look_at(2.0).step == 19
    assert run(looks=[math.nan, math.inf]).first_look_at(2.0) is None


def test_the_best_group_comes_first_and_the_worst_seed_is_the_highest():
    comparison = compare([*runs("a", [3.0, 1.0]), *runs("b", [1.0, 2.0])])
    assert [group.worst for group in comparison.groups] == [(3.0, 0), (2.0, 1)]


def test_runs_of_different_metrics_are_refused_and_metric_is_named():
    sweep = [run("fixed"), run("cosine", outcome=ACCURACY)]
    for refuse in (compare, study):
        with pytest.raises(UserError, match=r"accuracy \(higher is better\) and rmse .* give --metric"):
            refuse(sweep)
    reversed_one = run("cosine", outcome=dataclasses.replace(RMSE, higher_is_better=True))
    with pytest.raises(UserError, match=r"rmse \(lower is better\) and rmse \(higher is better\)"):
        compare([run("fixed"), reversed_one])
    tuning = [dataclasses.replace(one, settings={"test": "False", "learning_rate": "1"}) for one in sweep]
    with pytest.raises(UserError, match="--metric"):
        study(tuning)


@pytest.mark.parametrize(
    ("outcome", "diverged"),
    [(ACCURACY, 0.0), (RMSE, math.inf), (dataclasses.replace(RMSE, worst=9.0), math.inf), (SCORE, -math.inf)],
)
def test_a_search_finds_nothing_worse_than_a_diverged_run(outcome, diverged):
    """A finished run may be worse than one that has learned nothing: of no other metric the end is known."""
    assert float(run(outcome=outcome, value=0.9, looks=[0.25, 0.75])) == 0.75
    assert float(run(outcome=outcome, value=None)) == diverged
    assert float(run(outcome=outcome, value=0.9, looks=[0.25, math.nan])) == diverged


def test_a_run_that_is_judged_in_validation_is_called_so():
    sweep = [dataclasses.replace(one, split="validation") for one in runs("fixed", [0.5, 0.75])]
    [comparison] = study(sweep).comparisons
    assert (comparison.title, comparison.metric) == ("Validation rmse, after the last step", "val_rmse")
    assert comparison.groups[0].values == (0.5, 0.75)
    [comparison] = study(runs("fixed", [0.5, 0.75])).comparisons
    assert (comparison.title, comparison.metric) == ("Test rmse, once, after the last step", "test_rmse")


@pytest.mark.parametrize(
    ("values", "spread", "written"),
    [
        ([53.2, 48.1], 0.0, ["53.20", "48.10"]),
        ([0.0012, 0.00134], 0.0, ["0.001200", "0.001340"]),
        ([1234.5, 1234.61], 0.02, ["1,234.500", "1,234.610"]),
        ([12345.6], 0.0, ["12,346"]),
        ([1.5e-9, 2e-9], 0.0, ["1.500e-09", "2.000e-09"]),
        ([1e12], 0.0, ["1.000e+12"]),
        ([0.25, 0.5, 1e30], 0.0, ["0.2500", "0.5000", "1.000e+30"]),
        ([0.0, 0.0], 0.0, ["0.0000", "0.0000"]),
        ([5.0, math.inf], 0.0, ["5.000", "inf"]),
        ([1.0, 1.0 + 1e-12], 1e-12, ["1.0000000", "1.0000000"]),
        ([1e-300, 1e308], 1e-300, ["1.0000000e-300", "1.0000000e+308"]),
    ],
)
def test_values_of_any_size_are_written_with_the_digits_that_tell_them_apart(values, spread, written):
    digits = digits_of(RMSE, values, spread)
    assert [digits.write(value) for value in values] == written


def test_accuracies_have_four_decimals_however_small_or_equal_they_are():
    assert digits_of(ACCURACY, [0.01, 0.02], 1e-9) == Digits()
    assert (write_value(ACCURACY, 0.05), write_value(RMSE, 0.05)) == ("0.0500", "0.05000")
    assert write_value(RMSE, None) == "nan"


def test_outcomes_are_read_back_as_they_were_written():
    written = Outcomes("rmse", {"rmse": dataclasses.replace(RMSE, worst=77.25), LOSS: Outcome(LOSS, False)})
    assert Outcomes.read(written.write()) == written
    later = written.write().replace('"judge"', '"unit":"mm","judge"')
    assert Outcomes.read(later) == written


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nan", '{"judge":"rmse","metrics":{}}', '{"judge":1}'])
def test_other_texts_are_no_outcomes(text):
    with pytest.raises(ValueError, match="its tag 'outcomes'"):
        Outcomes.read(text)


def test_a_metric_is_chosen_among_those_that_any_run_has():
    regression = Outcomes("rmse", {"rmse": RMSE, LOSS: Outcome(LOSS, False)})
    assert choose_metric([regression], None) == ("rmse", "test")
    assert choose_metric([regression, Outcomes.read(None)], "val_loss") == ("loss", "validation")
    with pytest.raises(UserError, match=r"--metric: there is no 'test_los'; did you mean 'test_loss'\?"):
        choose_metric([regression], "test_los")
    assert choose_metric([Outcomes.read(None), regression], "test_rmse") == ("rmse", "test")
    with pytest.raises(
        UserError, match=r"there is no 'x'.* Known: test_loss, test_rmse, val_loss, val_rmse\."
    ):
        choose_metric([regression, regression], "x")
    with pytest.raises(UserError, match="give --metric"):
        choose_metric([regression, Outcomes.read(None)], None)
