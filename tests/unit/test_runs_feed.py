"""Training does not wait for the store: a thread gives it what the journal has, and what it once refused."""

import re
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest

from ratelab.runs import feed as feeds
from ratelab.runs.feed import Feed
from ratelab.runs.record import RunRecord
from ratelab.runs.storing import Storing
from ratelab.runtime import lost_metrics
from ratelab.tracking import StoreError
from support.configs import planned_run
from support.fakes import FakeModel, chunk, fake_tracker, journal_in

NAME = "fixed seed=0"
TEST = {"loss": 0.5, "accuracy": 0.875}
FULL = StoreError("tracking.uri: the disk is full. Make room on its disk.")


class Gate:
    """A call that holds whoever makes it until the test lets it pass; `reached` says that somebody waits."""

    def __init__(self):
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, *_, **__):
        self.reached.set()
        assert self.released.wait(60)

    def is_reached(self):
        return self.reached.wait(60)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.released.set()


@pytest.fixture
def tracker():
    return fake_tracker()


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / "a run"
    folder.mkdir()
    with closing(journal_in(folder)) as journal:
        yield journal


@pytest.fixture
def feed(tracker, journal):
    with make_feed(tracker, journal) as feed:
        yield feed


@pytest.fixture
def told(monkeypatch):
    """What was told of each run when the feed was closed."""
    runs = {}
    monkeypatch.setattr(lost_metrics, "note_run", lambda run_id, *rest: runs.__setitem__(run_id, rest))
    return runs


@pytest.fixture
def _soon(monkeypatch):
    """What is behind is tried again at once."""
    monkeypatch.setattr(feeds, "_PAUSE", 0.001)
    monkeypatch.setattr(feeds, "_LONGEST_PAUSE", 0.002)


def make_feed(tracker, journal):
    return Feed(Storing(tracker, journal), tracker, journal.path.parent)


def recorded(feed, journal, number=0):
    """The record of a run that the store has opened."""
    record = RunRecord(planned_run(number, seed=number), feed, journal.of(number))
    assert feed.await_begin(number) == f"id of fixed seed={number}"
    return record


def steps_of(run):
    """The steps of the learning rates that a run was given."""
    calls = run.metrics.call_args_list
    return [step for call in calls if call.args[0] == "learning_rate" for step in call.args[1].tolist()]


def refuse_first(tracker, times, is_over=lambda: None):
    """Let a tracker refuse to open the first few runs; `is_over` is called when it opens one."""
    open_run, left = tracker.run.side_effect, [FULL] * times

    def refuse(name, **options):
        if left:
            raise left.pop()
        is_over()
        return open_run(name, **options)

    tracker.run.side_effect = refuse


def test_a_record_goes_on_while_the_store_is_held(feed, tracker, journal, gate):
    record = recorded(feed, journal)
    run = tracker.opened[NAME]
    run.metrics.side_effect = gate
    for epoch in range(20):
        record.add(chunk(epoch))
    record.finish(TEST)
    assert gate.is_reached()
    run.metrics.assert_called_once()  # the first call is held still
    assert (record.result.status, record.result.value, record.steps) == ("finished", 0.875, 1000)
    past = journal.read_again().runs[0]
    assert (len(past.places), past.ended["status"], past.is_stored) == (20, "finished", False)
    assert tracker.ended == {}
    gate.released.set()
    feed.drain()
    assert steps_of(run) == list(range(1000))
    assert tracker.ended == {NAME: None}
    assert not feed.lacks(0)
    assert journal.read_again().runs[0].is_stored


def test_runs_begin_before_all_else_that_waits(feed, tracker, journal, gate):
    first = recorded(feed, journal)
    run, seen = tracker.opened[NAME], []

    def metrics(_key, steps, *_):
        gate()
        seen.append((int(steps[-1]), sorted(tracker.opened)))

    run.metrics.side_effect = metrics
    first.add(chunk(0))
    assert gate.is_reached()
    first.add(chunk(1))
    second = RunRecord(planned_run(1, seed=1), feed, journal.of(1))
    second.add(chunk(0))
    assert second.result.run_id == ""
    gate.released.set()
    feed.drain()
    other = "fixed seed=1"
    assert {tuple(opened) for step, opened in seen if step == 49} == {(NAME,)}
    assert {tuple(opened) for step, opened in seen if step == 99} == {(NAME, other)}
    assert second.result.run_id == f"id of {other}"
    assert steps_of(tracker.opened[other]) == list(range(50))


