"""What the runs of a program leave in their journal, and how a record goes on from there."""

import contextlib
import errno
import sys
import threading
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest

from ratelab.runs import journal as journals
from ratelab.runs.course import Course
from ratelab.runs.feed import Feed
from ratelab.runs.journal import Journal
from ratelab.runs.models import Models
from ratelab.runs.past import chunk_of, digest_of, read_past
from ratelab.runs.record import RunRecord, restore
from ratelab.runtime import devices
from ratelab.runtime.journal_file import JournalFile
from ratelab.tracking import Diverged
from ratelab.validation import UserError
from support.configs import planned_run
from support.fakes import AtOnce, FakeModel, Journals, chunk, diverged_chunk, fake_tracker

NAME = "fixed seed=0"
ALONE = {"mode": "run", "sweep_id": None}
SWEEP = {"mode": "sweep", "sweep_id": "a-sweep"}
GROWING = {
    "batch_size": np.repeat(np.int32([24, 48]), 2),
    "examples_seen": np.int64([24, 48, 96, 144]),
    "momentum": np.float32([0.5, 0.5, 0.25, 0.25]),
    "noise_scale": 2.5,
}


@pytest.fixture
def begin(tmp_path):
    """Open the journal of the folder, as a program does that begins or goes on; close it at the end."""
    journals = Journals(tmp_path, ALONE)
    yield journals.begin
    journals.close()


@pytest.fixture
def device(monkeypatch):
    configure = create_autospec(devices.configure)
    monkeypatch.setattr(devices, "configure", configure)
    return configure


@pytest.fixture
def tracker():
    return fake_tracker()


def planned(journal, number=0, stack=(0,)):
    run = replace(planned_run(number))
    journal.plan({number: {"seed": 0}}, [stack])
    return run


def recorded(run, tracker, journal):
    return RunRecord(run, AtOnce(tracker, journal), journal.of(0))


def two_epochs(run, tracker, journal):
    """The record of a run that has had two epochs."""
    record = recorded(run, tracker, journal)
    for epoch in range(2):
        record.add(chunk(epoch))
    return record


def points(tracker):
    """What was handed over to the store of each metric."""
    found = {}
    for call in tracker.opened[NAME].metrics.call_args_list:
        key, steps, values, timestamps = call.args
        found.setdefault(key, []).extend(
            zip(steps.tolist(), values.tolist(), timestamps.tolist(), strict=True)
        )
    return found


def same(one, other):
    def plain(value):
        return value.tobytes() if isinstance(value, np.ndarray) else value

    return {k: plain(v) for k, v in vars(one).items()} == {k: plain(v) for k, v in vars(other).items()}


@pytest.mark.parametrize(
    "epoch",
    [
        chunk(),
        chunk(1, 4, **GROWING),
        chunk(validation={"loss": float("nan"), "rmse": 1e300}),
        diverged_chunk(),
    ],
    ids=["plain", "growing", "no number", "diverged"],
)
def test_an_epoch_comes_back_as_it_was(begin, tmp_path, epoch):
    journal = begin()
    planned(journal)
    noted = journal.of(0).note_chunk(epoch, (0, 3))
    journal = begin(is_resumed=True)
    [(place, found)] = journal.of(0).chunks()
    assert place == noted
    has_diverged = epoch.diverged_step is not None
    if np.isnan(epoch.validation["loss"]):
        assert np.isnan(found.validation["loss"])
        epoch, found = (replace(one, validation={}) for one in (epoch, found))
    assert same(found, epoch)
    past = journal.past.runs[0]
    assert (past.members, past.steps, past.stack) == ((0, 3), len(epoch.train_loss), (0,))
    assert (past.ended is not None) == has_diverged


def test_what_is_there_before_the_store_sees_it(begin, tracker, tmp_path):
    journal = begin()
    run = planned(journal)
    record = recorded(run, tracker, journal)
    assert read_past(tmp_path).runs[0].run_id == f"id of {NAME}"
    seen = []
    tracker.opened[NAME].metrics.side_effect = lambda *_: seen.append(read_past(tmp_path).runs[0].steps)
    record.add(chunk())
    assert seen[0] == 50
    record.add(chunk(1))
    record.finish({"loss": 0.5, "accuracy": 0.875})
    past = read_past(tmp_path).runs[0]
    assert past.ended == {
        "run": 0,
        "status": "finished",
        "test": {"loss": 0.5, "accuracy": 0.875},
        "tested_at": past.tested_at,
    }
    assert past.is_stored
    assert tracker.run.call_args.kwargs["key"] == journal.key(0)


