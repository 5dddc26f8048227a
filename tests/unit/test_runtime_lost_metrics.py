"""Of how many runs the store lacks metrics: one message when the program ends, whoever ran them."""

from pathlib import Path

import pytest

from ratelab.runtime.lost_metrics import note_run, told_at_the_end
from ratelab.runtime.signals import plain_endings
from ratelab.validation import UserError

FOLDER = Path("/a sweep")


def end_runs(*lacking):
    """Note of runs, one by one, whether the store lacks metrics of them, and end."""
    with told_at_the_end():
        for number, one in enumerate(lacking):
            note_run(f"run {number}", one, FOLDER)


@pytest.mark.parametrize(
    ("lacking", "told"),
    [([True], "this run"), ([False, True, False, True], "2 of 4 runs"), ([True] * 3, "3 of 3 runs")],
)
def test_of_how_many_runs_metrics_are_lost_is_said(lacking, told):
    with pytest.raises(UserError) as raised:
        end_runs(*lacking)
    assert str(raised.value) == (
        f"the store lacks metrics of {told}, which `ratelab compare` leaves out. Give it what the journal "
        "has as soon as it takes that: ratelab sync '/a sweep'"
    )


@pytest.mark.parametrize("folders", [[None, None], [Path("/a"), Path("/b")], [Path("/a"), None]])
def test_of_runs_in_several_folders_each_is_to_be_given_the_store(folders):
    def note_each():
        with told_at_the_end():
            for number, folder in enumerate(folders):
                note_run(str(number), True, folder)

    with pytest.raises(UserError, match=r"2 of 2 runs, .*: ratelab sync FOLDER, for each of them$"):
        note_each()


def test_where_all_metrics_are_kept_nothing_is_said():
    end_runs()
    end_runs(False, False, False)


def test_a_run_that_is_noted_where_it_was_recorded_and_where_its_result_arrives_counts_once():
    def note_twice():
        with told_at_the_end():
            for run_id in ("a", "b", "a"):
                note_run(run_id, run_id == "a", FOLDER)

    with pytest.raises(UserError, match="of 1 of 2 runs, which"):
        note_twice()


def test_what_was_noted_before_does_not_count():
    note_run("a", True, FOLDER)
    end_runs(False)


def test_why_a_program_failed_is_told_instead():
    def fail():
        with told_at_the_end():
            note_run("a", True, FOLDER)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()


def test_a_program_ends_with_the_message_and_a_status_of_its_own(capsys):
    with pytest.raises(SystemExit) as end, plain_endings():
        note_run("a", True, FOLDER)
    assert end.value.code == 75
    assert capsys.readouterr().err.startswith("the store lacks metrics of this run, which ")
