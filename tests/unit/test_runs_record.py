"""What of a run reaches the store, and in what state each way of ending leaves it."""

import traceback
from contextlib import closing, contextmanager
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest

from ratelab.comparison import Measured
from ratelab.runs import description, record
from ratelab.runs.course import begun_result
from ratelab.runs.record import RunRecord
from ratelab.tasks import auto
from ratelab.tracking import Diverged, StoreError
from ratelab.tracking.names import safe_params
from support.configs import VALUES, planned_run
from support.fakes import START, AtOnce, FakeModel, chunk, diverged_chunk, fake_tracker, journal_in

NAME = "fixed seed=0"
GROWING = {
    "batch_size": np.repeat(np.int32([24, 48]), 2),
    "examples_seen": np.int64([24, 48, 96, 144]),
}


@pytest.fixture
def tracker():
    return fake_tracker()


@pytest.fixture
def journal(tmp_path):
    with closing(journal_in(tmp_path)) as journal:
        yield journal


@pytest.fixture
def feed(tracker, journal):
    return AtOnce(tracker, journal)


@pytest.fixture
def recorded(feed, journal):
    """Begin the record of a run."""
    return lambda planned: RunRecord(planned, feed, journal.of(planned.number))


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr(record, "now_ms", lambda: START + 99_999)


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


def was_killed(tracker):
    """Say whether the block of the run was left as by a program that is told to stop."""
    return type(tracker.ended[NAME]) is KeyboardInterrupt


def told_failures(tracker):
    """Why the run was marked as failed; its block then has to end well."""
    assert tracker.ended == {NAME: None}
    return [call.args for call in run_of(tracker).fail.call_args_list]


@pytest.mark.parametrize("members", [(), (0, 3)], ids=["single", "of a stack"])
def test_a_run_is_opened_with_all_that_it_says_about_itself(tracker, journal, members):
    planned = planned_run(2)
    opened = RunRecord(planned, AtOnce(tracker, journal, "the sweep"), journal.of(2), members)
    tracker.run.assert_called_once_with(
        NAME,
        params=description.params(planned),
        tags=description.tags(planned, members, journal.path),
        parent_id="the sweep",
        key=journal.key(2),
        is_resumed=False,
    )
    run_of(tracker).artifact.assert_called_once()  # the folder of files
    assert tracker.ended == {}
    assert (opened.steps, opened.epochs, opened.members) == (0, 0, members)
    assert opened.result.run_id == f"id of {NAME}"


def test_a_result_has_failed_until_it_is_known_better():
    planned = planned_run(0, seed=4)
    begun = begun_result(planned)
    assert (begun.status, begun.seed, begun.choices, begun.run_id) == ("failed", 4, {"schedule": "fixed"}, "")
    assert begun.settings["epochs"] == "3"
    assert begun.settings["test"] == "True"
    assert begun.settings["device.xla"] == "None"
    assert begun.data_digest == planned.job.data.digest
    assert begun.origin.keys() >= {"versions", "command"}


def test_every_step_of_an_epoch_is_handed_over(tracker, recorded):
    opened = recorded(planned_run(0))
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


def test_some_losses_are_shown_by_the_number_of_their_step_in_the_run(tracker, recorded):
    opened = recorded(planned_run(0, tracking={**VALUES["tracking"], "train_loss_every": 4}))
    opened.add(chunk(0, 5))
    opened.add(chunk(1, 5))
    assert points(run_of(tracker))["train_loss"] == [(0, 0.0, 0), (4, 0.5, 4), (8, 1.0, 8)]
    opened.close(RuntimeError())


def test_some_rates_are_shown_and_always_the_last_of_an_epoch(tracker, recorded):
    opened = recorded(planned_run(0, tracking={**VALUES["tracking"], "learning_rate_every": 4}))
    rates = np.float32([0.5, 0.25, 0.125, 0.0625, 0.03125])
    opened.add(chunk(0, 5, learning_rate=rates, momentum=rates))
    opened.add(chunk(1, 5, learning_rate=rates, momentum=rates))
    found = points(run_of(tracker))
    wanted = [(0, 0.5, 0), (4, 0.03125, 4), (8, 0.0625, 8), (9, 0.03125, 9)]
    assert found["learning_rate"] == found["momentum"] == wanted
    assert len(found["train_loss"]) == 10
    opened.close(RuntimeError())


