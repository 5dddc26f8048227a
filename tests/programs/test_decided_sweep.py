"""experiment=decide, from its words to the verdicts; another process says the same, and it can go on."""

import json
import os
import signal

import pytest

from ratelab.comparison.plans import Plan
from support.programs import begin, ratelab, rows_of, train

WORDS = [
    "-m",
    "experiment=[quick,decide]",
    "schedule=fixed,exponential,staircase",
    "hydra.launcher.workers=1",
    "decide.matters=0.05",
]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    done = train(tmp_path_factory.mktemp("decided"), *WORDS, "decide.most=12")
    assert (done.status, done.err) == (0, "")
    return done


def pairs_of(done):
    """What `ratelab compare` says of each pair."""
    compared = ratelab(done.folder, "compare", "--format", "json")
    assert (compared.status, compared.err) == (0, "")
    [comparison] = json.loads(compared.out)["comparisons"]
    return comparison["pairs"]


def test_each_look_says_what_is_decided_and_who_goes_on(sweep):
    lines = sweep.out.splitlines()
    assert "after 6 seeds, 18 runs:" in lines
    assert any(line.endswith(": go on") for line in lines)
    assert any(" are practically equal: accuracy " in line for line in lines)


def test_another_process_says_of_each_pair_what_the_sweep_has_said(sweep):
    said = " ".join(sweep.out.split())
    sentences = [pair["sentence"] for pair in pairs_of(sweep)]
    assert len(sentences) == 3
    for sentence in sentences:
        assert sentence in said


def test_every_run_has_the_plan(sweep):
    plans = {run.data.tags["decide"] for run in sweep.children.values()}
    assert {Plan.read(text) for text in plans} == {Plan(planned=12, most=12, matters=0.05, question="all")}
    assert not any(key.startswith("decide") for run in sweep.children.values() for key in run.data.params)


def test_what_is_required_is_answered_by_the_status(sweep):
    done = ratelab(sweep.folder, "compare", "--require", "fixed > exponential")
    assert done.status == 1
    assert done.err.startswith(
        "fixed > exponential: not shown. exponential and fixed are practically equal: "
    )


def test_a_sweep_that_was_killed_between_two_looks_goes_on_as_if_it_had_not(sweep, tmp_path):
    program = begin(tmp_path, *WORDS, "decide.most=12")
    for line in program.stdout:
        if line.startswith("after 6 seeds"):
            break
    os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
    done = train(tmp_path, *WORDS, "decide.most=12", "resume=true")
    assert (done.status, done.err) == (0, "")
    assert rows_of(tmp_path) == rows_of(sweep.folder)
    assert pairs_of(done) == pairs_of(sweep)


def test_a_sweep_that_has_ended_goes_on_with_more_seeds_and_counts_the_looks_it_had(tmp_path):
    words = ["decide.matters=null" if word.startswith("decide.") else word for word in WORDS]
    words = ["schedule=fixed,exponential" if word.startswith("schedule=") else word for word in words]
    first = train(tmp_path, *words, "decide.most=6", "learning_rate=0.01")
    assert (first.status, first.err) == (0, "")
    [folder] = tmp_path.glob("multirun/*/*")
    more = train(tmp_path, *words, "decide.most=8", "learning_rate=0.01", f"resume={folder}")
    assert (more.status, more.err) == (0, "")
    [pair] = pairs_of(more)
    assert pair["verdict"] in {"open", "better", "worse"}
    plans = [Plan.read(run.data.tags["decide"]) for run in more.children.values()]
    if pair["verdict"] == "open":
        assert len(plans) == 16
        assert {plan.planned for plan in plans} == {6}
        assert "looked at after 6, 8 seeds" in " ".join(more.out.split())
    other = train(
        tmp_path, *words, "decide.most=9", "learning_rate=0.01", "decide.question=best", f"resume={folder}"
    )
    assert other.status == 1
    assert (
        "resume: decide.question was all when the sweep was begun; only decide.most may change." in other.err
    )


def test_schedules_are_decided_each_at_its_best_base_rate(tmp_path):
    grid = ["hydra.sweeper.tuning.points=3", "hydra.sweeper.tuning.seeds=[100,101]"]
    words = ["-m", "experiment=[quick,tuned,decide]", *WORDS[2:], *grid, "decide.most=11", "seed=20"]
    done = train(tmp_path, *words)
    assert (done.status, done.err) == (0, "")
    compared = ratelab(tmp_path, "compare", "--format", "json")
    assert (compared.status, compared.err) == (0, "")
    found = json.loads(compared.out)
    best = {row["group"]: row["learning_rate"] for row in found["tuning"] if row["best"]}
    judged = [run.data for run in done.children.values() if run.data.params["test"] == "True"]
    assert {run.tags["schedule"]: float(run.params["learning_rate"]) for run in judged} == best
    seeds = {int(run.params["seed"]) for run in judged}
    assert seeds == set(range(20, 20 + len(seeds)))
    said = " ".join(done.out.split())
    [comparison] = found["comparisons"]
    assert [pair["sentence"] in said for pair in comparison["pairs"]] == [True] * 3


@pytest.mark.parametrize(
    ("words", "metric"),
    [
        (["decide.metric=test_loss", "decide.matters=0.5"], "test_loss"),
        (["decide.metric=steps_to_target", "decide.target=0.5", "decide.matters=20"], "steps_to_target"),
    ],
)
def test_another_process_judges_by_the_metric_that_decided(tmp_path, words, metric):
    done = train(tmp_path, *WORDS[:4], *words, "decide.most=8")
    assert (done.status, done.err) == (0, "")
    compared = ratelab(tmp_path, "compare", "--format", "json")
    assert (compared.status, compared.err) == (0, "")
    [comparison] = json.loads(compared.out)["comparisons"]
    said = " ".join(done.out.split())
    assert comparison["metric"] == metric
    assert [pair["sentence"] in said for pair in comparison["pairs"]] == [True] * 3
    assert any(pair["verdict"] != "open" for pair in comparison["pairs"])
    asked = ratelab(tmp_path, "compare", "--metric", "test_accuracy")
    assert "practically equal" not in asked.out  # what matters of the one is nothing of the other
    assert "looked at after 6" in " ".join(asked.out.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["-m", "experiment=decide", "schedule=fixed,rex", "hydra/launcher=basic"],
            "decide needs hydra/launcher=ratelab",
        ),
        (
            ["-m", "experiment=decide", "schedule=fixed,rex", "hydra/sweeper=basic"],
            "decide: seeds are added by hydra/sweeper=ratelab",
        ),
        (["experiment=decide", "hydra.mode=RUN"], "decide: seeds are added by hydra/sweeper=ratelab"),
        (
            ["-m", "experiment=[tuned,decide]", "schedule=fixed,rex", "decide.most=5"],
            "decide.most must be at least 6",
        ),
        (
            ["-m", "experiment=[tuned,decide]", "schedule=fixed,rex", "seed=950"],
            "hydra.sweeper.tuning.seeds must be other seeds than those that judge, both have 1000",
        ),
        (["-m", "experiment=decide", "schedule=fixed,rex", "decide.matters=0"], "decide.matters must be"),
        (
            ["-m", "schedule=fixed,rex", "decide.question=best"],
            "decide.question: nothing is decided without decide.most; give experiment=decide.",
        ),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path, words, told):
    done = train(tmp_path, *words)
    assert done.status == 1
    assert told in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "mlruns").exists()
