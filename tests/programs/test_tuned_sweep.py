"""experiment=tuned, from the command line to what is recorded and concluded."""

import csv
import re

import pytest

from ratelab.commands.recorded_study import load
from ratelab.comparison import study
from ratelab.tracking import find_runs
from support.programs import ratelab, train

SMALL = ["experiment=tuned", "data=digits", "epochs=1", "batch_size=24", "schedule=fixed,exponential"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep whose grid is too low, so that it must grow once, and how it ended."""
    grid = ["lowest=0.001", "highest=0.1", "points=3", "seeds=[1000,1001]", "widenings=1"]
    options = [f"hydra.sweeper.tuning.{option}" for option in grid]
    return train(tmp_path_factory.mktemp("tuned"), *SMALL, *options, "learning_rate=0.05", "seed=range(0,6)")


@pytest.fixture(scope="module")
def runs(sweep):
    assert (sweep.status, sweep.err) == (0, "")
    return find_runs(sweep.store).runs


@pytest.fixture(scope="module")
def results(sweep, runs):
    return load(sweep.store, runs)[0]


def test_every_schedule_is_tried_at_the_same_rates_with_the_same_seeds(results):
    tried = {
        schedule: sorted(
            (float(r.settings["learning_rate"]), r.seed)
            for r in results
            if r.is_tuning and r.choices["schedule"] == schedule
        )
        for schedule in ("fixed", "exponential")
    }
    rates = [0.001, 0.01, 0.1, 1.0, 10.0]
    assert tried["fixed"] == tried["exponential"] == [(rate, seed) for rate in rates for seed in (1000, 1001)]


def test_tuning_runs_never_see_the_test_split(runs):
    for run in runs:
        assert ("test_accuracy" in run.metrics) == (run.params["test"] == "True")
        assert "val_accuracy" in run.metrics


def test_the_best_rate_is_the_lowest_that_no_other_beats_by_a_standard_error(results):
    tuned = study(results).tuned
    assert {one.name for one in tuned} == {"fixed", "exponential"}
    for one in tuned:
        tried = {}
        for result in results:
            if result.is_tuning and result.choices["schedule"] == one.name:
                by_seed = tried.setdefault(float(result.settings["learning_rate"]), {})
                by_seed[result.seed] = result.validation[-1].value
        unbeaten = []
        for rate, own in tried.items():
            leads = [[other[seed] - own[seed] for seed in own] for other in tried.values()]
            # of two differences the standard error is half of that between them
            if not any(first + second > abs(first - second) for first, second in leads):
                unbeaten.append(rate)
        assert one.best == min(unbeaten)
        assert one.best > 0.1  # which the grid had to grow for


def test_the_others_judge_with_fresh_seeds_at_the_same_rate_and_at_the_best(results):
    best = {one.name: one.best for one in study(results).tuned}
    judged = sorted(
        (r.choices["schedule"], float(r.settings["learning_rate"]), r.seed)
        for r in results
        if not r.is_tuning
    )
    assert judged == sorted(
        (schedule, rate, seed) for schedule in best for rate in (0.05, best[schedule]) for seed in range(6)
    )


def test_another_process_comes_to_the_same_conclusions(sweep, results):
    again = ratelab(sweep.folder, "compare")
    assert (again.status, again.err) == (0, "")
    assert "the same base rate 0.05" in again.out
    assert "each at its best base rate" in again.out
    assert again.out in sweep.out


def test_the_sensitivity_to_the_base_rate_is_shown_and_exported(sweep, results):
    title = "Sensitivity to the base rate: accuracy lost; decades within 0.002 of the best"
    assert title in " ".join(sweep.out.split())  # however it breaks
    exported = ratelab(sweep.folder, "compare", "--format", "csv", "--table", "sensitivity")
    rows = [*csv.DictReader(exported.out.splitlines())]
    assert {row["group"] for row in rows[:2]} == {"fixed", "exponential"}
    assert {rows[2]["group"], rows[2]["minus"]} == {"fixed", "exponential"}
    for row in rows[:2]:
        one = next(one for one in study(results).tuned if one.name == row["group"])
        assert float(row["lost"]) == pytest.approx(max(one.means) - sum(one.means) / len(one.means))
        assert (row["metric"], row["n"], row["lost_low"]) == ("val_accuracy", "2", "")


def test_all_are_children_of_one_run(sweep, runs):
    assert len({run.tags["mlflow.parentRunId"] for run in runs}) == 1


def test_the_experiment_is_a_sweep_without_saying_so(sweep):
    assert re.search(r"^\d+ runs, ", sweep.out, re.MULTILINE)


def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path):
    done = train(tmp_path, *SMALL, "learning_rate=0.1,1")
    assert (done.status, done.out) == (1, "")
    assert "learning_rate must be one value: the base rates to try come from" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []
