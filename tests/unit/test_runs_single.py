"""One run in this process: planned once, recorded however it ends; training itself is a fake."""

import copy
import math
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from ratelab.runs import planned, single
from ratelab.runs.past import read_past
from ratelab.runs.preflight import Preflight
from ratelab.runs.single import run_single
from ratelab.runtime import handover
from ratelab.runtime.lost_metrics import StoreLacksError, told_at_the_end
from ratelab.tracking import StoreError
from ratelab.training import ProgramCache, Training, background
from ratelab.validation import UserError
from support.composing import composed
from support.fakes import (
    chunk,
    diverged_chunk,
    fake_checkpoints,
    fake_tracker,
    fake_training,
    journal_in,
)

NAME = "fixed seed=0"


def own_part(config):
    """What Hydra hands to the function under `@hydra.main`: a copy, without Hydra's own part."""
    own = copy.deepcopy(config)
    with open_dict(own):
        del own["hydra"]
    return own


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """Compose a single run on the digits and let Hydra know of it, as it does before the body of a job."""

    def compose_run(*overrides, number="???"):
        config = composed("data=digits", "tracking=none", "epochs=2", "schedule=fixed", *overrides)
        with open_dict(config):
            config.hydra.job.num = number
            config.hydra.runtime.output_dir = str(tmp_path)
        monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.masked_copy(config, ["hydra"]))
        return config

    yield compose_run
    handover.take()


@pytest.fixture
def tracker(monkeypatch):
    fake = fake_tracker()
    monkeypatch.setattr(single, "open_tracker", lambda *given: fake.given.append(given) or fake)
    fake.given = []
    return fake


@pytest.fixture(autouse=True)
def training(monkeypatch):
    """A training of two epochs; its class is `training.made`, told of every job."""
    fake = fake_training(chunk(0, 12), chunk(1, 12))
    fake.made = create_autospec(Training, return_value=fake)
    monkeypatch.setattr(single, "Training", fake.made)
    programs = create_autospec(ProgramCache, instance=True)
    monkeypatch.setattr(single, "_programs_of_process", lambda: programs)
    monkeypatch.setattr(single.devices, "configure", create_autospec(single.devices.configure))
    return fake


@pytest.fixture
def checkpoints(monkeypatch):
    """Those of the run, fakes that keep nothing."""
    fake = fake_checkpoints()
    monkeypatch.setattr(single, "Checkpoints", lambda *_: fake)
    return fake


def written_epochs(tracker):
    """The first steps of the epochs that the store was given."""
    calls = tracker.opened[NAME].metrics.call_args_list
    return [int(call.args[1][0]) for call in calls if call.args[0] == "learning_rate"]


def failure(tracker):
    """Why the run failed, as its store has it, and the traceback; once this is told its block ends well."""
    [told] = tracker.opened[NAME].fail.call_args_list
    assert tracker.ended == {NAME: None}
    return told.args


@pytest.fixture
def count(monkeypatch):
    """How often a run was planned and its store prepared."""
    calls = {"job_of": 0, "prepare_store": 0}
    for name in calls:
        function = getattr(planned, name)

        def counted(*given, name=name, function=function):
            calls[name] += 1
            return function(*given)

        monkeypatch.setattr(planned, name, counted)
    return calls


def test_the_hook_and_the_body_of_a_run_plan_it_once_together(begin, tracker, count):
    config = begin()
    Preflight().on_run_start(config)
    assert count == {"job_of": 1, "prepare_store": 1}
    run_single(own_part(config))
    assert count == {"job_of": 1, "prepare_store": 1}


def test_a_run_whose_configuration_was_changed_in_between_is_planned_again(begin, tracker, training, count):
    config = begin()
    Preflight().on_run_start(config)
    changed = own_part(config)
    changed.epochs = 1
    result = run_single(changed)
    assert count == {"job_of": 2, "prepare_store": 2}
    assert result.settings["epochs"] == "1"
    assert training.made.call_args.args[0][0].batches.epochs == 1


