"""A sweep from its first line to its last: Hydra's jobs are real, workers and store are fakes."""

import io
import logging
import threading
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock, create_autospec

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from rich.console import Console

from ratelab import report
from ratelab.comparison import Outcomes
from ratelab.runs import description, display, feed
from ratelab.runs.past import read_past
from ratelab.runtime import provenance
from ratelab.runtime.lost_metrics import StoreLacksError, told_at_the_end
from ratelab.runtime.program_identity import this_program
from ratelab.sweeps import store as sweeps_store
from ratelab.sweeps import sweep
from ratelab.sweeps.jobs import plan_jobs
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.stacks import Broke, Stack, Started
from ratelab.sweeps.sweep import open_sweep, run_jobs
from ratelab.tracking import StoreError
from ratelab.validation import UserError
from support.composing import QuickComposer, hydra_program
from support.fakes import fake_checkpoints, fake_tracker, fake_workers

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
    monkeypatch.setattr(sweeps_store, "open_tracker", lambda *given: log.append(("open", *given)) or fake)
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
    assert tracker.ended == dict.fromkeys(["fixed seed=0", "staircase seed=0", PARENT])
    [failure] = tracker.opened["staircase seed=0"].fail.call_args_list
    assert failure.args[0] == "TrainingFailed: no memory left"
    assert "Traceback: there" in failure.args[1]
    tracker.opened["fixed seed=0"].fail.assert_not_called()
    assert "* note: failed, not counted: staircase seed=0" in lines()
    past = read_past(program.folder)
    assert (past.sweep_is_stored, past.has_finished) == (True, False)


def test_what_failed_is_told_to_the_run_of_the_sweep_when_nothing_else_is_left(
    program, resources, tracker, lines
):
    """So nothing waits for the store while the sweep trains."""

    def start(stacks):
        workers = fake_workers(stacks)
        events = [event for one in stacks for event in (Started(0, one), Broke(0, one.numbers[0], "no", ""))]
        workers.__iter__.side_effect = lambda: iter(events)
        return workers

    resources.start.side_effect = start
    with open_sweep(program, resources, PARENT, frozenset(), None) as opened:
        opened.run(jobs_of(program, ["seed=0"], ["seed=1"]))
        tracker.opened[PARENT].fail.assert_not_called()
    assert [call.args[0] for call in tracker.opened[PARENT].fail.call_args_list] == ["no", "no"]
    assert tracker.ended[PARENT] is None


def test_what_failed_is_told_although_the_sweep_is_stopped(program, resources, jobs, tracker, lines):
    def start(stacks):
        workers = fake_workers(stacks)

        def events():
            yield Started(0, stacks[0])
            yield Broke(0, stacks[0].numbers[0], "no memory left", "")
            raise KeyboardInterrupt

        workers.__iter__.side_effect = events
        return workers

    resources.start.side_effect = start
    with pytest.raises(KeyboardInterrupt):
        run_jobs(program, resources, jobs)
    assert [call.args[0] for call in tracker.opened[PARENT].fail.call_args_list] == ["no memory left"]
    assert isinstance(tracker.ended[PARENT], KeyboardInterrupt)
    assert not read_past(program.folder).sweep_is_stored


REFUSAL = "tracking.uri: it is full."


class Store:
    """Stands before the runs of a fake tracker: it opens those that it has once more, and may refuse."""

    def __init__(self, tracker):
        self._tracker, self._open_run = tracker, tracker.run.side_effect
        self.refuses = lambda name: False  # to open it
        self.refuses_end = lambda name: False
        self.loses_metrics = lambda name: False
        tracker.run.side_effect = self._run

    @contextmanager
    def _run(self, name, **options):
        if self.refuses(name):
            raise StoreError(REFUSAL)
        if options["is_resumed"]:
            self._tracker.opened.pop(name, None)
        with self._open_run(name, **options) as run:
            run.lacks_metrics = self.loses_metrics(name)
            yield run
        if self.refuses_end(name):
            raise StoreError(REFUSAL)


@pytest.fixture
def store(tracker):
    return Store(tracker)


@pytest.fixture
def checkpoints(monkeypatch):
    """Those of the sweep, fakes that keep nothing."""
    fake = fake_checkpoints()
    monkeypatch.setattr(sweep, "Checkpoints", lambda *_: fake)
    return fake


def is_child(name):
    return name != PARENT


def settle(opened):
    """Wait until the store of a sweep has been given what waits for it."""
    feed = opened._store.feed
    with feed._changed:
        assert feed._changed.wait_for(feed._is_idle, timeout=10)


@pytest.mark.parametrize("lost", ["refuses", "refuses_end", "loses_metrics"])
def test_a_sweep_whose_store_is_lost_compares_its_results_and_says_that_the_store_lacks_them(
    program, resources, jobs, store, tracker, checkpoints, lines, capfd, lost
):
    setattr(store, lost, is_child)
    with pytest.raises(StoreLacksError) as raised, told_at_the_end():
        returns = run_jobs(program, resources, jobs)
    assert [one.status for one in returns] == [JobStatus.COMPLETED] * 2
    assert [one.return_value.value for one in returns] == [0.5, 0.5 + 1 / 64]
    ranks = {tuple(line.split()[:3]) for line in lines()}
    assert {("staircase", "1", "0.5156"), ("fixed", "1", "0.5000")} <= ranks
    assert raised.value.status == 75
    assert str(raised.value).endswith(f"ratelab sync {program.folder}")
    past = read_past(program.folder)
    assert not past.has_finished
    assert [(run.ended["status"], run.is_stored) for run in past.runs.values()] == [("finished", False)] * 2
    checkpoints.clear.assert_not_called()
    # of the sweep as a whole the store has everything
    assert past.sweep_is_stored
    tracker.opened[PARENT].fail.assert_not_called()
    assert tracker.ended[PARENT] is None
    told = capfd.readouterr().err.count("What the store lacks is in the journal; it is given another time")
    assert told == (lost != "loses_metrics")  # of which the run itself warns


