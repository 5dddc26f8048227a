"""What workers report becomes records, whatever the order and however it ends; the workers are fakes."""

from contextlib import closing, contextmanager
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
from omegaconf import OmegaConf

from ratelab.runs.planned import Labels
from ratelab.runtime.progress import Reporter
from ratelab.sweeps import recorder
from ratelab.sweeps.recorder import Recorder, TrainingFailed
from ratelab.sweeps.resources import Workers
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Stack, Started
from ratelab.tracking import StoreError
from ratelab.validation import UserError
from support.configs import planned_run
from support.fakes import (
    AtOnce,
    FakeModel,
    chunk,
    diverged_chunk,
    fake_checkpoints,
    fake_tracker,
    journal_in,
)

WORKER = 1
CFG = OmegaConf.create({"seed": 0})


def run_numbered(number, **changes):
    labels = Labels({"schedule": "fixed"}, f"group{number}", (), "a-sweep")
    return replace(planned_run(number, **changes), labels=labels, composed=CFG)


RUNS = [run_numbered(number) for number in range(3)]
STACK = Stack(tuple(RUNS))
STARTED = Started(WORKER, STACK)


def name(number):
    return f"group{number} seed=0"


def epoch(number, of=0, make=chunk, members=(0, 1, 2)):
    return Epoch(WORKER, number, make(of), members)


def ended(number, weights=None):
    return Ended(WORKER, number, {"loss": 0.5, "accuracy": number / 8}, weights)


def broke(number, traceback=""):
    return Broke(WORKER, number, f"run {number} broke", traceback)


def epochs(*numbers):
    """The three epochs of each run, as a stack gives them."""
    return [epoch(number, of) for of in range(3) for number in numbers]


@pytest.fixture
def tracker():
    return fake_tracker()


@pytest.fixture
def journal(tmp_path):
    with closing(journal_in(tmp_path, "a-sweep")) as opened:
        yield opened


@pytest.fixture
def feed(tracker, journal):
    with AtOnce(tracker, journal, "the sweep") as opened:
        yield opened


@pytest.fixture
def workers():
    """Call `workers.give(...)` with the events that come, then with those that `stop` yields."""
    fake = create_autospec(Workers, instance=True)

    def give(events, left=()):
        fake.__iter__.side_effect = lambda: iter(events)
        fake.stop.side_effect = lambda: iter(left)

    fake.give = give
    give([])
    return fake


@pytest.fixture
def progress():
    return create_autospec(Reporter, instance=True)


@pytest.fixture
def failures():
    return []


@pytest.fixture
def recording(workers, feed, journal, progress, failures):
    def make(*events, left=(), runs=RUNS):
        workers.give(events, left)
        return Recorder(
            runs,
            workers,
            feed,
            journal,
            fake_checkpoints(),
            {},
            progress,
            failures.append,
        )

    return make


def told(progress):
    """What the progress was told, in its order; of an epoch its number."""
    calls = [(call[0], *call.args) for call in progress.method_calls]
    return [(*call[:2], call[2].epoch) if call[0] == "advance" else call for call in calls]


def endings(tracker):
    """How each run has ended in the store, by its number: "" well, else why it failed or what ended it."""
    found = {}
    for number in range(4):
        if (run_name := name(number)) in tracker.ended:
            failed = tracker.opened[run_name].fail.call_args_list
            error = tracker.ended[run_name]
            found[number] = ", ".join([*[call.args[0] for call in failed], *([repr(error)] if error else [])])
    return found


def recorded_epochs(tracker, number):
    """The first steps of the epochs that were recorded of a run."""
    calls = tracker.opened[name(number)].metrics.call_args_list
    return [int(call.args[1][0]) for call in calls if call.args[0] == "learning_rate"]