def test_a_run_that_died_gives_the_store_all_it_has_and_goes_on_behind_it(begin, tmp_path):
    journal, before, after = begin(), fake_tracker(), fake_tracker()
    run = planned(journal)
    whole = two_epochs(run, before, journal)
    journal = begin(is_resumed=True)
    record = recorded(run, after, journal)
    assert after.run.call_args.kwargs["is_resumed"] is True
    assert after.run.call_args.kwargs["key"] == before.run.call_args.kwargs["key"]
    assert points(after) == points(before)
    assert record.steps == 100
    for epoch in range(3):
        assert record.is_new(chunk(epoch)) is (epoch == 2)
    record.add(chunk(2))
    whole.add(chunk(2))
    assert points(after) == points(before)
    record.finish({"loss": 0.5, "accuracy": 0.875})
    whole.finish({"loss": 0.5, "accuracy": 0.875})
    assert record.result == whole.result


def test_an_epoch_that_comes_out_otherwise_is_told_once(begin, tracker, capsys):
    journal = begin()
    run = planned(journal)
    record = recorded(run, tracker, journal)
    for epoch in range(3):
        record.add(chunk(epoch))
    assert not record.is_new(replace(chunk(0), seconds=9.0, timestamps=chunk().timestamps + 5))
    assert capsys.readouterr().err == ""
    for other in (chunk(1, learning_rate=np.full(50, 0.2, np.float32)), chunk(2, validation={"loss": 1.0})):
        assert not record.is_new(other)
    assert capsys.readouterr().err == (
        f"warning: {NAME}: epoch 2 came out otherwise when it was trained again; kept is what was recorded "
        "first. docs/reliability.md says why.\n"
    )
    record.close(RuntimeError())


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": np.full(50, 0.2, np.float32)},
        {"train_loss": np.zeros(50, np.float32)},
        {"batch_size": np.full(50, 25, np.int32)},
        {"momentum": np.zeros(50, np.float32)},
        {"validation": {"loss": 0.25, "accuracy": 0.75}},
        {"first_step": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_of_an_epoch_knows_of_all_that_is_repeated(change):
    assert digest_of(replace(chunk(), **change)) != digest_of(chunk())


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_result_of_a_run_that_had_ended_is_what_it_was(begin, is_stored):
    journal, before, after = begin(), fake_tracker(), fake_tracker()
    run = planned(journal)
    whole = two_epochs(run, before, journal)
    if not is_stored:
        before.opened[NAME].lacks_metrics = True
    whole.finish({"loss": 0.5, "accuracy": 0.875})
    journal = begin(is_resumed=True)
    assert journal.past.runs[0].is_stored is is_stored
    assert restore(run, AtOnce(after, journal), journal.of(0)) == whole.result
    if is_stored:
        assert after.opened == {}
    else:
        assert points(after) == points(before)  # with the first time of the test metrics, or there were two
        assert journal.of(0).past is not None


def test_the_model_of_a_run_that_had_ended_is_given_if_the_store_may_lack_it(begin, tmp_path, device):
    journal, after = begin(), fake_tracker()
    run, weights, models = planned(journal), [np.float32([1.5, 2.5])], Models(tmp_path)
    run.__dict__["job"] = replace(run.job, build_model=lambda: FakeModel(np.zeros(2, np.float32)))
    whole = two_epochs(run, fake_tracker(), journal)
    seen = []

    def build():
        seen.append(models.has(journal.key(0)))
        return FakeModel(*weights)

    whole.finish({"loss": 0.5, "accuracy": 0.875}, build)
    assert (seen, models.has(journal.key(0))) == ([False], False)  # the store has taken it
    models.save(journal.key(0), FakeModel(*weights))
    journal = begin(is_resumed=True)
    assert journal.past.runs[0].is_stored
    assert restore(run, AtOnce(after, journal), journal.of(0)) == whole.result
    model, _ = after.opened[NAME].log_keras_model.call_args.args
    assert [array.tolist() for array in model.weights] == [[1.5, 2.5]]
    assert not models.has(journal.key(0))
    device.assert_called_once_with(run.config.device)


def test_that_the_model_of_a_run_that_had_ended_is_damaged_is_said_once(begin, tmp_path, device):
    journal, after = begin(), fake_tracker()
    run, models = planned(journal), Models(tmp_path)
    run.__dict__["job"] = replace(run.job, build_model=lambda: FakeModel(np.zeros(2, np.float32)))
    whole = two_epochs(run, fake_tracker(), journal)
    whole.finish({"loss": 0.5, "accuracy": 0.875}, lambda: FakeModel(np.float32([1.5, 2.5])))
    models.save(journal.key(0), FakeModel(np.float32([1.5, 2.5])))
    path = tmp_path / "models" / journal.key(0)
    path.write_bytes(path.read_bytes()[:-1])
    journal = begin(is_resumed=True)
    assert restore(run, AtOnce(after, journal), journal.of(0)) == whole.result
    (what, error), _ = after.opened[NAME].warn.call_args
    assert (what, str(error)) == ("the model", f"{path} is damaged, and the store has not had the model")
    after.opened[NAME].log_keras_model.assert_not_called()
    assert not models.has(journal.key(0))


def test_a_run_that_dies_when_it_has_ended_leaves_its_model(begin, tmp_path, monkeypatch):
    journal, order = begin(), []
    run, models = planned(journal), Models(tmp_path)
    record = two_epochs(run, fake_tracker(), journal)
    note = JournalFile.append

    def append(file, kind, *rest):
        order.append((kind, models.has(journal.key(0))))
        return note(file, kind, *rest)

    feed = create_autospec(Feed, instance=True)  # that dies before it has done anything
    monkeypatch.setattr(record, "_feed", feed)
    monkeypatch.setattr(JournalFile, "append", append)
    record.finish({"loss": 0.5, "accuracy": 0.875}, lambda: FakeModel(np.float32([1.5])))
    assert order == [("tested", False), ("model", False), ("ended", True)]


@pytest.mark.parametrize("dies", ["in the store", "before it is told"])
def test_a_run_that_diverged_has_ended_whether_or_not_that_was_noted(begin, dies):
    journal, before, after = begin(), fake_tracker(), fake_tracker()
    run = planned(journal)
    whole = recorded(run, before, journal)
    with pytest.raises(Diverged) as error:
        whole.add(diverged_chunk())
    if dies == "in the store":
        before.opened[NAME].lacks_metrics = True
        whole.close(error.value)
    journal = begin(is_resumed=True)
    result = restore(run, AtOnce(after, journal), journal.of(0))
    assert (result.status, result.diverged_step) == ("diverged", 49)
    assert isinstance(after.ended[NAME], Diverged)
    assert after.ended[NAME].step == 49


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(KeyboardInterrupt(), "KILLED", ""), (RuntimeError("boom"), "FAILED", "RuntimeError: boom")],
    ids=["told to stop", "fails"],
)
def test_a_run_that_is_told_to_stop_or_fails_has_something_left(begin, tracker, error, status, reason):
    journal = begin()
    run = planned(journal)
    record = recorded(run, tracker, journal)
    record.add(chunk())
    record.close(error)
    journal = begin(is_resumed=True)
    past = journal.past.runs[0]
    assert (past.ended, past.is_stored, past.steps) == (None, True, 50)
    assert (past.stopped["status"], past.stopped["reason"]) == (status, reason)
    assert past.stopped["traceback"] == ("RuntimeError: boom\n" if reason else "")
    recorded(run, fake_tracker(), journal)  # it goes on
    past = read_past(journal.path.parent).runs[0]
    assert (past.stopped, past.is_stored) == (None, False)