def test_one_run_that_the_store_lacks_is_left_out_of_its_links_alone(
    program, resources, jobs, store, tracker, lines
):
    store.refuses = lambda name: name == "fixed seed=0"
    with open_sweep(program, resources, PARENT, frozenset({"schedule"}), 2) as opened:
        opened.run(jobs)
    tracker.links.assert_called_once_with(["id of staircase seed=0"], SWEEP_ID)
    assert [(result.run_id, result.lacks_metrics) for result in opened.results] == [
        ("", True),
        ("id of staircase seed=0", False),
    ]
    assert [run.is_stored for run in read_past(program.folder).runs.values()] == [False, True]


@pytest.mark.parametrize("lost", ["refuses", "refuses_end", "loses_metrics"])
def test_a_store_that_takes_everything_again_before_the_end_lacks_nothing(
    program, resources, jobs, store, tracker, checkpoints, lines, lost
):
    setattr(store, lost, is_child)
    with told_at_the_end(), open_sweep(program, resources, PARENT, frozenset({"schedule"}), 2) as opened:
        opened.run(jobs)
        settle(opened)
        assert [opened._store.feed.lacks(number) for number in (0, 1)] == [True, True]
        setattr(store, lost, lambda name: False)
    assert [(result.run_id, result.lacks_metrics) for result in opened.results] == [
        ("id of fixed seed=0", False),
        ("id of staircase seed=0", False),
    ]
    past = read_past(program.folder)
    assert past.has_finished
    assert [run.is_stored for run in past.runs.values()] == [True, True]
    checkpoints.clear.assert_called_once_with()
    for name in ("fixed seed=0", "staircase seed=0"):
        keys = [call.args[0] for call in tracker.opened[name].metrics.call_args_list]
        assert keys.count("learning_rate") == 1
        assert tracker.ended[name] is None


def test_a_sweep_whose_own_end_the_store_does_not_take_is_compared_and_says_that_the_store_lacks_it(
    program, resources, jobs, store, tracker, lines, capfd
):
    store.refuses_end = lambda name: name == PARENT
    with pytest.raises(StoreLacksError) as raised, told_at_the_end():
        returns = run_jobs(program, resources, jobs)
    assert raised.value.status == 75
    assert "metrics of 1 of 3 runs" in str(raised.value)
    assert capfd.readouterr().err == f"warning: {REFUSAL}\n"
    assert [one.status for one in returns] == [JobStatus.COMPLETED] * 2
    assert any("staircase" in line for line in lines())
    past = read_past(program.folder)
    assert not past.sweep_is_stored
    assert [run.is_stored for run in past.runs.values()] == [True, True]


def test_a_sweep_that_is_stopped_does_not_wait_for_a_store_that_does_not_answer(
    program, resources, jobs, store, tracker, checkpoints, lines, capfd, monkeypatch
):
    monkeypatch.setattr(feed, "_STOPPING", 0.01)
    answers = threading.Event()
    store.refuses = lambda name: is_child(name) and not answers.wait(30)

    def stop_after(cfg, run=None):
        run(cfg)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(replace(program, task=stop_after), resources, jobs)
    tracker.give_up.assert_called_once_with()
    assert isinstance(tracker.ended[PARENT], KeyboardInterrupt)
    assert tracker.opened.keys() == {PARENT}
    command = f"ratelab sync {program.folder}"
    assert capfd.readouterr().err == (
        f"warning: the store has not taken all in time. Give it the rest: {command}\n"
    )
    past = read_past(program.folder)
    # the last stack comes first; of the other one nothing had begun
    assert {number: bool(run.ended) for number, run in past.runs.items()} == {0: False, 1: True}
    assert not any((past.has_finished, past.sweep_is_stored, past.runs[1].is_stored))
    checkpoints.clear.assert_not_called()
    answers.set()
    for thread in threading.enumerate():
        if thread.name == "feed":
            thread.join(10)


def test_a_store_that_does_not_open_the_run_of_the_sweep_ends_it_before_anything_is_trained(
    program, resources, jobs, store, tracker, lines
):
    store.refuses = lambda name: True
    with pytest.raises(StoreError, match="it is full"):
        run_jobs(program, resources, jobs)
    resources.made[0].__iter__.assert_not_called()
    resources.made[0].__exit__.assert_called_once()
    assert tracker.opened == {}
    past = read_past(program.folder)
    assert (past.sweep["name"], past.sweep_is_stored) == (PARENT, False)


def test_a_store_that_cannot_be_opened_ends_the_sweep_before_anything_is_trained(
    program, resources, jobs, monkeypatch, lines
):
    def fail(*_):
        raise OSError("the store is gone")

    monkeypatch.setattr(sweeps_store, "open_tracker", fail)
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
    assert lines()[-1] == (f"The store has not taken all. When it has, this shows what there is: {command}")
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