def test_where_the_batch_grows_its_size_is_recorded_at_every_step_and_so_is_the_momentum(tracker, recorded):
    opened = recorded(planned_run(0))
    opened.add(chunk(0, 4, **GROWING, momentum=np.float32([0.5, 0.5, 0.25, 0.25])))
    found = points(run_of(tracker))
    assert found["batch_size"] == [(0, 24, 0), (1, 24, 1), (2, 48, 2), (3, 48, 3)]
    assert found["examples_seen"] == [(0, 24, 0), (1, 48, 1), (2, 96, 2), (3, 144, 3)]
    assert found["momentum"] == [(0, 0.5, 0), (1, 0.5, 1), (2, 0.25, 2), (3, 0.25, 3)]
    assert opened.result.validation[0].examples == 144
    opened.close(RuntimeError())


def test_what_was_applied_is_float64_which_rounds_no_float32(tracker, recorded):
    opened = recorded(planned_run(0))
    opened.add(chunk(0, 4, **GROWING))
    dtypes = {call.args[0]: call.args[2].dtype for call in run_of(tracker).metrics.call_args_list}
    assert dtypes["learning_rate"] == dtypes["batch_size"] == dtypes["examples_seen"] == np.float64
    opened.close(RuntimeError())


def test_a_run_that_finished_has_its_test_and_ends_well(tracker, recorded):
    opened = recorded(planned_run(0))
    end_well(opened)
    found = points(run_of(tracker))
    assert found["test_loss"] == [(49, 0.5, 99_999)]
    assert found["test_accuracy"] == [(49, 0.875, 99_999)]
    run_of(tracker).log_keras_model.assert_not_called()
    assert tracker.ended == {NAME: None}
    result = opened.result
    assert (result.status, result.test) == ("finished", {"loss": 0.5, "accuracy": 0.875})
    assert result.final_rate == float(np.float32(0.1))


def test_a_run_that_never_saw_the_test_split_has_no_result_on_it(tracker, recorded):
    opened = recorded(planned_run(0))
    opened.add(chunk())
    opened.finish(None)
    assert points(run_of(tracker)).keys().isdisjoint({"test_loss", "test_accuracy"})
    assert (opened.result.status, opened.result.test) == ("finished", {})


def test_a_model_is_logged_with_one_example_as_it_was_trained_on(tracker, recorded):
    planned, model = planned_run(0), FakeModel()
    opened = recorded(planned)
    opened.add(chunk())
    opened.finish({"loss": 0.5, "accuracy": 0.875}, lambda: model)
    given, example = run_of(tracker).log_keras_model.call_args.args
    assert given is model
    assert example.dtype == np.float32
    np.testing.assert_array_equal(example, planned.job.data.test.inputs[:1] / np.float32(16))


def test_the_losses_of_a_run_that_diverged_are_recorded_before_it_is_told(tracker, recorded):
    opened = recorded(planned_run(0))
    opened.add(chunk(0, 5))
    with pytest.raises(Diverged, match="not finite at step 9") as raised:
        opened.add(diverged_chunk(1, 5))
    found = points(run_of(tracker))
    assert [step for step, *_ in found["learning_rate"]] == list(range(10))
    assert found["train_loss"][-1] == (9, np.inf, 9)
    assert [step for step, *_ in found["val_loss"]] == [4]  # none of a model that is lost
    assert (opened.steps, len(opened.result.validation)) == (10, 1)
    opened.close(raised.value)
    assert isinstance(tracker.ended[NAME], Diverged)
    assert tracker.ended[NAME].step == 9
    assert (opened.result.status, opened.result.diverged_step) == ("diverged", 9)


def test_in_a_block_a_divergence_is_a_result(tracker, recorded):
    with recorded(planned_run(0)) as opened:
        opened.add(diverged_chunk())
    assert isinstance(tracker.ended[NAME], Diverged)
    assert tracker.ended[NAME].step == 49
    assert (opened.result.status, opened.result.diverged_step) == ("diverged", 49)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()], ids=repr)
