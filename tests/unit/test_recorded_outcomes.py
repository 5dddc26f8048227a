"""A store says what its runs are judged by: direction and worst value, without any configuration."""

import math
from dataclasses import replace

import pytest

from ratelab.commands.recorded_study import load, read_study
from ratelab.comparison import Measured
from ratelab.comparison.outcomes import Outcomes
from ratelab.tasks import ACCURACY, LOSS, Outcome
from ratelab.tracking import find_runs
from ratelab.validation import UserError
from support.damaged import STEPS, good_run, having

RMSE = Outcome("rmse", higher_is_better=False, worst=77.0)
REGRESSION = Outcomes(
    "rmse", {"rmse": RMSE, "r2": Outcome("r2", True, 0.0), LOSS: Outcome(LOSS, False, 5929.0)}
)
LOSSES = {f"{split}_loss": points for split, points in (("val", {9: 2.0, 19: 1.0}), ("test", {19: 1.5}))}


def regression(number, schedule, seed, rmse, **tags):
    """A run of a regression, which gets better by its half in the second epoch."""
    metrics = {
        "val_rmse": dict(zip(STEPS, (2 * rmse, rmse), strict=True)),
        "test_rmse": {19: rmse},
        "val_r2": dict(zip(STEPS, (-1.0, 0.5), strict=True)),
        "test_r2": {19: 1 - rmse / 100},
        "val_loss": dict(zip(STEPS, (4 * rmse**2, rmse**2), strict=True)),
        "test_loss": {19: rmse**2},
    }
    run = having(good_run(number, schedule, seed), "tags", outcomes=REGRESSION.write(), **tags)
    kept = {key: run.metrics[key] for key in ("learning_rate", "train_loss", "train_seconds")}
    return replace(run, metrics={**kept, **metrics})


def sweep(seeds=8):
    """Fixed comes to 50 to 57, staircase to two less; the last run of fixed diverged."""
    runs = [
        regression(10 * place + seed, name, seed, 50.0 + seed - 2 * place)
        for place, name in enumerate(("fixed", "staircase"))
        for seed in range(seeds)
    ]
    fallen = regression(99, "fixed", seeds, 50.0, diverged_step="3")
    return [*runs, replace(fallen, status="FAILED"), regression(98, "staircase", seeds, 50.0)]


def test_the_tag_gives_metric_direction_and_worst_value(store):
    _, found = read_study(store(*sweep()))
    [comparison] = found.comparisons
    assert (comparison.metric, comparison.title) == ("test_rmse", "Test rmse, once, after the last step")
    assert comparison.groups[0].worst == (77.0, 8)
    assert comparison.notes[0] == "diverged, and counted with rmse 77: fixed: 1"
    [pair] = comparison.pairs
    assert (pair.verdict, pair.improvement) == ("better", 1.0)
    assert pair.sentence.startswith("staircase is better than fixed: rmse -4.78 (95 % interval -")
    assert "lower in 9 of 9 seeds" in pair.sentence


@pytest.mark.parametrize(
    ("metric", "mean", "worst", "verdict"),
    [
        ("test_loss", 52.0**2, 5929.0, "better"),
        ("test_r2", 0.46, 0.0, "better"),
        ("val_rmse", 52.0, 77.0, "better"),
        ("val_r2", 0.5, -1.0, "no difference shown"),
    ],
)
def test_another_metric_judges_in_its_own_direction(store, metric, mean, worst, verdict):
    _, found = read_study(store(*sweep()), metric=metric)
    [comparison] = found.comparisons
    fixed, staircase = comparison.groups
    assert comparison.metric == metric
    assert fixed.values[2] == pytest.approx(1 - 0.52 if metric == "test_r2" else mean)
    assert fixed.worst[0] == (0.0 if metric == "val_r2" else worst)
    assert (fixed.diverged, staircase.diverged) == (1, 0)
    assert comparison.pairs[0].verdict == verdict


def test_the_looks_at_the_validation_split_are_of_the_metric_that_judges(store):
    uri = store(regression(1, "fixed", 0, 50.0))
    runs = find_runs(uri).runs
    [result] = load(uri, runs)[0]
    assert result.test == {"rmse": 50.0, "r2": 0.5, "loss": 2500.0}
    assert result.validation == (Measured(9, 100.0, 1.0, 240), Measured(19, 50.0, 2.0, 480))
    [result] = load(uri, runs, "test_loss")[0]
    assert result.outcome == Outcome(LOSS, False, 5929.0)
    assert [look.value for look in result.validation] == [10_000.0, 2500.0]


def test_runs_from_before_the_tag_are_judged_by_accuracy_or_by_loss(store):
    old = [having(good_run(seed, "fixed", seed), "metrics", **LOSSES) for seed in range(2)]
    uri = store(*old, replace(having(good_run(9, "fixed", 9), "tags", diverged_step="3"), status="FAILED"))
    runs = find_runs(uri).runs
    assert {result.outcome for result in load(uri, runs)[0]} == {ACCURACY}
    _, found = read_study(uri, metric="test_loss")
    [group] = found.comparisons[0].groups
    assert group.values == (1.5, 1.5, 1.5)  # what is worst was not recorded: the worst of the others
    with pytest.raises(
        UserError, match=r"there is no 'test_rmse'.* Known: .*, test_accuracy, test_loss, val_"
    ):
        read_study(uri, metric="test_rmse")


def test_runs_without_the_metric_are_named_and_left_out(store):
    uri = store(
        *sweep(), *(having(good_run(90 + seed, "wsd", seed), "metrics", **LOSSES) for seed in range(2))
    )
    _, found = read_study(uri, metric="test_rmse")
    [comparison] = found.comparisons
    assert [one.name for one in comparison.groups] == ["fixed", "staircase"]
    assert found.notes[0] == "cannot be read, left out: wsd seed=0, wsd seed=1: it has no test_rmse"


def test_runs_of_different_metrics_are_one_message_and_have_the_loss_in_common(store):
    old = [having(good_run(90 + seed, "wsd", seed), "metrics", **LOSSES) for seed in range(8)]
    uri = store(*sweep(), *old)
    with pytest.raises(UserError) as refused:
        read_study(uri)
    assert str(refused.value) == (
        "the runs are judged by different metrics, accuracy (higher is better) and rmse (lower is better), "
        "and are not compared; give --metric with one that all have, such as --metric test_loss, or compare "
        "fewer runs."
    )
    _, found = read_study(uri, metric="test_loss")
    assert [group.name for group in found.comparisons[0].groups] == ["fixed", "staircase", "wsd"]


def test_a_run_of_another_program_has_no_say_in_the_metric(store):
    foreign = replace(good_run(50), name="cifar")
    del foreign.tags["config_digest"]
    _, found = read_study(store(*sweep(), foreign))
    assert [run.name for run in found.unreadable] == ["cifar"]
    assert found.comparisons[0].metric == "test_rmse"


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (None, "gave no number"),
        (1.7976931348623157e308, "gave no number"),
        ({}, "it is FINISHED, but has no test_rmse"),
    ],
)
def test_what_is_no_number_counts_as_the_worst_and_what_is_not_there_is_told(store, value, note):
    odd = having(regression(70, "wsd", 0, 50.0), "metrics", test_rmse={19: value} if value != {} else {})
    _, found = read_study(store(*sweep(), odd))
    notes = [*found.notes, *found.comparisons[0].notes]
    assert sum(note in one for one in notes) == 1
    values = {group.name: group.values for group in found.comparisons[0].groups}
    assert values.get("wsd", (77.0,)) == (77.0,)
    assert math.isfinite(found.comparisons[0].pairs[0].mean)