def test_why_a_run_failed_is_noted_without_a_password(begin):
    journal = begin()
    planned(journal)
    journal.of(0).note_stopped("FAILED", RuntimeError("postgresql://me:geheim@host/db"))
    stopped = journal.read_again().runs[0].stopped
    assert "postgresql://" in stopped["reason"]
    assert "postgresql://" in stopped["traceback"]
    assert "geheim" not in str(stopped)


def test_what_was_noted_can_be_read_wherever_it_is(begin, clock):
    journal = begin()
    planned(journal)
    in_the_file = journal.of(0).note_chunk(chunk(), (0,))
    journal._file = Disk(journal._file, times=1, number=errno.EIO)
    elsewhere = journal.of(0).note_chunk(chunk(1), (0,))
    assert isinstance(in_the_file, int)
    for noted, epoch in ((in_the_file, chunk()), (elsewhere, chunk(1))):
        entry = journal.read(noted)
        assert (entry.kind, entry.fields["run"], entry.fields["members"]) == ("chunk", 0, [0])
        assert same(chunk_of(entry), epoch)
    assert len(journal.read_again().runs[0].places) == 1


def test_what_two_threads_append_is_there_whole(begin, monkeypatch):
    journal = begin()
    planned(journal)
    planned(journal, 1, (1,))
    began, append = threading.Barrier(2), JournalFile.append

    def append_slowly(file, *record):
        """Let the other thread, if it can, come in between."""
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
            overlaps.append(record)
        return append(file, *record)

    both, overlaps = threading.Barrier(2), []
    monkeypatch.setattr(JournalFile, "append", append_slowly)

    def note(number):
        began.wait()
        for epoch in range(10):
            journal.of(number).note_chunk(chunk(epoch), (number,))

    threads = [threading.Thread(target=note, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    past = journal.read_again()
    assert past.trouble == ""
    for number in range(2):
        found = [chunk_of(journal.read(place)).epoch for place in past.runs[number].places]
        assert found == list(range(10))
    assert overlaps == []


def test_another_run_in_the_same_folder_begins_a_journal_of_its_own(begin, tmp_path):
    planned(begin())
    assert begin().past.runs == {}
    assert (tmp_path / "journal.before").exists()


def test_a_sweep_that_launches_several_times_goes_on_in_its_journal(begin, tmp_path):
    planned(begin(SWEEP), 0)
    planned(begin(SWEEP), 1, (1,))
    assert sorted(begin(SWEEP).past.runs) == [0, 1]
    assert begin({**SWEEP, "sweep_id": "another"}).past.runs == {}


def test_what_is_left_is_nothing_once_the_program_came_to_its_end(begin, tmp_path):
    journal = begin()
    assert not read_past(tmp_path).has_finished
    journal.finish()
    assert read_past(tmp_path).has_finished
    begin(is_resumed=True)
    assert not read_past(tmp_path).has_finished


def test_the_key_of_a_run_stays_the_same_and_no_other_has_it(begin):
    journal = begin()
    keys = [journal.key(), journal.key(0), journal.key(1)]
    again = begin(is_resumed=True)
    assert [again.key(), again.key(0), again.key(1)] == keys
    other = begin()
    assert len({*keys, other.key(), other.key(0), other.key(1)}) == 6


def test_a_folder_that_a_living_program_writes_cannot_go_on_twice(begin, tmp_path, capsys):
    begin()
    with pytest.raises(UserError, match=f"^{tmp_path} is still being written, by a program"):
        Journal(tmp_path, ALONE, is_resumed=True)
    other = Journal(tmp_path, ALONE, is_resumed=False)
    assert "another program writes it, so this run could not be resumed" in capsys.readouterr().err
    other.begin({}, {})
    planned(other)
    assert read_past(tmp_path).runs == {}


def test_passwords_are_not_in_it(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "tracking.uri=postgresql://me:geheim@host/db"])
    begin()
    assert b"geheim" not in (tmp_path / "journal").read_bytes()


class Disk:
    """A file on a disk that is full for the next few appends."""

    def __init__(self, file, times, number=errno.ENOSPC):
        self._file, self.times, self._number = file, times, number

    def append(self, *record):
        if self.times:
            self.times -= 1
            raise OSError(self._number, "No room")
        return self._file.append(*record)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves."""
    now = [0.0]
    monkeypatch.setattr(journals.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(journals.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_a_full_disk_is_waited_for_and_nothing_is_lost(begin, tmp_path, clock, capsys):
    journal = begin()
    planned(journal)
    journal._file = Disk(journal._file, times=100)
    journal.of(0).note_chunk(chunk(), (0,))
    journal.of(0).note_chunk(chunk(1), (0,))
    assert clock[0] == 50
    assert capsys.readouterr().err.count("the disk is full. It is waited for, two minutes at most.") == 1
    assert len(read_past(tmp_path).runs[0].places) == 2


def test_a_disk_that_stays_full_ends_the_journal_there_and_not_the_runs(begin, tmp_path, clock, capsys):
    journal = begin()
    planned(journal)
    journal.of(0).note_chunk(chunk(), (0,))
    journal._file = Disk(journal._file, times=1000)
    journal.of(0).note_chunk(chunk(1), (0,))
    assert 120 <= clock[0] <= 121
    said = capsys.readouterr().err
    assert "No room. What is trained from here on cannot be resumed after a death." in said
    journal.of(0).note_chunk(chunk(2), (0,))
    assert len(read_past(tmp_path).runs[0].places) == 1  # no gap: what is behind it would be trained again
    assert 120 <= clock[0] <= 121


def test_any_other_error_of_the_disk_is_not_waited_for(begin, clock, capsys):
    journal = begin()
    journal._file = Disk(journal._file, times=1, number=errno.EIO)
    planned(journal)
    assert clock[0] == 0
    assert "cannot be resumed" in capsys.readouterr().err


def test_a_course_has_the_looks_of_its_epochs_and_counts_what_they_had():
    course = Course(planned_run(0))
    course.add(chunk(0, 4, **GROWING))
    course.add(chunk(1, 4))
    assert (course.epochs, course.steps, course.seconds) == (2, 8, 1.0)
    assert [(look.step, look.examples) for look in course.result.validation] == [(3, 144), (7, 240)]
    assert course.result.status == "failed"
    course.finish(None)
    assert (course.result.status, course.result.test) == ("finished", {})
    assert course.result.final_rate == float(np.float32(0.1))