def test_in_a_block_any_other_error_ends_the_run_and_passes(tracker, recorded, error):
    opened = recorded(planned_run(0))
    opened.add(chunk())
    with pytest.raises(type(error)) as raised, opened:
        raise error
    assert raised.value is error
    if isinstance(error, KeyboardInterrupt):
        assert was_killed(tracker)
        run_of(tracker).fail.assert_not_called()
    else:
        [(reason, trace)] = told_failures(tracker)
        assert reason == "RuntimeError: boom"
        assert trace == "".join(traceback.format_exception(error))
    assert opened.result.status == "failed"
    assert len(opened.result.validation) == 1


def test_in_a_block_that_ends_well_the_run_has_been_ended_by_its_result(tracker, recorded):
    with recorded(planned_run(0)) as opened:
        end_well(opened)
    assert tracker.ended == {NAME: None}


def test_a_record_is_closed_once_and_its_first_end_counts(tracker, recorded):
    first = RuntimeError("first")
    opened = recorded(planned_run(0))
    opened.close(first)
    opened.close(RuntimeError("second"))
    [(reason, _)] = told_failures(tracker)
    assert reason == "RuntimeError: first"


def test_what_is_wrong_after_a_run_has_finished_changes_nothing_in_the_store(tracker, recorded):
    opened = recorded(planned_run(0))
    end_well(opened)
    opened.close(RuntimeError("too late"))
    assert told_failures(tracker) == []
    assert opened.result.status == "finished"


def test_a_run_that_was_made_goes_on_without_the_files_that_describe_it(tracker, recorded, monkeypatch):
    error = OSError("no space left")

    def fail(*_):
        raise error

    monkeypatch.setattr(description, "log_files", fail)
    opened = recorded(planned_run(0))
    run_of(tracker).warn.assert_called_once_with("the description of the run (config.yaml and others)", error)
    end_well(opened)
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")