def test_without_the_hook_the_body_plans_once(begin, tracker, count):
    run_single(own_part(begin()))
    assert count == {"job_of": 1, "prepare_store": 1}


def test_what_the_hook_made_is_of_one_run_only(begin, tracker, count):
    config = begin()
    Preflight().on_run_start(config)
    run_single(own_part(config))
    tracker.opened.clear()
    run_single(own_part(config))
    assert count == {"job_of": 2, "prepare_store": 2}


def test_a_run_is_trained_recorded_and_told(begin, tracker, training, capsys):
    config = begin("tracking.experiment=mine")
    result = run_single(own_part(config))
    assert (result.status, result.test["accuracy"], result.run_id) == ("finished", 0.875, f"id of {NAME}")
    assert [look.step for look in result.validation] == [11, 23]
    assert tracker.ended == {NAME: None}
    [given] = tracker.given
    assert given[:2] == (None, "mine")
    tracker.links.assert_called_once_with([result.run_id], None)
    device = single.devices.configure.call_args.args[0]
    assert device.kind == "auto"
    assert capsys.readouterr().out.splitlines() == [
        "1 run, 24 steps; compiling first",
        NAME,
        "See it in MLflow:",
        "  http://[store]",  # brackets are no markup
        "test accuracy 0.8750, 1.00 s",
    ]


def test_a_run_that_does_not_look_at_the_test_split_tells_its_last_validation(
    begin, tracker, training, capsys
):
    training.test.return_value = [None]
    run_single(own_part(begin("test=false")))
    assert capsys.readouterr().out.splitlines()[-1] == "validation accuracy 0.6250, 1.00 s"


@pytest.mark.parametrize(("loss", "written"), [(53.25, "53.25"), (0.00125, "0.001250"), (math.nan, "nan")])
def test_the_last_line_tells_what_judges(begin, tracker, training, capsys, judged_by_loss, loss, written):
    training.test.return_value = [{"loss": loss, "accuracy": 0.5}]
    run_single(own_part(begin()))
    assert capsys.readouterr().out.splitlines()[-1] == f"test loss {written}, 1.00 s"


def test_the_rates_are_printed_if_asked_for(begin, tracker, capsys):
    run_single(own_part(begin("print_schedule=true")))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["step   learning_rate", "   0   0.1"]
    assert lines[24] == "  23   0.1"


@pytest.mark.parametrize(
    ("log_model", "number", "is_kept"),
    [
        ("null", "???", True),
        ("null", 3, False),
        ("true", 3, True),
        ("false", "???", False),
    ],
)
def test_the_model_is_kept_as_asked_or_else_of_a_single_run(
    begin, tracker, training, log_model, number, is_kept
):
    run_single(own_part(begin(f"tracking.log_model={log_model}", number=number)))
    kept = [call.args[0] for call in tracker.opened[NAME].log_keras_model.call_args_list]
    assert kept == ([training.model.return_value] if is_kept else [])
    assert training.model.call_count == is_kept


def test_a_job_of_another_launcher_is_of_its_sweep(begin, tracker):
    config = begin(number=3)
    for hydra in (config.hydra, HydraConfig.instance().cfg.hydra):
        hydra.callbacks.preflight.sweep_id = "2026-01-31-12-00-00"
    result = run_single(own_part(config))
    tracker.links.assert_called_once_with([result.run_id], "2026-01-31-12-00-00")
    tags = tracker.run.call_args.kwargs["tags"]
    assert (tags["sweep_id"], tags["job"]) == ("2026-01-31-12-00-00", "3")


def test_a_run_that_diverged_is_recorded_and_then_a_mistake_of_the_users(begin, tracker, training, capsys):
    training.__iter__.side_effect = lambda: iter([[chunk(0, 12)], [diverged_chunk(1, 12)]])
    with pytest.raises(UserError) as raised:
        run_single(own_part(begin()))
    assert str(raised.value) == (
        "fixed: the loss was not finite at step 23; the run is marked FAILED. Lower learning_rate."
    )
    assert repr(tracker.ended[NAME]) == "Diverged('the loss is not finite at step 23')"
    tracker.opened[NAME].fail.assert_not_called()  # the store knows by itself how to say it
    assert capsys.readouterr().out.splitlines()[-1] == "  http://[store]"
    training.test.assert_not_called()


