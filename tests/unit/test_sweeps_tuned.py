"""A tuned sweep: which trials run, when the grid grows, what is chosen, which runs judge; none is trained."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
from hydra.core.utils import JobReturn, JobStatus

from ratelab.comparison import Measured, Outcomes
from ratelab.runs import description
from ratelab.runs.course import begun_result
from ratelab.sweeps import jobs, tuned
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.sweep import Sweep
from ratelab.sweeps.tuned import sweep_tuned
from ratelab.validation import UserError
from support.composing import QuickComposer, hydra_program

SMALL = ["data=digits", "tracking=none", "epochs=1"]
OPTIONS = {"lowest": 0.01, "highest": 1.0, "points": 3, "seeds": [1000], "widenings": 2}
JOBS = [[*SMALL, f"schedule={name}", "seed=0"] for name in ("fixed", "staircase")]


@pytest.fixture
def program(tmp_path):
    return hydra_program(tmp_path / "2026-01-31" / "12-00-00", lambda cfg, run=None: run(cfg))


class Trained:
    """Takes the place of the sweep: `accuracy` says how good a run is, None where it fails.

    `diverged` has the schedule, the rate and the seed of runs that diverge, `calls` has the runs of each
    call; `luck` what a seed at a rate adds; `opened` what the sweep was opened with.
    """

    def __init__(self):
        self.calls, self.opened, self.diverged = [], [], set()
        self.accuracy, self.luck = lambda schedule, rate: 0.5, {}

    def run(self, planned):
        """Return what Hydra returns of these jobs."""
        self.calls.append(planned.runs)
        return [self.end(run) for run in planned.runs]

    def end(self, run):
        accuracy = self.accuracy(run.labels.choices["schedule"], run.config.learning_rate)
        if accuracy is None:
            return JobReturn(
                overrides=[run.name], status=JobStatus.FAILED, _return_value=RuntimeError(run.name)
            )
        accuracy += self.luck.get((run.config.learning_rate, run.config.seed), 0)
        look, begun = Measured(11, accuracy, 1.0, 1200), begun_result(run)
        place = (begun.choices["schedule"], run.config.learning_rate, run.config.seed)
        result = replace(
            begun,
            status="diverged" if place in self.diverged else "finished",
            validation=(look,),
            test={begun.outcome.metric: accuracy},
            final_rate=0.1,
        )
        return JobReturn(status=JobStatus.COMPLETED, _return_value=result)

    def described(self, call):
        """The schedule, the rate, the seed of each run of a call, and whether it sees the test split."""
        return [
            (run.labels.choices["schedule"], run.config.learning_rate, run.config.seed, run.config.test)
            for run in self.calls[call]
        ]


@pytest.fixture
def trained(monkeypatch):
    fake = Trained()
    sweep = create_autospec(Sweep, instance=True)
    sweep.run.side_effect = fake.run

    @contextmanager
    def open_sweep(*given):
        fake.opened.append(given)
        yield sweep

    monkeypatch.setattr(tuned, "open_sweep", open_sweep)
    monkeypatch.setattr(jobs, "Composer", QuickComposer)
    return fake


@pytest.fixture
def resources():
    return create_autospec(Resources, instance=True)


@pytest.fixture
def tune(program, resources, trained):
    def run(words=JOBS, **options):
        return sweep_tuned(program, resources, words, OPTIONS | options)

    return run


def peak(*best):
    """The best rate of fixed and of staircase: the nearer, the better."""
    wanted = dict(zip(("fixed", "staircase"), best, strict=True))
    return lambda schedule, rate: 1 / (1 + max(rate / wanted[schedule], wanted[schedule] / rate))


def test_every_schedule_is_tried_at_every_rate_with_every_tuning_seed(tune, trained):
    trained.accuracy = peak(0.1, 0.1)
    tune(seeds=[1000, 1001])
    assert trained.described(0) == [
        (schedule, rate, seed, False)
        for schedule in ("fixed", "staircase")
        for rate in (0.01, 0.1, 1.0)
        for seed in (1000, 1001)
    ]
    assert [run.number for run in trained.calls[0]] == list(range(12))


def test_where_the_best_is_within_the_grid_the_runs_that_judge_come_next(tune, trained):
    trained.accuracy = peak(0.1, 0.1)
    returns = tune()
    assert len(trained.calls) == len(returns) == 2
    # the base rate of the configuration is the best of both: each seed judges once
    assert trained.described(1) == [("fixed", 0.1, 0, True), ("staircase", 0.1, 0, True)]
    assert [run.number for run in trained.calls[1]] == [6, 7]
    assert [len(part) for part in returns] == [6, 2]


def test_each_schedule_is_judged_at_the_base_rate_and_at_its_own_best(tune, trained):
    trained.accuracy = peak(0.1, 0.05)
    words = [[*job[:-1], f"seed={seed}", "learning_rate=0.02"] for job in JOBS for seed in (0, 1)]
    tune(words, lowest=0.005, highest=0.5)
    assert trained.described(1) == [
        ("fixed", 0.02, 0, True),
        ("fixed", 0.02, 1, True),
        ("fixed", 0.05, 0, True),
        ("fixed", 0.05, 1, True),
        ("staircase", 0.02, 0, True),
        ("staircase", 0.02, 1, True),
        ("staircase", 0.05, 0, True),
        ("staircase", 0.05, 1, True),
    ]
    assert [run.number for run in trained.calls[1]] == list(range(6, 14))


def test_the_grid_grows_for_all_where_the_best_of_one_is_at_its_edge(tune, trained):
    trained.accuracy = peak(0.1, 10.0)
    tune()
    assert trained.described(1) == [
        ("fixed", 10.0, 1000, False),
        ("fixed", 100.0, 1000, False),
        ("staircase", 10.0, 1000, False),
        ("staircase", 100.0, 1000, False),
    ]
    assert [run.number for run in trained.calls[1]] == [6, 7, 8, 9]
    assert trained.described(2) == [
        ("fixed", 0.1, 0, True),
        ("staircase", 0.1, 0, True),
        ("staircase", 10.0, 0, True),
    ]
    assert [run.number for run in trained.calls[2]] == [10, 11, 12]


def test_a_lucky_seed_at_the_edge_lets_the_grid_grow_but_is_not_believed(tune, trained):
    """At 1.0 one of two seeds is better than all others, and the other is worse."""
    trained.accuracy = peak(0.1, 0.1)
    trained.luck = {(1.0, 1000): 0.9, (1.0, 1001): 0.0}
    tune(seeds=[1000, 1001], widenings=1)
    assert {rate for _, rate, *_ in trained.described(1)} == {10.0, 100.0}
    assert {rate for _, rate, *_ in trained.described(2)} == {0.1}


def test_the_grid_grows_on_both_sides_and_counts_from_where_it_ends(tune, trained):
    trained.accuracy = peak(1e-9, 1e9)
    tune()
    rates = [[run.config.learning_rate for run in call[: len(call) // 2]] for call in trained.calls]
    assert rates[1] == [0.0001, 0.001, 10.0, 100.0]
    assert rates[2] == [1e-6, 1e-5, 1000.0, 1e4]
    # no third time: the best so far judge
    assert [(schedule, rate) for schedule, rate, *_ in trained.described(3)] == [
        ("fixed", 0.1),
        ("fixed", 1e-6),
        ("staircase", 0.1),
        ("staircase", 1e4),
    ]


def test_without_widenings_the_edge_is_chosen(tune, trained):
    trained.accuracy = peak(1e-9, 1e9)
    tune(widenings=0)
    assert [rate for _, rate, *_ in trained.described(1)] == [0.1, 0.01, 0.1, 1.0]


def test_a_trial_that_failed_does_not_count_and_is_raised_when_all_have_run(tune, trained, capsys):
    good = peak(0.1, 0.1)
    trained.accuracy = lambda schedule, rate: None if rate == 0.1 else good(schedule, rate)
    with pytest.raises(RuntimeError, match=r"fixed learning_rate=0.1 seed=1000"):
        tune(widenings=0)
    assert len(trained.calls) == 2
    # of what is left, the lower one of two equals
    assert [rate for _, rate, *_ in trained.described(1)] == [0.1, 0.01, 0.1, 0.01]
    assert "Error executing job with overrides" in capsys.readouterr().err


def test_a_schedule_none_of_whose_trials_ended_is_judged_at_the_base_rate(tune, trained, capsys):
    good = peak(0.1, 1.0)
    trained.accuracy = lambda schedule, rate: None if schedule == "fixed" else good(schedule, rate)
    with pytest.raises(RuntimeError, match="fixed"):
        tune(widenings=0)
    assert trained.described(1) == [
        ("fixed", 0.1, 0, True),
        ("staircase", 0.1, 0, True),
        ("staircase", 1.0, 0, True),
    ]


def test_a_run_that_fails_to_judge_is_raised_at_the_end(tune, trained, capsys):
    trained.accuracy = lambda schedule, rate: None if len(trained.calls) == 2 else 0.5
    with pytest.raises(RuntimeError):
        tune(widenings=0)


def test_the_sweep_is_opened_once_with_what_varies_and_an_unknown_number_of_runs(
    tune, trained, program, resources
):
    trained.accuracy = peak(0.1, 0.1)
    tune([[*job[:-1], f"seed={seed}"] for job in JOBS for seed in (0, 1)])
    varied = frozenset({"schedule", "seed", "learning_rate"})
    name = "tuned schedule=fixed,staircase seed=0,1"
    assert trained.opened == [(program, resources, name, varied, None)]


def test_the_store_is_prepared_once_before_the_sweep_is_opened(tune, trained, monkeypatch):
    prepared = []
    monkeypatch.setattr(tuned, "prepare_jobs", lambda *_: prepared.append(list(trained.opened)))
    trained.accuracy = peak(0.1, 10.0)
    tune()
    assert prepared == [[]]


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([[*job, "batch_size=5000"] for job in JOBS], {}, "batch_size must be at most 1200"),
        ([[*JOBS[0], "test=maybe"]], {}, "test must be a valid boolean"),
        (JOBS, {"seeds": [0]}, "must be other seeds than those that judge, both have 0"),
        (JOBS, {"lowest": 2.0}, "lowest must be below highest, got 2.0 and 1.0"),
        (JOBS, {"lowest": 0.999}, "points must give rates that differ in .* digits, got 3 from 0.999 to 1.0"),
    ],
)
def test_a_mistake_in_any_job_is_told_before_the_sweep_is_opened(tune, trained, words, options, message):
    with pytest.raises(UserError, match=message):
        tune(words, **options)
    assert trained.opened == []


def test_a_job_that_says_itself_whether_it_is_tested_is_tried_without_and_judged_as_it_says(tune, trained):
    trained.accuracy = peak(0.1, 0.1)
    tune([[*job, "test=true"] for job in JOBS])
    assert {test for *_, test in trained.described(0)} == {False}
    assert {test for *_, test in trained.described(1)} == {True}


def test_the_rate_of_the_lowest_loss_is_the_best_where_less_is_better(tune, trained, judged_by_loss):
    closeness = peak(0.1, 1.0)
    trained.accuracy = lambda schedule, rate: 1 - closeness(schedule, rate)
    tune(widenings=0)
    judged = {(schedule, rate) for schedule, rate, _, test in trained.described(-1) if test}
    assert judged == {("fixed", 0.1), ("staircase", 0.1), ("staircase", 1.0)}


def test_what_diverged_counts_for_every_schedule_as_the_worst_of_all(tune, trained, judged_by_loss):
    """Of fixed one of two runs at 1.0 diverged: beside its own runs alone that rate would be the best."""
    losses = {"fixed": {0.01: 0.5, 0.1: 0.4, 1.0: 0.2}, "staircase": {0.01: 9.0, 0.1: 0.1, 1.0: 0.5}}
    trained.accuracy = lambda schedule, rate: losses[schedule][rate]
    trained.diverged = {("fixed", 1.0, 1001)}
    tune(widenings=0, seeds=[1000, 1001])
    judged = {(schedule, rate) for schedule, rate, _, test in trained.described(-1) if test}
    assert judged == {("fixed", 0.1), ("staircase", 0.1)}


def test_schedules_that_are_judged_by_different_metrics_are_not_tuned(
    tune, trained, judged_by_loss, monkeypatch
):
    by_schedule = {
        "fixed": judged_by_loss,
        "staircase": Outcomes("accuracy", judged_by_loss.by_name),
    }
    monkeypatch.setattr(description, "outcomes_of", lambda run: by_schedule[run.labels.choices["schedule"]])
    with pytest.raises(UserError, match="judged by different metrics"):
        tune()
    assert (trained.opened, trained.calls) == ([], [])
