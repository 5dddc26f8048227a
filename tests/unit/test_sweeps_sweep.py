"""A sweep from its first line to its last: Hydra's jobs are real, workers and store are fakes."""

import io
import logging
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock, create_autospec

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from rich.console import Console

from ratelab import report
from ratelab.comparison import Outcomes
from ratelab.runs import description, display
from ratelab.runs.past import read_past
from ratelab.runtime import provenance
from ratelab.runtime.program_identity import this_program
from ratelab.sweeps import sweep
from ratelab.sweeps.jobs import plan_jobs
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.stacks import Broke, Stack, Started
from ratelab.sweeps.sweep import open_sweep, run_jobs
from ratelab.validation import UserError
from support.composing import QuickComposer, hydra_program
from support.fakes import fake_tracker, fake_workers

SMALL = ["data=digits", "tracking=none", "epochs=1"]
SWEEP_ID = "2026-01-31-12-00-00"
PARENT = "schedule=fixed,staircase seed=0"


def task(cfg, run=None):
    """Be the function under `@hydra.main`."""
    return run(cfg)


@pytest.fixture(autouse=True)
def _logging_and_hydra_are_left_as_they_were():
    loggers = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = loggers
    HydraConfig.instance().cfg = None


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setattr("ratelab.sweeps.jobs.Composer", QuickComposer)
    return hydra_program(tmp_path / "2026-01-31" / "12-00-00", task)


@pytest.fixture
def log():
    """What was done, in its order."""
    return []


@pytest.fixture
def tracker(monkeypatch, log):
    fake = fake_tracker()
    fake.find_runs.return_value = None
    monkeypatch.setattr(sweep, "open_tracker", lambda *given: log.append(("open", *given)) or fake)
    fake.__exit__.side_effect = lambda *_: log.append("close")
    return fake


@pytest.fixture
def resources(log):
    """Cuts every run into a stack of its own, the last one first; `made` are the workers."""
    fake = create_autospec(Resources, instance=True)
    fake.made = []
    fake.cut.side_effect = lambda runs: [Stack((run,)) for run in reversed(runs)]

    def start(stacks):
        workers = fake_workers(stacks)
        workers.__enter__.side_effect = lambda _: log.append("start") or workers
        fake.made.append(workers)
        return workers

    fake.start.side_effect = start
    return fake


@pytest.fixture
def lines(monkeypatch):
    """What the sweep has printed."""
    out = io.StringIO()
    monkeypatch.setattr(display, "Console", lambda: Console(file=out, width=100))
    return lambda: out.getvalue().splitlines()


def jobs_of(program, *words, first=0):
    return plan_jobs(program, [[*SMALL, *own] for own in words], first)


@pytest.fixture
def jobs(program):
    return jobs_of(program, ["schedule=fixed"], ["schedule=staircase"])


def test_the_sweep_has_a_run_of_its_own(program, resources, jobs, tracker, lines):
    run_jobs(program, resources, jobs)
    name, described = tracker.run.call_args_list[0].args, tracker.run.call_args_list[0].kwargs
    assert name == (PARENT,)
    assert described == {
        "params": {"varied": "schedule", "jobs": 2},
        "tags": {
            "sweep_id": SWEEP_ID,
            "kind": "sweep",
            "program": this_program(program.folder / "journal").write(),
            **provenance.collect().tags,
        },
        "key": f"{read_past(program.folder).program['id']}-sweep",
        "is_resumed": False,
    }
    parents = [call.kwargs["parent_id"] for call in tracker.run.call_args_list[1:]]
    assert parents == [f"id of {PARENT}"] * 2
    assert tracker.ended == dict.fromkeys(["fixed seed=0", "staircase seed=0", PARENT])


def test_the_store_is_opened_after_the_workers_were_started_and_closed_at_the_end(
    program, resources, jobs, tracker, lines, log
):
    run_jobs(program, resources, jobs)
    assert log == ["start", ("open", None, "ratelab", jobs.runs[0].directory), "close"]
    resources.made[0].__exit__.assert_called_once()


SEARCHING = {"_target_": "hydra_plugins.searching.Searching", "direction": "maximize"}


