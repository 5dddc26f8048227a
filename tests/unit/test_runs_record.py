"""What of a run reaches the store, and in what state each way of ending leaves it."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest

from ratelab.comparison import Measured
from ratelab.runs import description, record
from ratelab.runs.course import begun_result
from ratelab.runs.record import RunRecord
from ratelab.runtime import lost_metrics
from ratelab.tasks import auto
from ratelab.tracking import Diverged, StoreError
from ratelab.tracking.names import safe_params
from support.configs import VALUES, planned_run
from support.fakes import START, chunk, diverged_chunk, fake_journal, fake_tracker

NAME = "fixed seed=0"
GROWING = {
    "batch_size": np.repeat(np.int32([24, 48]), 2),
    "examples_seen": np.int64([24, 48, 96, 144]),
}


@pytest.fixture
def tracker():
    return fake_tracker()


@pytest.fixture
def noted(monkeypatch):
    """Of which runs it was noted whether the store lacks metrics."""
    runs = {}
    monkeypatch.setattr(lost_metrics, "note_run", lambda run_id, lacks, _: runs.__setitem__(run_id, lacks))
    return runs


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(record, "now_ms", lambda: START + 99_999)


def recorded(planned, tracker, **others):
    return RunRecord(planned, tracker, fake_journal(), **others)


def run_of(tracker):
    return tracker.opened[NAME]


def points(run):
    """What was handed over of each metric: its (step, value, milliseconds since START)."""
    found = {}
    for call in run.metrics.call_args_list:
        key, steps, values, timestamps = call.args
        assert len(steps) == len(values) == len(timestamps)
        found.setdefault(key, []).extend(
            zip(steps.tolist(), values.tolist(), (timestamps - START).tolist(), strict=True)
        )
    return found


def keep_files(run):
    """Read the tables that the run will be given, while they are there."""
    files = {}

    def artifact(path, *others):
        assert others == ()
        if path.suffix == ".parquet":
            assert path.name not in files
            files[path.name] = pyarrow.parquet.read_table(path).to_pydict()

    run.artifact.side_effect = artifact
    return files


def end_well(opened):
    opened.add(chunk())
    opened.finish({"loss": 0.5, "accuracy": 0.875})


def test_a_run_is_opened_with_all_that_it_says_about_itself(tracker):
    planned = planned_run(2)
    opened = recorded(planned, tracker, parent_id="the sweep")
    tracker.run.assert_called_once_with(
        NAME,
        params=description.params(planned),
        tags=description.tags(planned, journal=Path("/a/journal")),
        parent_id="the sweep",
        key="key of 0",
        is_resumed=False,
    )
    run_of(tracker).artifact.assert_called_once()  # the folder of files
    assert tracker.ended == {}
    assert opened.steps == 0
    assert opened.result.run_id == f"id of {NAME}"
    opened.close(RuntimeError())


def test_a_result_has_failed_until_it_is_known_better():
    planned = planned_run(0, seed=4)
    begun = begun_result(planned)
    assert (begun.status, begun.seed, begun.choices, begun.run_id) == ("failed", 4, {"schedule": "fixed"}, "")
    assert begun.settings["epochs"] == "3"
    assert begun.settings["test"] == "True"
    assert begun.settings["device.xla"] == "None"
    assert begun.data_digest == planned.job.data.digest
    assert begun.origin.keys() >= {"versions", "command"}


def test_every_step_of_an_epoch_is_handed_over(tracker):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk(0, 3))
    opened.add(chunk(1, 3, noise_scale=2.0))
    rate = float(np.float32(0.1))
    assert points(run_of(tracker)) == {
        "learning_rate": [(step, rate, step) for step in range(6)],
        "train_loss": [(step, step / 8, step) for step in range(6)],
        "val_loss": [(2, 0.25, 2), (5, 0.25, 5)],
        "val_accuracy": [(2, 0.5, 2), (5, 0.625, 5)],
        "train_seconds": [(2, 0.5, 2), (5, 1.0, 5)],
        "noise_scale": [(5, 2.0, 5)],
    }
    assert opened.steps == 6
    assert opened.result.validation == (Measured(2, 0.5, 0.5, 72), Measured(5, 0.625, 1.0, 144))
    opened.close(RuntimeError())


def test_what_a_signal_leaves_half_handed_over_is_handed_over_at_the_end(tracker):
    opened = recorded(planned_run(0), tracker)
    files = keep_files(run_of(tracker))
    opened.add(chunk(0, 3))
    whole = points(run_of(tracker))
    calls = []

    def interrupt(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt

    run_of(tracker).metrics.side_effect = interrupt
    with pytest.raises(KeyboardInterrupt) as stop:
        opened.add(chunk(1, 3))
    opened.close(stop.value)
    found = points(run_of(tracker))
    assert files["steps.parquet"]["step"] == list(range(6))
    assert found.keys() == whole.keys()
    for key in ("learning_rate", "train_loss"):
        assert [step for step, *_ in found[key]][-3:] == [3, 4, 5]
    assert found["val_loss"][-1] == (5, 0.25, 5)


def test_some_losses_are_shown_by_the_number_of_their_step_in_the_run(tracker):
    opened = recorded(planned_run(0, tracking={**VALUES["tracking"], "train_loss_every": 4}), tracker)
    opened.add(chunk(0, 5))
    opened.add(chunk(1, 5))
    assert points(run_of(tracker))["train_loss"] == [(0, 0.0, 0), (4, 0.5, 4), (8, 1.0, 8)]
    opened.close(RuntimeError())


def test_where_the_batch_grows_its_size_is_recorded_at_every_step_and_so_is_the_momentum(tracker):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk(0, 4, **GROWING, momentum=np.float32([0.5, 0.5, 0.25, 0.25])))
    found = points(run_of(tracker))
    assert found["batch_size"] == [(0, 24, 0), (1, 24, 1), (2, 48, 2), (3, 48, 3)]
    assert found["examples_seen"] == [(0, 24, 0), (1, 48, 1), (2, 96, 2), (3, 144, 3)]
    assert found["momentum"] == [(0, 0.5, 0), (1, 0.5, 1), (2, 0.25, 2), (3, 0.25, 3)]
    assert opened.result.validation[0].examples == 144
    opened.close(RuntimeError())


def test_what_was_applied_is_float64_which_rounds_no_float32(tracker):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk(0, 4, **GROWING))
    dtypes = {call.args[0]: call.args[2].dtype for call in run_of(tracker).metrics.call_args_list}
    assert dtypes["learning_rate"] == dtypes["batch_size"] == dtypes["examples_seen"] == np.float64
    opened.close(RuntimeError())


def test_a_run_that_finished_has_its_test_and_ends_well(tracker):
    opened = recorded(planned_run(0), tracker)
    end_well(opened)
    found = points(run_of(tracker))
    assert found["test_loss"] == [(49, 0.5, 99_999)]
    assert found["test_accuracy"] == [(49, 0.875, 99_999)]
    run_of(tracker).log_keras_model.assert_not_called()
    assert tracker.ended == {NAME: None}
    result = opened.result
    assert (result.status, result.test) == ("finished", {"loss": 0.5, "accuracy": 0.875})
    assert result.final_rate == float(np.float32(0.1))


def test_a_run_that_never_saw_the_test_split_has_no_result_on_it(tracker):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk())
    opened.finish(None)
    assert points(run_of(tracker)).keys().isdisjoint({"test_loss", "test_accuracy"})
    assert (opened.result.status, opened.result.test) == ("finished", {})


def test_a_model_is_logged_with_one_example_as_it_was_trained_on(tracker):
    planned, model = planned_run(0), object()
    opened = recorded(planned, tracker)
    opened.add(chunk())
    opened.finish({"loss": 0.5, "accuracy": 0.875}, lambda: model)
    given, example = run_of(tracker).log_keras_model.call_args.args
    assert given is model
    assert example.dtype == np.float32
    np.testing.assert_array_equal(example, planned.job.data.test.inputs[:1] / np.float32(16))


def test_the_losses_of_a_run_that_diverged_are_recorded_before_it_is_told(tracker):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk(0, 5))
    with pytest.raises(Diverged, match="not finite at step 9") as raised:
        opened.add(diverged_chunk(1, 5))
    found = points(run_of(tracker))
    assert [step for step, *_ in found["learning_rate"]] == list(range(10))
    assert found["train_loss"][-1] == (9, np.inf, 9)
    assert [step for step, *_ in found["val_loss"]] == [4]  # none of a model that is lost
    assert (opened.steps, len(opened.result.validation)) == (10, 1)
    opened.close(raised.value)
    assert tracker.ended == {NAME: raised.value}
    assert (opened.result.status, opened.result.diverged_step) == ("diverged", 9)


def test_in_a_block_a_divergence_is_a_result(tracker):
    with recorded(planned_run(0), tracker) as opened:
        opened.add(diverged_chunk())
    assert isinstance(tracker.ended[NAME], Diverged)
    assert (opened.result.status, opened.result.diverged_step) == ("diverged", 49)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()], ids=repr)
def test_in_a_block_any_other_error_ends_the_run_and_passes(tracker, error):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk())
    with pytest.raises(type(error)) as raised, opened:
        raise error
    assert raised.value is error
    assert tracker.ended == {NAME: error}
    assert opened.result.status == "failed"
    assert len(opened.result.validation) == 1


def test_in_a_block_that_ends_well_the_run_has_been_ended_by_its_result(tracker):
    with recorded(planned_run(0), tracker) as opened:
        end_well(opened)
    assert tracker.ended == {NAME: None}


def test_a_record_is_closed_once_and_its_first_end_counts(tracker):
    first = RuntimeError("first")
    opened = recorded(planned_run(0), tracker)
    opened.close(first)
    opened.close(RuntimeError("second"))
    assert tracker.ended == {NAME: first}


def test_what_is_wrong_after_a_run_has_finished_changes_nothing_in_the_store(tracker):
    opened = recorded(planned_run(0), tracker)
    end_well(opened)
    opened.close(RuntimeError("too late"))
    assert tracker.ended == {NAME: None}
    assert opened.result.status == "finished"


def test_a_run_that_was_made_goes_on_without_the_files_that_describe_it(tracker, monkeypatch):
    error = OSError("no space left")

    def fail(*_):
        raise error

    monkeypatch.setattr(description, "log_files", fail)
    opened = recorded(planned_run(0), tracker)
    run_of(tracker).warn.assert_called_once_with("the description of the run (config.yaml and others)", error)
    end_well(opened)
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")


def test_a_run_that_was_made_is_ended_by_a_signal_while_it_is_described(tracker, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(description, "log_files", stop)
    with pytest.raises(KeyboardInterrupt) as raised:
        recorded(planned_run(0), tracker)
    assert tracker.ended == {NAME: raised.value}


def test_a_run_that_cannot_be_made_leaves_nothing_to_end():
    tracker = fake_tracker()
    tracker.run.side_effect = OSError("the store is gone")
    with pytest.raises(OSError, match="the store is gone"):
        recorded(planned_run(0), tracker)


@pytest.mark.parametrize("end", ["finish", "error"])
def test_every_step_is_kept_as_a_table_however_the_run_ends(tracker, end):
    opened = recorded(planned_run(0, tracking={**VALUES["tracking"], "train_loss_every": 10}), tracker)
    files = keep_files(run_of(tracker))
    opened.add(chunk(0, 3))
    opened.add(chunk(1, 3))
    if end == "finish":
        opened.finish(None)
    else:
        opened.close(RuntimeError())
    assert files == {
        "steps.parquet": {
            "learning_rate": [float(np.float32(0.1))] * 6,
            "train_loss": [step / 8 for step in range(6)],
            "batch_size": [24] * 6,
            "step": list(range(6)),
            "timestamp": [START + step for step in range(6)],
        }
    }


def test_the_table_has_the_momentum_where_it_changes(tracker):
    opened = recorded(planned_run(0), tracker)
    files = keep_files(run_of(tracker))
    opened.add(chunk(0, 2, momentum=np.float32([0.5, 0.25])))
    opened.finish(None)
    assert files["steps.parquet"]["momentum"] == [0.5, 0.25]


def test_a_run_without_an_epoch_has_no_table(tracker):
    opened = recorded(planned_run(0), tracker)
    files = keep_files(run_of(tracker))
    opened.close(RuntimeError())
    assert files == {}


def test_a_table_that_cannot_be_kept_is_a_warning_of_a_run_that_finished(tracker):
    opened, error = recorded(planned_run(0), tracker), OSError("no space left")
    run_of(tracker).artifact.side_effect = error
    end_well(opened)
    run_of(tracker).warn.assert_called_once_with("steps.parquet", error)
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")


def test_a_table_that_cannot_be_kept_hides_no_signal(tracker):
    opened, stop = recorded(planned_run(0), tracker), KeyboardInterrupt()
    run_of(tracker).artifact.side_effect = OSError("no space left")
    opened.add(chunk())
    opened.close(stop)
    assert tracker.ended == {NAME: stop}


@pytest.mark.parametrize("place", ["build", "save"])
def test_a_model_that_cannot_be_kept_is_a_warning_of_a_run_that_finished(tracker, place):
    error = NotImplementedError("no get_config")

    def build():
        if place == "build":
            raise error

    opened = recorded(planned_run(0), tracker)
    run_of(tracker).log_keras_model.side_effect = error
    opened.add(chunk())
    opened.finish({"loss": 0.5, "accuracy": 0.875}, build)
    run_of(tracker).warn.assert_called_once_with("the model", error)
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")
    assert opened.result.test["accuracy"] == 0.875


def test_a_run_whose_metrics_could_not_be_stored_has_finished_and_says_so(tracker, noted):
    opened = recorded(planned_run(0), tracker)
    assert not opened.result.lacks_metrics
    run_of(tracker).lacks_metrics = True
    assert noted == {}
    end_well(opened)
    result = opened.result
    assert noted == {result.run_id: True}
    assert tracker.ended == {NAME: None}
    assert (result.status, result.lacks_metrics, result.value) == ("finished", True, 0.875)
    assert len(result.validation) == 1


def test_a_run_that_diverged_and_whose_metrics_could_not_be_stored_has_diverged(tracker, noted):
    with recorded(planned_run(0), tracker) as opened:
        run_of(tracker).lacks_metrics = True
        opened.add(diverged_chunk())
    assert (opened.result.status, opened.result.lacks_metrics) == ("diverged", True)
    assert noted == {opened.result.run_id: True}


def test_a_run_whose_end_the_store_does_not_take_has_a_result(tracker):
    refusal, open_run = StoreError("tracking.uri: it is full."), tracker.run.side_effect

    @contextmanager
    def refuse_the_end(name, **options):
        with open_run(name, **options) as run:
            yield run
        raise refusal

    tracker.run.side_effect = refuse_the_end
    opened = recorded(planned_run(0), tracker)
    with pytest.raises(StoreError) as raised:
        end_well(opened)
    opened.close(raised.value)
    assert (opened.result.status, opened.result.value) == ("finished", 0.875)


def test_what_is_wrong_with_metrics_but_not_of_the_stores_making_fails_the_run(tracker):
    opened = recorded(planned_run(0), tracker)
    opened.add(chunk())
    run_of(tracker).metrics.side_effect = ValueError("no such name")
    with pytest.raises(ValueError, match="no such name") as raised:
        opened.finish({"loss": 0.5, "accuracy": 0.875})
    opened.close(raised.value)
    assert tracker.ended == {NAME: raised.value}
    assert opened.result.status == "failed"


@pytest.mark.parametrize("folder", ["absent", "a file"])
def test_a_run_finishes_without_a_folder_for_temporary_files(tracker, monkeypatch, tmp_path, folder):
    place = tmp_path / folder
    if folder == "a file":
        place.write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    opened = recorded(planned_run(0), tracker)
    end_well(opened)
    warned = [call.args[0] for call in run_of(tracker).warn.call_args_list]
    assert warned == ["the description of the run (config.yaml and others)", "steps.parquet"]
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")


def test_a_run_says_what_judges_it_and_keeps_the_looks_at_that(tracker, judged_by_loss):
    with recorded(planned_run(0), tracker) as opened:
        opened.add(chunk(0, validation={"loss": 0.75, "accuracy": 0.5}))
        opened.finish({"loss": 0.5, "accuracy": 0.875})
    result = opened.result
    assert (result.outcome, result.test) == (judged_by_loss.judging, {"loss": 0.5, "accuracy": 0.875})
    assert (result.value, float(result)) == (0.5, 0.75)
    assert [look.value for look in result.validation] == [0.75]
    assert tracker.run.call_args.kwargs["tags"]["outcomes"] == judged_by_loss.write()


def test_a_parameter_that_a_store_cuts_is_the_same_in_memory():
    """So results from memory and from the store make equal groups, and what differs behind the cut two."""
    texts = []
    for end in (0.1, 0.2):
        factors = [0.5] * 2000 + [end]
        schedule = {"_target_": "ratelab.schedules.piecewise", "boundaries": [0.5], "factors": factors}
        planned = planned_run(0, schedule=schedule)
        planned.__dict__["job"] = SimpleNamespace(
            data=SimpleNamespace(digest="sha256:0"), task=auto(np.int32([0, 1]), 2)
        )
        settings = begun_result(planned).settings
        assert settings == safe_params(description.params(planned))[0]
        texts.append(settings["schedule.factors"])
    assert [len(text) for text in texts] == [6000, 6000]
    assert texts[0] != texts[1]
