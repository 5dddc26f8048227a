"""What doctor says of runs and sweeps that were left in the middle."""

from types import SimpleNamespace

import pytest

from ratelab.commands.doctor.findings import OK, WARNING, Finding
from ratelab.commands.doctor.journals import check_journals
from ratelab.runs.journal import Journal
from support.journalled import ended, lost

SWEEP = {"mode": "sweep", "sweep_id": "a-sweep"}


@pytest.fixture
def setup(tmp_path):
    return SimpleNamespace(run_folders=(tmp_path / "multirun" / "2026-01-01" / "10-00-00",))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "multirun" / "a day" / "10-00-00"
    place.mkdir(parents=True)
    return place


def journal_of(folder, *ended):
    journal = Journal(folder, SWEEP, is_resumed=False)
    journal.begin({}, {})
    journal.plan({number: {} for number in range(3)}, [(0, 1, 2)])
    for number in ended:
        journal.of(number).note_ended(status="finished", test=None)
    return journal


def test_where_there_is_none_all_is_well(setup, tmp_path):
    assert [*check_journals(setup)] == [Finding(OK, "journals", "no run or sweep was left in the middle")]
    assert [*tmp_path.iterdir()] == []


def test_one_that_came_to_its_end_is_not_told(setup, folder):
    journal = journal_of(folder, 0, 1, 2)
    journal.finish()
    journal.close()
    assert [one.seen for one in check_journals(setup)] == ["no run or sweep was left in the middle"]


def test_one_that_a_living_program_writes(setup, folder):
    journal = journal_of(folder, 1)
    [found] = check_journals(setup)
    journal.close()
    assert found == Finding(OK, "journals", f"{folder}: 1 of 3 runs have ended, a program trains the rest")


def test_one_that_nobody_writes_can_go_on(setup, folder):
    journal_of(folder, 0, 2).close()
    seen = f"{folder}: 2 of 3 runs have ended, nobody trains the rest"
    assert [*check_journals(setup)] == [
        Finding(WARNING, "journals", seen, f"Go on with: ratelab resume '{folder}'")
    ]


def test_one_of_which_a_store_lacks_something_can_be_given_to_it(setup, folder):
    ended(folder, lost("fixed seed=1"), ["finished", "diverged", "finished"], others=0)
    seen = f"{folder}: 3 of 3 runs have ended, the store lacks something of 1"
    assert [*check_journals(setup)] == [
        Finding(WARNING, "journals", seen, f"Mend the store, then: ratelab sync '{folder}'")
    ]


@pytest.mark.parametrize(
    ("is_over", "others"), [(False, 0), (True, 1)], ids=["more was planned", "more runs"]
)
def test_one_that_is_left_to_train_goes_on_which_gives_the_store_all_of_it(setup, folder, is_over, others):
    ended(folder, lost(), ["finished"], is_over=is_over, others=others)
    [found] = check_journals(setup)
    assert found.advice == f"Go on with: ratelab resume '{folder}'"


def test_a_damaged_one_says_so(setup, folder):
    journal_of(folder, 0).close()
    path = folder / "journal"
    path.write_bytes(path.read_bytes()[:-1])
    [found] = check_journals(setup)
    assert found.seen == (
        f"{folder}: 0 of 3 runs have ended, nobody trains the rest "
        f"(its last record is not whole ({path.stat().st_size - found_end(path)} bytes))"
    )


def found_end(path):
    from ratelab.runtime.journal_file import Entries

    with path.open("rb") as file:
        entries = Entries(file)
        assert len([*entries]) == 2
        return entries.end