def test_a_sweep_that_is_searched_says_the_value_of_each_run_and_compares_nothing(
    program, resources, jobs, tracker, lines, capsys
):
    program.config.hydra.sweeper = SEARCHING
    returns = run_jobs(program, resources, jobs)
    words = "data=digits tracking=none epochs=1"
    values = [float(one.return_value) for one in returns]
    assert capsys.readouterr().out.splitlines() == [
        f"validation accuracy {value:.4f}: {words} schedule={name}"
        for value, name in zip(values, ("fixed", "staircase"), strict=True)
    ]
    text = "\n".join(lines())
    assert "accuracy" not in text
    assert "MLflow" not in text
    assert tracker.ended[PARENT] is None


def test_a_search_for_the_smallest_accuracy_is_refused(program, resources, jobs, tracker, lines):
    program.config.hydra.sweeper = SEARCHING | {"direction": "minimize"}
    with pytest.raises(UserError, match=r"hydra\.sweeper\.direction must be maximize"):
        run_jobs(program, resources, jobs)


def test_a_search_for_the_largest_loss_is_refused(program, resources, jobs, tracker, lines, judged_by_loss):
    program.config.hydra.sweeper = SEARCHING
    with pytest.raises(UserError, match=r"direction must be minimize, .* is its loss on the .* got maximize"):
        run_jobs(program, resources, jobs)


def test_a_search_for_the_smallest_loss_gets_it(
    program, resources, jobs, tracker, lines, capsys, judged_by_loss
):
    program.config.hydra.sweeper = SEARCHING | {"direction": "minimize"}
    assert [float(one.return_value) for one in run_jobs(program, resources, jobs)] == [0.25, 0.25]
    assert capsys.readouterr().out.splitlines()[-1].startswith("validation loss 0.2500: data=digits")


def test_a_sweep_of_two_metrics_says_why_it_compares_nothing_and_is_no_mistake(
    program, resources, jobs, tracker, lines, judged_by_loss, monkeypatch
):
    other = Outcomes("accuracy", judged_by_loss.by_name)
    monkeypatch.setattr(description, "outcomes_of", lambda run: judged_by_loss if run.number else other)
    returns = run_jobs(program, resources, jobs)
    assert [one.return_value.outcome.metric for one in returns] == ["accuracy", "loss"]
    assert next(line for line in lines() if "compared" in line).startswith(
        "not compared: the runs are judged by different metrics, accuracy (higher is better) and loss (lower"
    )
    assert tracker.ended[PARENT] is None


def test_several_calls_share_one_store_and_one_parent(program, resources, tracker, lines, log):
    with open_sweep(program, resources, PARENT, frozenset({"seed", "learning_rate"}), None) as opened:
        opened.run(jobs_of(program, ["seed=0"], ["seed=1"]))
        opened.run(jobs_of(program, ["seed=2"], first=2))
    assert [entry if isinstance(entry, str) else entry[0] for entry in log] == [
        "start",
        "open",
        "start",
        "close",
    ]
    names = [call.args[0] for call in tracker.run.call_args_list]
    assert names.count(PARENT) == 1
    assert tracker.run.call_args_list[0].kwargs["params"] == {"varied": "learning_rate, seed"}
    assert [result.seed for result in opened.results] == [0, 1, 2]
    tracker.links.assert_called_once_with([result.run_id for result in opened.results], SWEEP_ID)


def run_and_listen(program, resources, jobs):
    """Run the jobs; return what Hydra returns, and the numbers of the jobs in the order in which they ran."""
    seen = []

    def listen(cfg, run=None):
        seen.append(HydraConfig.get().job.num)
        return run(cfg)

    return run_jobs(replace(program, task=listen), resources, jobs), seen


def test_the_jobs_run_in_the_order_of_their_stacks_and_return_in_that_of_their_numbers(
    program, resources, jobs, tracker, lines
):
    returns, seen = run_and_listen(program, resources, jobs)
    assert seen == [1, 0]
    assert [one.status for one in returns] == [JobStatus.COMPLETED] * 2
    assert [one.return_value.choices["schedule"] for one in returns] == ["fixed", "staircase"]
    kept = sorted(path.name for path in program.folder.iterdir())
    assert kept == ["0", "1", "journal", "multirun.yaml"]
    assert (program.folder / "1" / ".hydra" / "overrides.yaml").exists()