def test_a_run_that_was_made_is_ended_by_a_signal_while_it_is_described(tracker, recorded, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(description, "log_files", stop)
    with pytest.raises(KeyboardInterrupt) as raised:
        recorded(planned_run(0))
    assert tracker.ended == {NAME: raised.value}


def test_a_run_that_cannot_be_made_leaves_nothing_to_end(tracker, recorded, feed):
    error = OSError("the store is gone")
    tracker.run.side_effect = error
    opened = recorded(planned_run(0))
    with pytest.raises(OSError, match="the store is gone") as raised:
        feed.await_begin(0)
    assert raised.value is error
    opened.close(error)
    assert (tracker.opened, tracker.ended, opened.result.run_id) == ({}, {}, "")
    assert feed.lacks(0)


@pytest.mark.parametrize("end", ["finish", "error"])
def test_every_step_is_kept_as_a_table_however_the_run_ends(tracker, recorded, end):
    opened = recorded(planned_run(0, tracking={**VALUES["tracking"], "train_loss_every": 10}))
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


def test_the_table_has_the_momentum_where_it_changes(tracker, recorded):
    opened = recorded(planned_run(0))
    files = keep_files(run_of(tracker))
    opened.add(chunk(0, 2, momentum=np.float32([0.5, 0.25])))
    opened.finish(None)
    assert files["steps.parquet"]["momentum"] == [0.5, 0.25]


def test_a_run_without_an_epoch_has_no_table(tracker, recorded):
    opened = recorded(planned_run(0))
    files = keep_files(run_of(tracker))
    opened.close(RuntimeError())
    assert files == {}


def test_a_table_that_cannot_be_kept_is_a_warning_of_a_run_that_finished(tracker, recorded):
    opened, error = recorded(planned_run(0)), OSError("no space left")
    run_of(tracker).artifact.side_effect = error
    end_well(opened)
    run_of(tracker).warn.assert_called_once_with("steps.parquet", error)
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")


def test_a_table_that_cannot_be_kept_hides_no_signal(tracker, recorded, feed):
    opened, stop = recorded(planned_run(0)), KeyboardInterrupt()
    run_of(tracker).artifact.side_effect = OSError("no space left")
    opened.add(chunk())
    opened.close(stop)
    assert was_killed(tracker)
    assert not feed.lacks(0)


@pytest.mark.parametrize("place", ["build", "save"])
def test_a_model_that_cannot_be_kept_is_a_warning_of_a_run_that_finished(tracker, recorded, place):
    error = NotImplementedError("no get_config")

    def build():
        if place == "build":
            raise error
        return FakeModel()

    opened = recorded(planned_run(0))
    run_of(tracker).log_keras_model.side_effect = error
    opened.add(chunk())
    opened.finish({"loss": 0.5, "accuracy": 0.875}, build)
    run_of(tracker).warn.assert_called_once_with("the model", error)
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")
    assert opened.result.test["accuracy"] == 0.875


def test_a_run_whose_metrics_could_not_be_stored_goes_on_and_is_behind(tracker, recorded, feed, capsys):
    opened = recorded(planned_run(0))
    opened.add(chunk(0))
    assert not feed.lacks(0)
    assert capsys.readouterr().err == ""
    run_of(tracker).lacks_metrics = True
    opened.add(chunk(1))
    given = points(run_of(tracker))
    opened.add(chunk(2))
    opened.finish({"loss": 0.5, "accuracy": 0.875})
    assert feed.lacks(0)
    assert points(run_of(tracker)) == given
    run_of(tracker).leave.assert_called_once_with()
    assert tracker.ended == {NAME: None}
    assert capsys.readouterr().err == ""  # the run itself has warned of it
    result = opened.result
    assert (result.status, result.run_id, result.value) == ("finished", f"id of {NAME}", 0.875)
    assert len(result.validation) == 3


def test_a_run_that_is_behind_has_all_of_it_once_the_store_takes_it_again(tracker, recorded, feed):
    opened = recorded(planned_run(0))
    opened.add(chunk(0))
    run_of(tracker).lacks_metrics = True
    opened.add(chunk(1))
    opened.add(chunk(2))
    opened.finish({"loss": 0.5, "accuracy": 0.875})
    feed.drain()
    found = points(run_of(tracker))
    assert [step for step, *_ in found["learning_rate"]] == list(range(150))
    assert found["test_accuracy"] == [(149, 0.875, 99_999)]
    assert tracker.run.call_args.kwargs["is_resumed"] is True
    assert tracker.ended == {NAME: None}
    assert not feed.lacks(0)


def test_a_run_that_diverged_and_whose_metrics_could_not_be_stored_has_diverged(tracker, recorded, feed):
    with recorded(planned_run(0)) as opened:
        run_of(tracker).lacks_metrics = True
        opened.add(diverged_chunk())
    assert (opened.result.status, opened.result.diverged_step) == ("diverged", 49)
    assert feed.lacks(0)


def test_a_run_whose_end_the_store_does_not_take_has_a_result(tracker, recorded, feed, capsys):
    refusal, open_run = StoreError("tracking.uri: it is full."), tracker.run.side_effect

    @contextmanager
    def refuse_the_end(name, **options):
        with open_run(name, **options) as run:
            yield run
        raise refusal

    tracker.run.side_effect = refuse_the_end
    opened = recorded(planned_run(0))
    end_well(opened)
    assert feed.lacks(0)
    assert capsys.readouterr().err.count(f"warning: {NAME}: tracking.uri: it is full. What the store") == 1
    assert (opened.result.status, opened.result.value) == ("finished", 0.875)


def test_what_no_store_could_take_ends_the_run_at_its_next_epoch(tracker, recorded, feed, capsys):
    opened, error = recorded(planned_run(0)), ValueError("no such name")
    run_of(tracker).metrics.side_effect = error
    opened.add(chunk(0))
    with pytest.raises(ValueError, match="no such name") as raised, opened:
        opened.add(chunk(1))
    assert raised.value is error
    assert tracker.ended == {NAME: error}  # FAILED, in the store as well
    assert (opened.result.status, opened.steps) == ("failed", 50)
    assert feed.lacks(0)
    assert capsys.readouterr().err == ""  # nothing will be better another time


@pytest.mark.parametrize("folder", ["absent", "a file"])
def test_a_run_finishes_without_a_folder_for_temporary_files(
    tracker, recorded, monkeypatch, tmp_path, folder
):
    place = tmp_path / folder
    if folder == "a file":
        place.write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    opened = recorded(planned_run(0))
    end_well(opened)
    warned = [call.args[0] for call in run_of(tracker).warn.call_args_list]
    assert warned == ["the description of the run (config.yaml and others)", "steps.parquet"]
    assert (tracker.ended, opened.result.status) == ({NAME: None}, "finished")


def test_a_run_says_what_judges_it_and_keeps_the_looks_at_that(tracker, recorded, judged_by_loss):
    with recorded(planned_run(0)) as opened:
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