def test_to_drain_is_to_wait_until_the_store_has_everything(feed, tracker, journal, gate):
    record, has_drained, seen = recorded(feed, journal), threading.Event(), []

    def metrics(*_):
        gate()
        seen.append(has_drained.is_set())

    tracker.opened[NAME].metrics.side_effect = metrics
    record.add(chunk(0))
    record.add(chunk(1))

    def drain():
        feed.drain()
        has_drained.set()

    thread = threading.Thread(target=drain)
    thread.start()
    assert gate.is_reached()
    gate.released.set()
    thread.join()
    assert seen
    assert not any(seen)
    assert steps_of(tracker.opened[NAME]) == list(range(100))


def hold_second(tracker, journal, gate, monkeypatch):
    """A feed with two runs that have ended, of which a store that is too slow has the first."""
    feed = make_feed(tracker, journal)
    for number in range(2):
        record = recorded(feed, journal, number)
        if number == 1:
            feed.drain()
            tracker.opened["fixed seed=1"].metrics.side_effect = gate
        record.add(chunk())
        record.finish(TEST)
    assert gate.is_reached()
    monkeypatch.setattr(feeds, "_BRIEF", 0.01)
    feed._begun = time.monotonic()  # as if it had been fed for no time at all
    return feed


def make_clock(feed, tracker, monkeypatch, *questions):
    """Let time pass for a feed only when it waits, and questions be open for so many seconds, one by one.

    Return the time that has passed.
    """
    passed = [0.0]

    def wait(condition, seconds):
        passed[0] += seconds
        return condition()

    def ask(_):
        left = passed[0]
        for seconds in questions:
            if left < seconds:
                return left
            left -= seconds
        return 0.0

    monkeypatch.setattr(feeds, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    monkeypatch.setattr(feed, "_wait", wait)
    type(tracker).seconds_asked = property(ask)
    feed._begun = 0.0
    return passed


@pytest.mark.parametrize(
    ("fed", "waited", "questions", "passed"),
    [
        (0, 0, [], 10),  # ten seconds at least
        (25, 0, [], 25),
        (25, 0, [6, 6, 6, 6, 6], 30),  # what was asked for in time is waited for
        (25, 0, [26], 51),  # what takes longer than ten seconds is not counted
        (25, 0, [3, 40, 30], 95),
        (25, 20, [], 5),  # of all waits together
        (5, 8, [], 2),
    ],
)
def test_it_waits_as_long_as_it_was_fed(feed, tracker, gate, monkeypatch, fed, waited, questions, passed):
    clock = make_clock(feed, tracker, monkeypatch, *questions)
    feed._begun, feed._waited = -fed - waited, waited
    feed._put(feed._steps, gate)
    feed.drain()
    assert clock[0] == pytest.approx(passed, abs=3 * feeds._LOOK)
    assert feed._is_too_slow
    gate.released.set()


def test_a_store_that_takes_longer_than_it_was_fed_is_given_up(
    tracker, journal, gate, monkeypatch, told, capsys
):
    with hold_second(tracker, journal, gate, monkeypatch) as feed:
        begun = feed._begun
        feed.drain()
        passed = time.monotonic() - begun
        assert [feed.lacks(number) for number in range(2)] == [False, True]
        tracker.give_up.assert_called_once_with()
        feed.drain()  # is not waited for again
    found = re.fullmatch(
        r"warning: the store has not taken all in (\d+) s after training, and is waited for no "
        r"more\.\n",
        capsys.readouterr().err,
    )
    assert int(found[1]) <= passed
    folder = journal.path.parent
    assert told == {f"id of {NAME}": (False, folder), "id of fixed seed=1": (True, folder)}
    past = journal.read_again().runs
    assert [past[number].is_stored for number in range(2)] == [True, False]


def test_a_store_is_waited_for_as_long_as_it_was_fed(tracker, journal, gate, monkeypatch):
    with hold_second(tracker, journal, gate, monkeypatch) as feed:
        feed._begun -= 3600
        threading.Timer(0.5, gate.released.set).start()
        feed.drain()
        assert [feed.lacks(number) for number in range(2)] == [False, False]
    tracker.give_up.assert_not_called()


def test_what_has_been_drained_is_not_asked_again_until_something_comes(feed, tracker, journal, monkeypatch):
    asked, storing = [], feed._storing
    monkeypatch.setattr(storing, "catch_up", lambda is_last=False: asked.append(is_last))
    record = recorded(feed, journal)
    feed.drain()
    feed.drain()
    assert asked == [True]
    record.add(chunk())
    feed.drain()
    assert asked == [True, True]
    assert steps_of(tracker.opened[NAME]) == list(range(50))


@pytest.mark.usefixtures("_soon")
def test_what_is_behind_is_tried_again_until_the_store_takes_it(tracker, journal, told, capsys):
    is_open = threading.Event()
    refuse_first(tracker, 5, is_open.set)
    with make_feed(tracker, journal) as feed:
        record = RunRecord(planned_run(0), feed, journal.of(0))
        record.add(chunk())
        assert is_open.wait(60)  # nothing came that would have been a reason to try
        assert tracker.run.call_count == 6
        record.add(chunk(1))
        record.finish(TEST)
        feed.drain()
        assert not feed.lacks(0)
    assert steps_of(tracker.opened[NAME]) == list(range(100))
    assert tracker.ended == {NAME: None}
    assert told == {f"id of {NAME}": (False, journal.path.parent)}
    assert capsys.readouterr().err.count("warning: ") == 1


@pytest.mark.usefixtures("_soon")
def test_what_is_behind_is_tried_again_also_while_others_keep_the_store_busy(tracker, journal):
    is_busy, is_open, open_run = threading.Event(), threading.Event(), tracker.run.side_effect

    def refuse_until_busy(name, **options):
        if name == NAME and not is_busy.is_set():
            raise FULL
        if name == NAME:
            is_open.set()
        return open_run(name, **options)

    def go_on(*_):
        """Let one step more wait, so that there always is one, until the run is there."""
        is_busy.set()
        if not is_open.is_set():
            feed.warn(1, "more", ValueError())

    tracker.run.side_effect = refuse_until_busy
    with make_feed(tracker, journal) as feed:
        RunRecord(planned_run(0), feed, journal.of(0)).add(chunk())
        recorded(feed, journal, 1)
        tracker.opened["fixed seed=1"].warn.side_effect = go_on
        for _ in range(2):
            feed.warn(1, "something", ValueError())
        was_opened = is_open.wait(60)
        is_open.set()
    assert was_opened
    assert not feed.lacks(0)
    assert steps_of(tracker.opened[NAME]) == list(range(50))


def test_what_is_behind_is_not_tried_before_its_time(tracker, journal, monkeypatch):
    monkeypatch.setattr(feeds, "_PAUSE", 3600)
    refuse_first(tracker, 1)
    with make_feed(tracker, journal) as feed:
        record = RunRecord(planned_run(0), feed, journal.of(0))
        for epoch in range(3):
            record.add(chunk(epoch))
        other = recorded(feed, journal, 1)
        other.add(chunk())
        with pytest.raises(StoreError):
            feed.await_begin(0)
        assert [call.args[0] for call in tracker.run.call_args_list] == [NAME, "fixed seed=1"]
        feed.drain()  # at the end it is
        assert steps_of(tracker.opened[NAME]) == list(range(150))


@pytest.mark.parametrize("error", [FULL, ValueError("no such name"), OSError("no such folder")], ids=repr)
def test_a_run_that_cannot_be_begun_is_told_why(tracker, journal, error):
    tracker.run.side_effect = error
    with make_feed(tracker, journal) as feed:
        RunRecord(planned_run(0), feed, journal.of(0))
        with pytest.raises(type(error)) as raised:
            feed.await_begin(0)
        assert raised.value is error
        assert (feed.id_of(0), feed.lacks(0)) == ("", True)


def test_a_run_that_has_begun_and_fell_behind_since_has_begun(feed, tracker, journal):
    record = recorded(feed, journal)
    tracker.opened[NAME].lacks_metrics = True
    record.add(chunk())
    feed.drain()
    assert feed.lacks(0) is False  # the store was asked again
    tracker.opened[NAME].lacks_metrics = True
    tracker.run.side_effect = FULL
    record.add(chunk(1))
    feed.drain()
    assert feed.lacks(0)
    assert feed.await_begin(0) == f"id of {NAME}"


def test_only_what_no_store_could_take_is_an_error_of_the_run(tracker, journal):
    tracker.run.side_effect = FULL
    with make_feed(tracker, journal) as feed:
        record = RunRecord(planned_run(0), feed, journal.of(0))
        record.add(chunk(0))
        feed.drain()
        assert feed.lacks(0)
        feed.check(0)
        record.add(chunk(1))
        tracker.run.side_effect = error = ValueError("no such name")
        feed.drain()
        feed.check(1)
        with pytest.raises(ValueError, match="no such name") as raised:
            record.add(chunk(2))
        assert raised.value is error
        assert (record.steps, journal.read_again().runs[0].steps) == (100, 100)


def test_a_model_is_kept_before_the_run_ends_while_the_store_is_held(feed, tracker, journal, gate):
    record = recorded(feed, journal)
    run, seen = tracker.opened[NAME], []
    run.metrics.side_effect = gate
    run.log_keras_model.side_effect = lambda *_: seen.append(dict(tracker.ended))
    record.add(chunk())
    kept = FakeModel()
    record.finish(TEST, lambda: kept)
    assert gate.is_reached()
    run.log_keras_model.assert_not_called()
    gate.released.set()
    feed.drain()
    assert seen == [{}]
    assert tracker.ended == {NAME: None}
    (model, example) = run.log_keras_model.call_args.args
    assert (model, example.dtype) == (kept, np.float32)


def test_every_run_is_told_of_at_the_end(tracker, journal, told):
    open_run, folder = tracker.run.side_effect, journal.path.parent

    def refuse(name, **options):
        if name.endswith(("2", "3")):
            raise FULL
        return open_run(name, **options)

    tracker.run.side_effect = refuse
    with make_feed(tracker, journal) as feed:
        for number in range(4):
            record = RunRecord(planned_run(number, seed=number), feed, journal.of(number))
            record.add(chunk())
            record.finish(TEST)
        assert told == {}
    for number in range(2):
        assert told.pop(f"id of fixed seed={number}") == (False, folder)
    assert list(told.values()) == [(True, folder)] * 2  # the store has no id of them


def test_an_error_ends_what_is_open_and_waits_for_the_store(tracker, journal, gate, told):
    error = RuntimeError("boom")

    def train(feed):
        record = recorded(feed, journal)
        tracker.opened[NAME].metrics.side_effect = gate
        record.add(chunk(0))
        record.add(chunk(1))
        assert gate.is_reached()
        gate.released.set()
        raise error

    with pytest.raises(RuntimeError) as raised, make_feed(tracker, journal) as feed:
        train(feed)
    assert raised.value is error
    assert steps_of(tracker.opened[NAME]) == list(range(100))
    assert tracker.ended == {NAME: error}
    tracker.give_up.assert_not_called()
    assert told == {f"id of {NAME}": (False, journal.path.parent)}


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_program_that_is_told_to_stop_gives_a_store_that_takes_it_what_waits(
    tracker, journal, is_behind, monkeypatch, capsys
):
    monkeypatch.setattr(feeds, "_STOPPING", 60)

    def train(record):
        tracker.opened[NAME].lacks_metrics = is_behind
        for epoch in range(3):
            record.add(chunk(epoch))
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        make_feed(tracker, journal) as feed,
        recorded(feed, journal) as record,
    ):
        train(record)
    assert steps_of(tracker.opened[NAME]) == list(range(50 if is_behind else 150))
    assert (tracker.ended[NAME] is None) is is_behind  # then it was left, else it is KILLED
    tracker.give_up.assert_not_called()
    advice = f"Give it the rest: ratelab sync '{journal.path.parent}'\n"
    assert capsys.readouterr().err.count(advice) == is_behind