def test_what_the_function_under_hydra_main_returns_is_what_its_job_returns(
    program, resources, jobs, tracker, lines
):
    own = replace(program, task=lambda cfg, run=None: run(cfg).test["accuracy"] * 64)
    assert [one.return_value for one in run_jobs(own, resources, jobs)] == [32.0, 33.0]


def test_a_run_that_failed_marks_the_sweep_and_keeps_no_other(program, resources, jobs, tracker, lines):
    def start(stacks):
        workers = fake_workers(stacks)
        second, first = stacks
        rest = list(fake_workers([first]))
        events = [Started(0, second), Broke(0, 1, "no memory left", "Traceback: there"), *rest]
        workers.__iter__.side_effect = lambda: iter(events)
        return workers

    resources.start.side_effect = start
    returns = run_jobs(program, resources, jobs)
    assert [one.status for one in returns] == [JobStatus.COMPLETED, JobStatus.FAILED]
    [failure] = tracker.opened[PARENT].fail.call_args_list
    assert failure.args[0] == "no memory left"
    assert "Traceback: there" in failure.args[1]
    assert tracker.ended[PARENT] is None
    assert str(tracker.ended["staircase seed=0"]) == "no memory left"
    assert "* note: failed, not counted: staircase seed=0" in lines()


def test_a_store_that_cannot_be_opened_ends_the_sweep_before_anything_is_trained(
    program, resources, jobs, monkeypatch, lines
):
    def fail(*_):
        raise OSError("the store is gone")

    monkeypatch.setattr(sweep, "open_tracker", fail)
    with pytest.raises(OSError, match="the store is gone"):
        run_jobs(program, resources, jobs)
    resources.made[0].__iter__.assert_not_called()
    resources.made[0].__exit__.assert_called_once()
    assert lines() == ["2 runs, 24 steps; compiling first"]