def test_the_results_come_in_whichever_order_they_are_asked_for(recording, tracker, workers):
    events = [STARTED, *epochs(0, 1, 2), ended(2), ended(0), ended(1)]
    with recording(*events) as opened:
        results = {number: opened.await_run(RUNS[number], CFG) for number in (1, 2, 0)}
    assert {number: result.test["accuracy"] for number, result in results.items()} == {
        number: number / 8 for number in range(3)
    }
    assert opened.results == results
    assert {number: result.run_id for number, result in results.items()} == {
        number: f"id of {name(number)}" for number in range(3)
    }
    assert endings(tracker) == {0: "", 1: "", 2: ""}
    workers.stop.assert_not_called()


def test_no_more_is_taken_than_the_run_asked_for_needs(recording, tracker):
    opened = recording(STARTED, *epochs(0), ended(0), epoch(1))
    assert opened.await_run(RUNS[0], CFG).status == "finished"
    assert opened.results == {0: opened.await_run(RUNS[0], CFG)}
    assert recorded_epochs(tracker, 1) == []
    opened.__exit__(None, None, None)


def test_every_run_of_a_stack_is_opened_when_it_starts_as_a_child_of_the_sweep(recording, tracker):
    with pytest.raises(StopIteration), recording(STARTED) as opened:
        opened.await_run(RUNS[0], CFG)
    assert [call.args[0] for call in tracker.run.call_args_list] == [name(number) for number in range(3)]
    assert {call.kwargs["parent_id"] for call in tracker.run.call_args_list} == {"the sweep"}


def test_the_progress_is_told_of_everything(recording, progress):
    with recording(STARTED, *epochs(0, 1, 2), ended(0), ended(1), broke(2)) as opened:
        opened.await_run(RUNS[1], CFG)
        with pytest.raises(UserError):
            opened.await_run(RUNS[2], CFG)
    assert told(progress) == [
        ("start", WORKER, "seed=0: group0, group1, group2", RUNS[0].pace, 450),
        *[("advance", WORKER, number) for number in (0, 0, 0, 1, 1, 1, 2, 2, 2)],
        *[("end", WORKER, 0)] * 3,
    ]
    looks = [call.args[2] for call in progress.advance.call_args_list]
    assert looks == [f"val {0.5 + of / 8:.4f}" for of in (0, 0, 0, 1, 1, 1, 2, 2, 2)]


def test_a_run_that_broke_is_raised_where_it_is_awaited_and_keeps_no_other(recording, tracker, failures):
    events = [STARTED, epoch(0), broke(0), *epochs(1), ended(1), broke(2, "Traceback: there")]
    with recording(*events) as opened:
        with pytest.raises(TrainingFailed, match="run 2 broke") as failed:
            opened.await_run(RUNS[2], CFG)
        assert failed.value.__notes__ == ["Traceback: there"]
        with pytest.raises(UserError, match="run 0 broke") as mistake:
            opened.await_run(RUNS[0], CFG)
        assert opened.await_run(RUNS[1], CFG).status == "finished"
    assert endings(tracker) == {0: "UserError: run 0 broke", 1: "", 2: "TrainingFailed: run 2 broke"}
    assert "Traceback: there" in tracker.opened[name(2)].fail.call_args.args[1]
    assert failures == [mistake.value, failed.value]
    statuses = {number: result.status for number, result in opened.results.items()}
    assert statuses == {0: "failed", 1: "finished", 2: "failed"}
    assert len(opened.results[0].validation) == 1


def test_a_run_that_broke_early_leaves_steps_out(recording, progress):
    with recording(STARTED, epoch(0), broke(0)) as opened, pytest.raises(UserError):
        opened.await_run(RUNS[0], CFG)
    assert told(progress)[-1] == ("end", WORKER, 100)


def test_a_run_that_diverged_is_a_result_and_no_failure(recording, tracker, progress, failures):
    with recording(STARTED, epoch(0), epoch(0, 1, diverged_chunk)) as opened:
        result = opened.await_run(RUNS[0], CFG)
    assert (result.status, result.diverged_step) == ("diverged", 99)
    assert endings(tracker)[0] == "Diverged('the loss is not finite at step 99')"
    assert failures == []
    assert told(progress)[-2:] == [("advance", WORKER, 1), ("end", WORKER, 50)]


