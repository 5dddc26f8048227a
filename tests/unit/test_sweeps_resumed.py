"""What of a sweep is left to train, and with whom."""

from dataclasses import replace

import pytest

from ratelab.runs import resuming
from ratelab.runs.description import describe, store_of
from ratelab.runs.resuming import check_runs, plan_runs, settings_of
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.resumed import cut_left, describe_resumed, restore_ended
from ratelab.tracking import StoreError
from ratelab.validation import UserError
from support.configs import planned_run
from support.fakes import START, AtOnce, Journals, chunk, diverged_chunk, fake_checkpoints, fake_tracker

SWEEP = {"mode": "sweep", "sweep_id": "a-sweep"}
RUNS = [planned_run(number, learning_rate=0.1 / (number + 1)) for number in range(4)]


@pytest.fixture
def tracker():
    return fake_tracker()


@pytest.fixture
def begin(tmp_path):
    """Open the journal of a sweep, as a program does that goes on or begins it; close it at the end."""
    journals = Journals(tmp_path, SWEEP)
    yield lambda is_resumed=True: journals.begin(is_resumed=is_resumed)
    journals.close()


@pytest.fixture
def cut(begin):
    """Cut what is left, after `note` has written into the journal of the sweep; at first it is two stacks."""

    def cut_after(note=lambda journal: None, runs=RUNS, workers=2):
        resources = Resources(workers=workers)
        journal = begin(is_resumed=False)
        cut_left(RUNS, resources, journal, fake_checkpoints())
        note(journal)
        return [stack.numbers for stack in cut_left(runs, resources, begin(), fake_checkpoints())]

    return cut_after


def trained(*numbers, members, ends=(), make=chunk):
    def note(journal):
        for number in numbers:
            journal.of(number).note_chunk(make(), members)
        for number in ends:
            journal.of(number).note_ended(status="finished", test=None)

    return note


def both(*notes):
    def note(journal):
        for one in notes:
            one(journal)

    return note


def test_a_new_sweep_is_cut_by_the_resources_and_noted(begin):
    journal = begin(is_resumed=False)
    assert [stack.numbers for stack in cut_left(RUNS, Resources(workers=2), journal, fake_checkpoints())] == [
        (0, 1),
        (2, 3),
    ]
    past = begin().past.runs
    assert {number: run.stack for number, run in past.items()} == {0: (0, 1), 1: (0, 1), 2: (2, 3), 3: (2, 3)}
    assert past[2].settings == settings_of(RUNS[2])


def test_a_sweep_of_which_nothing_was_trained_is_cut_as_it_was(cut):
    assert cut() == [(0, 1), (2, 3)]


def test_the_cut_is_that_of_before_whatever_the_resources_are_now(cut, begin):
    cut()
    assert [one.numbers for one in cut_left(RUNS, Resources(workers=4), begin(), fake_checkpoints())] == [
        (0, 1),
        (2, 3),
    ]


def test_a_stack_of_which_all_have_ended_is_not_trained(cut):
    assert cut(trained(0, 1, members=(0, 1), ends=(0, 1))) == [(2, 3)]


def test_a_run_that_has_ended_is_trained_with_those_of_its_stack_that_have_not(cut):
    assert cut(trained(0, 1, members=(0, 1), ends=(1,))) == [(0, 1), (2, 3)]


def test_a_run_that_diverged_has_ended(cut):
    diverged = trained(0, members=(0, 1), make=diverged_chunk)
    assert cut(both(diverged, trained(1, members=(0, 1), ends=(1,)))) == [(2, 3)]


@pytest.mark.parametrize(
    ("note", "left"),
    [
        (trained(0, members=(0,), ends=(0,)), [(1,), (2, 3)]),
        (trained(0, members=(0,)), [(0,), (1,), (2, 3)]),
        (trained(0, 1, members=(1, 0)), [(1, 0), (2, 3)]),
    ],
)
def test_a_stack_that_had_to_be_halved_stays_so_and_what_had_not_begun_is_another(cut, note, left):
    assert cut(note) == left


def test_nothing_is_left_when_all_have_ended(cut):
    numbers = (0, 1, 2, 3)
    assert cut(trained(*numbers, members=numbers, ends=numbers)) == []


def test_runs_of_a_later_phase_are_cut_anew(cut, begin):
    cut()
    later = [replace(run, number=run.number + 4) for run in RUNS]
    assert [one.numbers for one in cut_left(later, Resources(workers=2), begin(), fake_checkpoints())] == [
        (4, 5),
        (6, 7),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"learning_rate": 0.5}, "learning_rate: 0.05 -> 0.5"),
        ({"epochs": 4}, "epochs: 3 -> 4"),
        ({"seed": 9}, "seed: 0 -> 9"),
    ],
)
def test_runs_that_are_to_do_something_else_are_refused_with_the_difference(cut, change, told):
    values = {"learning_rate": 0.1 / 2, **change}
    other = [RUNS[0], planned_run(1, **values), *RUNS[2:]]
    with pytest.raises(UserError) as error:
        cut(runs=other)
    assert f"resume: {other[1].name} was begun otherwise:" in str(error.value)
    assert f"  {told}" in str(error.value)
    assert "resume_anyway=true" in str(error.value)
    allowed = [RUNS[0], planned_run(1, **values, resume_anyway=True), *RUNS[2:]]
    assert cut(runs=allowed) == [(0, 1), (2, 3)]