def lose_metrics(tracker, times):
    """Let the run lose metrics the first `times` times that it is opened."""
    open_run, left = tracker.run.side_effect, iter([True] * times)

    @contextmanager
    def open_without(name, **options):
        tracker.opened.pop(name, None)
        with open_run(name, **options) as run:
            run.lacks_metrics = next(left, False)
            yield run

    tracker.run.side_effect = open_without


def test_that_metrics_are_lost_is_in_the_result_and_is_told_at_the_end(
    begin, tracker, tmp_path, capsys, checkpoints
):
    lose_metrics(tracker, 2)
    with pytest.raises(StoreLacksError) as raised, told_at_the_end():
        result = run_single(own_part(begin()))
    assert (result.lacks_metrics, result.status, result.run_id) == (True, "finished", f"id of {NAME}")
    assert capsys.readouterr().out.splitlines()[-1] == "test accuracy 0.8750, 1.00 s"
    assert tracker.ended == {NAME: None}
    assert raised.value.status == 75
    assert "metrics of this run" in str(raised.value)
    past = read_past(tmp_path)
    assert (past.runs[0].ended["status"], past.runs[0].is_stored) == ("finished", False)
    assert not past.has_finished
    checkpoints.clear.assert_not_called()


def test_a_store_that_takes_the_metrics_after_all_lacks_nothing(begin, tracker, tmp_path, checkpoints):
    lose_metrics(tracker, 1)
    with told_at_the_end():
        result = run_single(own_part(begin()))
    assert (result.lacks_metrics, result.run_id) == (False, f"id of {NAME}")
    assert tracker.run.call_args.kwargs["is_resumed"] is True
    assert written_epochs(tracker) == [0, 12]
    assert tracker.ended == {NAME: None}
    past = read_past(tmp_path)
    assert (past.runs[0].is_stored, past.has_finished) == (True, True)
    checkpoints.clear.assert_called_once_with()


def test_a_run_that_had_ended_is_given_the_store_on_another_day_and_told_with_its_place_there(
    begin, tracker, training, tmp_path, capsys, monkeypatch
):
    lose_metrics(tracker, 2)
    run_single(own_part(begin()))
    training.made.reset_mock()
    tracker.links.reset_mock()
    open_run, is_restored = tracker.run.side_effect, threading.Event()

    def restore(*given):
        try:
            return single_restore(*given)
        finally:
            is_restored.set()

    def open_slowly(name, **options):
        assert is_restored.wait(10)
        return open_run(name, **options)

    single_restore = single.restore
    monkeypatch.setattr(single, "restore", restore)
    tracker.run.side_effect = open_slowly
    with told_at_the_end():
        result = run_single(own_part(begin("resume=true")))
    assert (result.status, result.test["accuracy"]) == ("finished", 0.875)
    assert (result.run_id, result.lacks_metrics) == (f"id of {NAME}", False)
    tracker.links.assert_called_once_with([f"id of {NAME}"], None)
    training.made.assert_not_called()
    assert written_epochs(tracker) == [0, 12]
    past = read_past(tmp_path)
    assert (past.runs[0].is_stored, past.has_finished) == (True, True)
    assert capsys.readouterr().out.splitlines()[-1] == "test accuracy 0.8750, 1.00 s"


def test_a_run_that_had_ended_is_told_without_a_place_where_the_store_still_does_not_take_it(
    begin, tracker, training, tmp_path, capsys
):
    lose_metrics(tracker, 2)
    run_single(own_part(begin()))
    training.made.reset_mock()
    capsys.readouterr()
    tracker.run.side_effect = StoreError("tracking.uri: it is full.")
    with pytest.raises(StoreLacksError), told_at_the_end():
        result = run_single(own_part(begin("resume=true")))
    assert (result.status, result.run_id, result.lacks_metrics) == ("finished", "", True)
    assert capsys.readouterr().out.splitlines() == [
        "24 of 24 steps are kept; the rest goes on.",
        "test accuracy 0.8750, 1.00 s",
    ]
    training.made.assert_not_called()
    assert not read_past(tmp_path).has_finished