def test_a_stack_that_begins_again_is_recorded_once(recording, tracker, progress):
    events = [STARTED, epoch(0), epoch(1), epoch(2), epoch(0, 1), broke(2)]
    again = Started(0, STACK)
    with recording(*events, again, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        assert opened.await_run(RUNS[0], CFG).status == "finished"
        assert opened.await_run(RUNS[1], CFG).status == "finished"
        with pytest.raises(UserError):
            opened.await_run(RUNS[2], CFG)
    assert tracker.run.call_count == 3
    assert [recorded_epochs(tracker, number) for number in (0, 1, 2)] == [[0, 50, 100], [0, 50, 100], [0]]
    starts = [call for call in told(progress) if call[0] == "start"]
    # only what is left: the third run has ended, and of the others 100 and 50 steps are recorded
    assert starts[1:] == [("start", 0, "seed=0: group0, group1", RUNS[0].pace, 150)]
    assert len(opened.results[0].validation) == 3


def test_what_comes_of_a_run_that_has_ended_is_ignored(recording, tracker):
    events = [STARTED, *epochs(0), ended(0), epoch(0, 3), ended(0), broke(0), *epochs(1), ended(1)]
    with recording(*events) as opened:
        opened.await_run(RUNS[1], CFG)
        assert opened.await_run(RUNS[0], CFG).status == "finished"
    assert recorded_epochs(tracker, 0) == [0, 50, 100]
    assert endings(tracker)[0] == ""


def test_a_stack_that_begins_again_when_all_its_runs_have_ended_is_passed_over(recording, tracker, progress):
    other = run_numbered(3)
    events = [STARTED, *epochs(0, 1, 2), *map(ended, range(3)), STARTED, *epochs(0, 1, 2)]
    events += [Started(WORKER, Stack((other,))), *epochs(3), ended(3)]
    with recording(*events, runs=[*RUNS, other]) as opened:
        assert opened.await_run(other, CFG).status == "finished"
    assert tracker.run.call_count == 4
    starts = [call[2] for call in told(progress) if call[0] == "start"]
    assert starts == ["seed=0: group0, group1, group2", "group3 seed=0"]


def refuse_one(tracker, error, number=1):
    """Let the store not open this run; return what lets it do so again."""
    open_run = tracker.run.side_effect

    def refuse_or_open(run_name, **options):
        if run_name == name(number):
            raise error
        return open_run(run_name, **options)

    tracker.run.side_effect = refuse_or_open
    return open_run


def test_a_run_that_the_store_does_not_open_is_trained_and_a_result_like_the_others(
    recording, tracker, feed, progress, failures
):
    refuse_one(tracker, StoreError("tracking.uri: it is full."))
    with recording(STARTED, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        results = {number: opened.await_run(RUNS[number], CFG) for number in range(3)}
    assert [(result.status, result.value, result.run_id) for result in results.values()] == [
        ("finished", 0.0, f"id of {name(0)}"),
        ("finished", 0.125, ""),
        ("finished", 0.25, f"id of {name(2)}"),
    ]
    assert [feed.lacks(number) for number in range(3)] == [False, True, False]
    assert failures == []
    assert told(progress)[-3:] == [("end", WORKER, 0)] * 3
    assert endings(tracker) == {0: "", 2: ""}


def test_a_run_that_was_not_opened_is_given_whole_to_a_store_that_takes_it_again(recording, tracker, feed):
    open_run = refuse_one(tracker, StoreError("tracking.uri: it is full."))
    with recording(STARTED, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        opened.await_run(RUNS[2], CFG)
        tracker.run.side_effect = open_run
        feed.drain()
    assert (feed.lacks(1), feed.id_of(1)) == (False, f"id of {name(1)}")
    assert recorded_epochs(tracker, 1) == [0, 50, 100]
    assert endings(tracker) == {0: "", 1: "", 2: ""}
    assert tracker.run.call_args.kwargs["parent_id"] == "the sweep"


def test_a_run_that_no_store_could_open_fails_and_the_others_of_its_stack_go_on(
    recording, tracker, progress, failures
):
    error = OSError("no space left")
    refuse_one(tracker, error)
    with recording(STARTED, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        with pytest.raises(OSError, match="no space left") as raised:
            opened.await_run(RUNS[1], CFG)
        assert opened.await_run(RUNS[2], CFG).status == "finished"
    assert raised.value is error
    assert failures == [error]
    assert told(progress)[1:3] == [("advance", WORKER, 0), ("end", WORKER, 150)]  # of the first, the second
    assert endings(tracker) == {0: "", 2: ""}
    assert {number: (result.status, result.run_id) for number, result in opened.results.items()} == {
        0: ("finished", f"id of {name(0)}"),
        1: ("failed", ""),
        2: ("finished", f"id of {name(2)}"),
    }


def test_an_epoch_that_no_store_could_take_is_an_error_of_its_run(recording, tracker, journal, failures):
    """The store is given it while training goes on; so it is the next epoch that ends the run."""
    with recording(STARTED, epoch(0), epoch(1), epoch(0, 1), *epochs(2), ended(2)) as opened:
        opened._record(STARTED)
        tracker.opened[name(0)].metrics.side_effect = ValueError("no such name")
        with pytest.raises(ValueError, match="no such name") as raised:
            opened.await_run(RUNS[0], CFG)
        assert opened.await_run(RUNS[2], CFG).status == "finished"
    assert failures == [raised.value]
    past = journal.read_again().runs[0]
    assert (past.steps, past.stopped["status"]) == (50, "FAILED")
    assert past.stopped["reason"] == "ValueError: no such name"
    assert opened.results[0].status == "failed"


def test_a_run_whose_metrics_could_not_be_stored_is_a_result_like_the_others(
    recording, tracker, feed, failures
):
    with recording(STARTED, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        opened._record(STARTED)
        tracker.opened[name(1)].lacks_metrics = True
        result = opened.await_run(RUNS[1], CFG)
        assert (result.status, result.value, result.run_id) == ("finished", 0.125, f"id of {name(1)}")
        opened.await_run(RUNS[2], CFG)
    assert failures == []
    assert [feed.lacks(number) for number in range(3)] == [False, True, False]
    # left as it is there, to be begun again: nothing more is given, and no end
    tracker.opened[name(1)].leave.assert_called_once_with()
    assert recorded_epochs(tracker, 1) == [0]
    assert endings(tracker) == {0: "", 1: "", 2: ""}


def test_a_run_whose_end_the_store_does_not_take_is_a_result_and_no_failure(
    recording, tracker, feed, journal, failures
):
    open_run = tracker.run.side_effect

    @contextmanager
    def refuse_the_end(run_name, **options):
        with open_run(run_name, **options) as run:
            yield run
        if run_name == name(1):
            raise StoreError("tracking.uri: it is full.")

    tracker.run.side_effect = refuse_the_end
    with recording(STARTED, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        results = [opened.await_run(RUNS[number], CFG) for number in (1, 2, 0)]
    assert failures == []
    assert [(result.status, result.value) for result in results] == [
        ("finished", 0.125),
        ("finished", 0.25),
        ("finished", 0.0),
    ]
    assert [feed.lacks(number) for number in range(3)] == [False, True, False]
    past = journal.read_again().runs
    assert [past[number].is_stored for number in range(3)] == [True, False, True]


def test_what_has_been_computed_is_recorded_when_something_ends_the_sweep(recording, tracker, workers):
    error = KeyboardInterrupt()
    opened = recording(left=[*epochs(0), ended(0), epoch(1)])
    opened._record(STARTED)
    with pytest.raises(KeyboardInterrupt), opened:
        raise error
    workers.stop.assert_called_once()
    assert endings(tracker) == {0: "", 1: "KeyboardInterrupt()", 2: "KeyboardInterrupt()"}
    assert [len(recorded_epochs(tracker, number)) for number in range(3)] == [3, 1, 0]
    assert {number: result.status for number, result in opened.results.items()} == {0: "finished"}


def test_every_record_is_ended_although_the_workers_cannot_be_stopped(recording, tracker, workers):
    error = RuntimeError("first")
    opened = recording()
    opened._record(STARTED)
    workers.stop.side_effect = OSError("no such process")
    with pytest.raises(RuntimeError, match="first") as raised, opened:
        raise error
    assert raised.value is error
    assert error.__notes__ == ["and then OSError: no such process"]
    assert endings(tracker) == dict.fromkeys(range(3), "RuntimeError: first")


def test_a_run_that_nobody_awaited_is_no_run_that_finished(recording, tracker):
    with recording(STARTED, *epochs(0), ended(0), epoch(1)) as opened:
        opened.await_run(RUNS[0], CFG)
    why = "RuntimeError: the sweep ended before this run"
    assert endings(tracker) == {0: "", 1: why, 2: why}


def test_a_configuration_that_was_changed_after_composing_is_refused(recording, tracker):
    changed = OmegaConf.create({"seed": 1})
    with recording(STARTED) as opened, pytest.raises(UserError) as raised:
        opened.await_run(RUNS[0], changed)
    assert str(raised.value) == (
        "group0 seed=0: the configuration was changed after Hydra had composed it, but a sweep is "
        "trained as composed; give the change as an override, or choose hydra/launcher=basic."
    )
    assert tracker.opened == {}


@pytest.fixture
def device(monkeypatch):
    configure = create_autospec(recorder.devices.configure)
    monkeypatch.setattr(recorder.devices, "configure", configure)
    return configure


def test_a_model_is_built_from_the_weights_of_the_runs_that_send_them(recording, tracker, device):
    runs = [run_numbered(number) for number in range(2)]
    for run in runs:
        run.__dict__["job"] = replace(run.job, build_model=FakeModel)
    weights = [np.ones(3, np.float32)]
    events = [Started(WORKER, Stack(tuple(runs))), *epochs(0, 1), ended(0), ended(1, weights)]
    with recording(*events, runs=runs) as opened:
        opened.await_run(runs[1], CFG)
    tracker.opened[name(0)].log_keras_model.assert_not_called()
    model, _ = tracker.opened[name(1)].log_keras_model.call_args.args
    assert isinstance(model, FakeModel)
    assert model.weights is weights
    device.assert_called_once_with(runs[1].config.device)


def test_every_record_is_ended_although_one_of_them_cannot_be(recording, tracker):
    error = KeyboardInterrupt()
    opened = recording()
    opened._record(STARTED)

    def fail(_):
        raise OSError("the store is gone")

    opened._records[0].close = fail
    with pytest.raises(KeyboardInterrupt) as raised, opened:
        raise error
    assert raised.value is error
    assert error.__notes__ == ["and then OSError: the store is gone"]
    assert endings(tracker) == {1: "KeyboardInterrupt()", 2: "KeyboardInterrupt()"}


def test_a_model_that_cannot_be_built_is_a_warning_of_its_run(recording, tracker, device):
    error = ValueError("no such layer")

    def fail():
        raise error

    run = run_numbered(0)
    run.__dict__["job"] = replace(run.job, build_model=fail)
    events = [Started(WORKER, Stack((run,))), *epochs(0), ended(0, [])]
    with recording(*events, runs=[run]) as opened:
        assert opened.await_run(run, CFG).status == "finished"
    tracker.opened[name(0)].warn.assert_called_once_with("the model", error)
    assert endings(tracker) == {0: ""}


def test_no_further_run_ends_well_after_a_signal_that_another_job_has_swallowed(recording, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    with recording(STARTED, *epochs(0, 1, 2), *map(ended, range(3))) as opened:
        assert opened.await_run(RUNS[2], CFG).status == "finished"
        monkeypatch.setattr(recorder, "raise_if_told_to_stop", stop)
        with pytest.raises(KeyboardInterrupt):
            opened.await_run(RUNS[0], CFG)
