"""A sweep that adds seeds: which runs come at which look, who gets no more, when it ends; none is trained."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
from hydra.core.utils import JobReturn, JobStatus

from ratelab.comparison import Measured
from ratelab.comparison.plans import Plan
from ratelab.runs.course import begun_result
from ratelab.runs.past import Past, PastRun
from ratelab.sweeps import decided
from ratelab.sweeps.decided import sweep_decided
from ratelab.sweeps.resources import Resources
from ratelab.validation import UserError
from support.composing import hydra_program

SMALL = ["data=digits", "tracking=none", "epochs=1", "experiment=decide"]


def words(*names, seeds=("0",), **options):
    own = [f"decide.{key}={'null' if value is None else value}" for key, value in options.items()]
    return [[*SMALL, *own, f"schedule={name}", f"seed={seed}"] for name in names for seed in seeds]


class Trained:
    """Takes the place of the sweep; `mean` has how good each schedule is, None where its runs fail."""

    def __init__(self):
        self.calls, self.results, self.said, self.mean = [], [], [], {}
        self.past = Past()

    def run(self, planned):
        self.calls.append(
            [(run.number, run.labels.choices["schedule"], run.config.seed) for run in planned.runs]
        )
        return [self.end(run) for run in planned.runs]

    def end(self, run):
        begun = begun_result(run)
        mean = self.mean.get(begun.choices["schedule"], 0.5)
        if mean is None:
            return JobReturn(
                overrides=[run.name], status=JobStatus.FAILED, _return_value=RuntimeError(run.name)
            )
        own = np.random.default_rng([run.config.seed, int(1000 * mean)]).normal(0, 0.001)
        value = float(np.random.default_rng(run.config.seed).normal(mean, 0.05) + own)
        look = Measured(11, value, 1.0, 1200)
        result = replace(
            begun,
            status="finished",
            validation=(look,),
            test={"accuracy": value, "loss": 1 - value},
            final_rate=0.1,
        )
        self.results.append(result)
        return JobReturn(status=JobStatus.COMPLETED, _return_value=result)

    def seeds(self, call):
        """The seeds of each schedule in a call."""
        found = {}
        for _, schedule, seed in self.calls[call]:
            found.setdefault(schedule, []).append(seed)
        return found


@pytest.fixture
def trained(monkeypatch):
    fake = Trained()

    @contextmanager
    def open_sweep(*given):
        fake.opened = given
        yield fake

    monkeypatch.setattr(decided, "open_sweep", open_sweep)
    monkeypatch.setattr(decided, "prepare_jobs", lambda *_: None)
    return fake


@pytest.fixture
def decide(tmp_path, trained):
    task = lambda cfg, run=None: run(cfg)  # noqa: E731 - it carries an attribute
    task.display = SimpleNamespace(say=lambda *lines: trained.said.extend(lines))
    program = hydra_program(tmp_path / "2026-01-31" / "12-00-00", task)

    def run(given):
        return sweep_decided(program, create_autospec(Resources, instance=True), given)

    return run


def test_seeds_are_added_until_the_pair_is_decided(decide, trained):
    trained.mean = {"fixed": 0.5, "rex": 0.25}
    returns = decide(words("fixed", "rex", most=20))
    assert trained.seeds(0) == {"fixed": [*range(6)], "rex": [*range(6)]}
    assert trained.seeds(1) == {"fixed": [6, 7], "rex": [6, 7]}
    assert len(trained.calls) == 2
    assert [number for call in trained.calls for number, *_ in call] == list(range(16))
    assert [len(one) for one in returns] == [12, 4]
    assert trained.said == [
        "after 6 seeds, 12 runs:",
        "  rex, fixed: go on",
        "after 8 seeds, 16 runs:",
        f"  {trained.said[3].strip()}",
    ]
    assert trained.said[3].startswith("  rex is worse than fixed: accuracy -0.2")


def test_what_is_decided_gets_no_more_seeds_and_the_others_go_on_to_the_most(decide, trained):
    trained.mean = {"fixed": 0.5, "rex": 0.25, "wsd": 0.5}
    decide(words("fixed", "rex", "wsd", most=12))
    looks = [trained.seeds(call) for call in range(len(trained.calls))]
    assert [sorted(look) for look in looks] == [["fixed", "rex", "wsd"]] * 2 + [["fixed", "wsd"]] * 2
    assert looks[3] == {"fixed": [10, 11], "wsd": [10, 11]}
    assert trained.said[-1].startswith(
        "after 12 seeds, 32 runs:"
    )  # of open pairs nothing is said, nor who goes on


def test_what_is_practically_equal_ends_it(decide, trained):
    decide(words("fixed", "wsd", most=60, matters=0.1))
    assert len(trained.calls) == 2
    assert "wsd and fixed are practically equal: accuracy" in trained.said[-1]


@pytest.mark.parametrize(("question", "left"), [("all", ["fixed", "rex", "wsd"]), ("best", ["fixed", "wsd"])])
def test_where_the_best_is_asked_for_what_is_worse_gets_no_more(decide, trained, question, left):
    trained.mean = {"fixed": 0.5, "rex": 0.4, "wsd": 0.5}
    draw = np.random.default_rng

    def end(run, own=trained.end):  # rex and wsd differ by much, but now more, now less
        done = own(run)
        if run.labels.choices["schedule"] == "wsd":
            shift = float(draw([7, run.config.seed]).choice([-0.3, 0.3]))
            result = done.return_value
            trained.results[-1] = replace(result, test={"accuracy": result.test["accuracy"] + shift})
            done = JobReturn(status=JobStatus.COMPLETED, _return_value=trained.results[-1])
        return done

    trained.end = end
    decide(words("fixed", "rex", "wsd", most=15, question=question))
    assert sorted(trained.seeds(2)) == left


def test_the_seeds_begin_at_the_one_that_is_given(decide, trained):
    trained.mean = {"fixed": 0.5, "rex": 0.25}
    decide(words("fixed", "rex", seeds=["100"], most=20))
    assert trained.seeds(0)["rex"] == [*range(100, 106)]
    assert trained.seeds(1)["rex"] == [106, 107]


def test_another_metric_decides_in_its_own_direction(decide, trained):
    trained.mean = {"fixed": 0.5, "rex": 0.25}
    decide(words("fixed", "rex", most=20, metric="test_loss"))
    assert "rex is worse than fixed: loss +0.2" in trained.said[-1]
    assert {(run.outcome.metric, run.split) for run in trained.results} == {("loss", "test")}


def test_steps_to_a_target_decide(decide, trained):
    trained.mean = {
        "fixed": 0.75,
        "rex": 0.25,
    }  # all of the one reach it with their only look, none of the other
    end = trained.end

    def looked_twice(run):
        done = end(run)
        last = trained.results[-1].validation[0]
        looks = (Measured(5, last.value, 0.5, 600), last)
        trained.results[-1] = replace(trained.results[-1], validation=looks)
        return replace(done, _return_value=trained.results[-1])

    trained.end = looked_twice
    decide(words("fixed", "rex", most=20, metric="steps_to_target", target=0.5, matters=1))
    assert len(trained.calls) == 2
    assert "rex is worse than fixed: steps_to_target +6 " in trained.said[-1]
    assert {(run.outcome.metric, run.split) for run in trained.results} == {("accuracy", "test")}
    assert {(run.plan.time, run.plan.target) for run in trained.results} == {("steps_to_target", 0.5)}


def test_runs_that_fail_are_told_at_the_end(decide, trained):
    trained.mean = {"rex": None}
    with pytest.raises(RuntimeError, match="rex"):
        decide(words("fixed", "rex", most=20))
    assert len(trained.calls) == 1


def past_with(plan):
    past = Past()
    past.runs[0] = PastRun({}, (0,), begun={"tags": {} if plan is None else {"decide": plan.write()}})
    return past


def test_with_more_seeds_than_were_planned_the_looks_of_that_day_are_kept(decide, trained):
    trained.past = past_with(Plan(planned=12, most=12, matters=None, question="all"))
    decide(words("fixed", "wsd", most=20))
    assert [max(trained.seeds(call)["wsd"]) + 1 for call in range(len(trained.calls))] == [
        6,
        8,
        10,
        12,
        15,
        20,
    ]
    assert {(run.plan.planned, run.plan.most) for run in trained.results} == {(12, 20)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"matters": 0.5}, "decide.matters was None"),
        ({"question": "best"}, "decide.question was all"),
        ({"metric": "test_loss"}, "decide.metric was None"),
        ({"metric": "examples_to_target", "target": 0.5}, "decide.metric was None"),
    ],
)
def test_a_sweep_goes_on_with_the_question_that_it_began_with(decide, trained, change, told):
    trained.past = past_with(Plan(planned=12, most=12, matters=None, question="all"))
    with pytest.raises(
        UserError, match=f"resume: {told} when the sweep was begun; only decide.most may change"
    ):
        decide(words("fixed", "wsd", most=20, **change))
    assert trained.calls == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            words("fixed", "rex", most=5),
            "decide.most must be at least 6: fewer seeds cannot decide one pair; got 5",
        ),
        (
            words("fixed", "rex", "wsd", "cosine", most=7),
            "decide.most must be at least 8: .* one of 6 pairs; got 7",
        ),
        (words("fixed", most=20), "decide compares two schedules or more, got one"),
        (words("fixed", "rex", seeds=["0", "1"], most=20), "seed must be one value, .*; got 2 values"),
        (words("fixed", "rex", most=20, matters=0), "decide.matters"),
        (words("fixed", "rex", most=20, matters=-0.1), "decide.matters"),
        (words("fixed", "rex", most=20, metric="test_nothing"), "decide.metric"),
        (words("fixed", "rex", most=20, question="some"), "decide.question"),
        (words("fixed", "rex", most=20, metric="seconds_to_target", target=0.9), "seconds_to_target cannot"),
        (words("fixed", "rex", most=20, metric="steps_to_target"), "decide.target, .* got None with decide"),
        (words("fixed", "rex", most=20, target=0.9), "got 0.9 with decide.metric=None"),
        (
            words("fixed", "rex", most=20, metric="steps_to_target", target=90),
            "decide.target must be an accuracy, above 0 and at most 1, got 90",
        ),
        (words("fixed", "rex", most=20, metric="steps_to_target", target="5%"), "decide.target"),
        (words("fixed", "rex", "wsd", most=5000), "a sweep has at most"),
    ],
)
def test_mistakes_are_told_before_anything_is_opened(decide, trained, given, told):
    with pytest.raises(UserError, match=told):
        decide(given)
    assert not hasattr(trained, "opened")