def test_what_ends_a_sweep_early_ends_its_own_run_and_no_table_is_printed(
    program, resources, jobs, tracker, lines
):
    def stop(cfg, run=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(replace(program, task=stop), resources, jobs)
    assert isinstance(tracker.ended[PARENT], KeyboardInterrupt)
    resources.made[0].stop.assert_called_once()
    resources.made[0].__exit__.assert_called_once()
    tracker.links.assert_not_called()
    assert lines() == ["2 runs, 24 steps; compiling first"]


def test_the_rates_of_each_run_are_printed_first_if_asked_for(program, resources, tracker, lines):
    run_jobs(program, resources, jobs_of(program, ["print_schedule=true", "schedule=fixed"]))
    assert lines()[:3] == ["fixed seed=0", "step   learning_rate", "   0   0.1"]
    assert lines()[14:16] == ["1 run, 12 steps; compiling first", "fixed seed=0"]


def test_at_its_end_a_sweep_prints_its_tables_its_links_and_where_the_report_is(
    program, resources, jobs, tracker, lines, monkeypatch
):
    found, make_report = SimpleNamespace(), Mock(spec=report.make_report)
    tracker.find_runs.return_value = found
    monkeypatch.setattr(report, "make_report", make_report)
    run_jobs(program, resources, jobs)
    path = program.folder / "report.html"
    assert lines()[-3:] == ["See it in MLflow:", "  http://[store]", f"report: {path}"]
    assert any("staircase" in line for line in lines()[:-3])
    run_ids = ["id of fixed seed=0", "id of staircase seed=0"]
    tracker.links.assert_called_once_with(run_ids, SWEEP_ID)
    tracker.find_runs.assert_called_once_with(SWEEP_ID)
    study, *others = make_report.call_args.args
    assert [result.run_id for result in study.results] == run_ids
    assert others == [found, "sqlite:////store.db", path]
    tracker.opened[PARENT].artifact.assert_called_once_with(path)


def test_of_a_store_that_is_gone_no_links_and_no_report_are_promised(
    program, resources, jobs, tracker, lines
):
    tracker.uri, tracker.is_lost = "http://me:hush@host", True
    run_jobs(program, resources, jobs)
    command = f"ratelab compare --uri 'http://me:***@host' --sweep {SWEEP_ID}"
    assert lines()[-1] == (
        f"The store took nothing any more. When it does again, this shows what it has: {command}"
    )
    assert any("staircase" in line for line in lines()[:-1])
    tracker.links.assert_not_called()
    tracker.find_runs.assert_not_called()


def test_what_goes_wrong_in_a_report_does_not_end_the_sweep(
    program, resources, jobs, tracker, lines, monkeypatch
):
    def fail(*_):
        raise RuntimeError("no paper\nat all")

    tracker.find_runs.return_value = SimpleNamespace()
    monkeypatch.setattr(report, "make_report", fail)
    returns = run_jobs(program, resources, jobs)
    assert lines()[-2:] == [
        "warning: no report was made: RuntimeError: no paper",
        f"Make it with: ratelab report --uri sqlite:////store.db --sweep {SWEEP_ID}",
    ]
    assert [one.status for one in returns] == [JobStatus.COMPLETED] * 2
    assert tracker.ended[PARENT] is None


def test_a_report_that_the_store_does_not_take_is_kept_beside_the_jobs(
    program, resources, jobs, tracker, lines, monkeypatch
):
    error = OSError("no space left")
    tracker.find_runs.return_value = SimpleNamespace()

    def make_report(*_):
        tracker.opened[PARENT].artifact.side_effect = error

    monkeypatch.setattr(report, "make_report", make_report)
    run_jobs(program, resources, jobs)
    assert lines()[-1] == f"report: {program.folder / 'report.html'}"
    tracker.opened[PARENT].warn.assert_called_once_with("report.html", error)
    assert tracker.ended[PARENT] is None


def test_a_store_that_cannot_be_read_does_not_end_the_sweep_either(program, resources, jobs, tracker, lines):
    tracker.find_runs.side_effect = OSError("the store is gone")
    run_jobs(program, resources, jobs)
    assert lines()[-2] == "warning: no report was made: OSError: the store is gone"
    assert tracker.ended[PARENT] is None


def test_a_job_whose_folder_cannot_be_written_is_recorded_all_the_same(
    program, resources, jobs, tracker, lines, capfd
):
    program.folder.mkdir(parents=True)
    for number in range(2):
        (program.folder / str(number)).write_text("a file where a folder is wanted")
    returns, seen = run_and_listen(program, resources, jobs)
    assert seen == [1, 0]
    assert [one.status for one in returns] == [JobStatus.COMPLETED] * 2
    assert [one.return_value.status for one in returns] == ["finished"] * 2
    assert tracker.ended == dict.fromkeys(["fixed seed=0", "staircase seed=0", PARENT])
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith(
        "warning: job 1: what Hydra writes of it could not be kept: [Errno 17] File exists"
    )
    assert second == "warning: what Hydra writes of it could not be kept of another run."


def test_what_a_function_raises_in_a_job_without_a_folder_is_the_end_of_that_job_alone(
    program, resources, jobs, tracker, lines, capfd
):
    program.folder.mkdir(parents=True)
    (program.folder / "1").write_text("a file where a folder is wanted")

    def fail_after(cfg, run=None):
        result = run(cfg)
        if HydraConfig.get().job.num == 1:
            raise ValueError("mine")
        return result

    returns = run_jobs(replace(program, task=fail_after), resources, jobs)
    assert [one.status for one in returns] == [JobStatus.COMPLETED, JobStatus.FAILED]
    with pytest.raises(ValueError, match="mine"):
        _ = returns[1].return_value


def test_where_nothing_is_tracked_there_are_no_links_and_no_report(program, resources, jobs, lines):
    run_jobs(program, resources, jobs)
    text = "\n".join(lines())
    assert "MLflow" not in text
    assert "report" not in text
    assert "warning" not in text
    assert not (program.folder / "report.html").exists()


def test_without_a_single_result_there_is_no_table(program, resources, jobs, tracker, lines):
    with open_sweep(program, resources, PARENT, frozenset(), 0):
        assert tracker.opened == {}  # nothing runs in it, so nothing is opened
    assert lines() == []
    assert tracker.opened == {}


def test_the_jobs_of_another_program_get_no_run_and_run_one_after_another(program, resources, jobs, lines):
    seen = []

    def foreign(cfg):
        seen.append(cfg.schedule._target_)
        return len(seen)

    returns = run_jobs(replace(program, task=foreign), resources, replace(jobs, runs=()))
    assert [one.return_value for one in returns] == [1, 2]
    assert seen == ["ratelab.schedules.fixed", "ratelab.schedules.exponential"]
    resources.start.assert_not_called()
    assert (program.folder / "multirun.yaml").exists()
    assert lines() == []