def test_other_data_are_refused(cut, monkeypatch):
    settings, digest = resuming.settings_of, RUNS[0].job.data.digest
    monkeypatch.setattr(resuming, "settings_of", lambda run: {**settings(run), "data_digest": "sha256:0"})

    def then_they_change(_):
        monkeypatch.setattr(resuming, "settings_of", settings)

    with pytest.raises(UserError, match=f"data_digest: sha256:0 -> {digest}"):
        cut(then_they_change)


def test_a_run_that_was_not_planned_then_is_refused(begin):
    journal = begin(is_resumed=False)
    plan_runs(journal, RUNS[:2], [(0, 1)])
    with pytest.raises(UserError, match="was begun otherwise"):
        check_runs(begin(), RUNS)


@pytest.fixture
def begin_ended(begin):
    """Open the journal of a sweep of whose runs two had ended, one in its middle, and one had not begun."""
    journal = begin(is_resumed=False)
    plan_runs(journal, RUNS, [(0, 1), (2, 3)])
    for number in (0, 1, 2):
        own = journal.of(number)
        own.note_begun(describe(RUNS[number], (0, 1), journal.path), store_of(RUNS[number]))
        journal.note_opened(number, f"id {number}")
        own.note_chunk(chunk(), (number,))
    for number in (0, 1):
        test = {"loss": 1.0, "accuracy": 0.5 + number / 8}
        journal.of(number).note_ended(status="finished", test=test, tested_at=START)
    return begin


def note_stored(journal, *numbers):
    for number in numbers:
        journal.note_stored(number)


def test_the_results_of_those_that_ended_come_from_the_journal_alone_if_the_store_has_them(
    begin_ended, tracker
):
    note_stored(begin_ended(), 0, 1)
    journal = begin_ended()
    with AtOnce(tracker, journal, "the sweep") as feed:
        found = restore_ended(RUNS, feed, journal)
    assert {number: result.value for number, result in found.items()} == {0: 0.5, 1: 0.625}
    assert [result.run_id for result in found.values()] == ["id 0", "id 1"]
    tracker.run.assert_not_called()


def test_the_store_is_given_whole_what_it_may_lack_of_those_that_ended(begin_ended, tracker):
    note_stored(begin_ended(), 0)
    journal = begin_ended()
    with AtOnce(tracker, journal, "the sweep") as feed:
        found = restore_ended(RUNS, feed, journal)
    assert {number: result.value for number, result in found.items()} == {0: 0.5, 1: 0.625}
    [opened] = tracker.run.call_args_list
    assert (opened.kwargs["key"], opened.kwargs["parent_id"]) == (journal.key(1), "the sweep")
    assert opened.kwargs["is_resumed"] is True
    assert found[1].run_id == f"id of {RUNS[1].name}"
    keys = [call.args[0] for call in tracker.opened[RUNS[1].name].metrics.call_args_list]
    assert [keys.count(key) for key in ("learning_rate", "test_accuracy")] == [1, 1]
    assert tracker.ended == {RUNS[1].name: None}
    assert journal.read_again().runs[1].is_stored


def test_the_results_are_the_same_where_the_store_does_not_take_them(begin_ended, tracker):
    tracker.run.side_effect = StoreError("tracking.uri: it is full.")
    journal = begin_ended()
    with AtOnce(tracker, journal, "the sweep") as feed:
        found = restore_ended(RUNS, feed, journal)
    assert {number: (result.status, result.value) for number, result in found.items()} == {
        0: ("finished", 0.5),
        1: ("finished", 0.625),
    }
    assert [feed.lacks(number) for number in range(4)] == [True, True, False, False]
    assert [journal.read_again().runs[number].is_stored for number in (0, 1)] == [False, False]


def test_what_is_kept_is_said_of_runs_that_the_journal_knows(begin):
    journal = begin(is_resumed=False)
    plan_runs(journal, RUNS, [(0, 1), (2, 3)])
    assert describe_resumed(RUNS, journal) == []
    for number in (0, 1):
        journal.of(number).note_chunk(chunk(), (0, 1))
    journal.of(1).note_ended(status="finished", test=None)
    said = "1 of 4 runs had ended, 100 of 600 steps are kept; the rest goes on."
    assert describe_resumed(RUNS, begin()) == [said]