@pytest.mark.parametrize("when", ["while it trains", "while it waits for the store"])
def test_a_program_that_is_told_to_stop_waits_for_seconds_only(
    tracker, journal, gate, told, monkeypatch, capsys, when
):
    monkeypatch.setattr(feeds, "_STOPPING", 0.1)

    def interrupt():
        raise KeyboardInterrupt

    def train(feed):
        record = recorded(feed, journal)
        tracker.opened[NAME].metrics.side_effect = gate
        record.add(chunk())
        record.finish(TEST)
        assert gate.is_reached()
        if when == "while it trains":
            interrupt()
        monkeypatch.setattr(feed, "drain", interrupt)

    with pytest.raises(KeyboardInterrupt), make_feed(tracker, journal) as feed:
        train(feed)
    assert not gate.released.is_set()
    assert tracker.ended == {}
    tracker.give_up.assert_called_once_with()
    assert capsys.readouterr().err == (
        "warning: the store has not taken all in time. Give it the rest: ratelab sync "
        f"'{journal.path.parent}'\n"
    )
    assert told.keys() == {f"id of {NAME}"}
    gate.released.set()
    feed._thread.join(60)
    assert not feed._thread.is_alive()


def test_a_feed_that_was_closed_has_no_thread(tracker, journal):
    with make_feed(tracker, journal) as feed:
        recorded(feed, journal).add(chunk())
        thread = feed._thread
        assert thread.is_alive()
    assert not thread.is_alive()
    feed.drain()  # whoever asks once more is not kept waiting