def test_a_run_that_the_store_does_not_open_ends_with_that_error_and_its_training(
    begin, tracker, training, tmp_path, capsys
):
    error = StoreError("tracking.uri: it is full.")
    tracker.run.side_effect = error
    with pytest.raises(StoreError) as raised:
        run_single(own_part(begin()))
    assert raised.value is error
    training.test.assert_not_called()
    assert capsys.readouterr().out == ""
    assert read_past(tmp_path).runs[0].stopped["reason"] == "StoreError: tracking.uri: it is full."
    tracker.__exit__.assert_called_once()


def test_a_run_that_cannot_begin_is_recorded_as_failed(begin, tracker, training):
    error = RuntimeError("no such layer")
    training.made.side_effect = error
    with pytest.raises(RuntimeError, match="no such layer") as raised:
        run_single(own_part(begin()))
    assert raised.value is error
    assert failure(tracker)[0] == "RuntimeError: no such layer"
    tracker.__exit__.assert_called_once()


def test_a_store_that_cannot_be_opened_does_not_hide_why_a_run_cannot_begin(begin, monkeypatch, training):
    def fail(*_):
        raise UserError("the experiment has been deleted")

    monkeypatch.setattr(single, "open_tracker", fail)
    training.made.side_effect = RuntimeError("no such layer")
    with pytest.raises(RuntimeError, match="no such layer") as raised:
        run_single(own_part(begin()))
    assert raised.value.__notes__ == ["and then UserError: the experiment has been deleted"]


def test_what_breaks_in_training_ends_the_run_after_the_epochs_before_it(begin, tracker, training):
    def epochs():
        yield [chunk(0, 12)]
        raise RuntimeError("no memory left")

    training.__iter__.side_effect = epochs
    with pytest.raises(RuntimeError, match="no memory left"):
        run_single(own_part(begin()))
    reason, traceback = failure(tracker)
    assert reason == "RuntimeError: no memory left"
    assert traceback.endswith(f'in epochs\n    raise RuntimeError("no memory left")\n{reason}\n')
    assert written_epochs(tracker) == [0]
    tracker.__exit__.assert_called_once()


def test_a_store_that_cannot_be_opened_ends_the_run_and_its_training(begin, monkeypatch, training):
    def fail(*_):
        raise UserError("the experiment has been deleted")

    monkeypatch.setattr(single, "open_tracker", fail)
    with pytest.raises(UserError, match="the experiment has been deleted"):
        run_single(own_part(begin()))
    training.test.assert_not_called()


def test_a_signal_that_a_library_swallowed_ends_the_run_at_its_next_epoch(begin, tracker, monkeypatch):
    calls = []

    def raise_later():
        calls.append(1)
        if len(calls) == 2:  # before each epoch
            raise KeyboardInterrupt

    monkeypatch.setattr(background, "raise_if_told_to_stop", raise_later)
    with pytest.raises(KeyboardInterrupt):
        run_single(own_part(begin()))
    assert isinstance(tracker.ended[NAME], KeyboardInterrupt)
    assert written_epochs(tracker) == [0]


def test_the_store_is_opened_with_what_the_configuration_names(begin, tracker, tmp_path):
    config = begin()
    run = planned.plan_run(config, config.hydra)
    tracking = run.config.tracking.model_copy(update={"uri": "sqlite:////a.db"})
    run = replace(run, config=run.config.model_copy(update={"tracking": tracking}))
    with closing(journal_in(tmp_path)) as journal, single._open_store(run, journal) as (opened, _):
        assert opened is tracker
    assert tracker.given == [("sqlite:////a.db", "ratelab", run.directory)]
