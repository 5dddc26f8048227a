"""What is found of checkpoints is whole and of the same runs, or is not taken."""

import errno

import numpy as np
import pytest

from ratelab.runs import checkpoints as checkpoints_module
from ratelab.runs.checkpoints import Checkpoints
from ratelab.training import Checkpoint
from support.fakes import fake_journals

MEMBERS = (3, 5)


def checkpoint(epochs):
    state = (np.float32([[epochs, 1.5]]), np.uint32([[7, epochs]]), np.zeros((2, 0), np.float32))
    return Checkpoint(
        epochs, np.array([True, False]), np.linspace(0, 1, 2 * epochs).reshape(2, epochs), state
    )


def plain(one):
    if one is None:
        return None
    arrays = [one.going, one.val_losses, *one.state]
    return one.epochs, [(array.dtype, array.shape, array.tobytes()) for array in arrays]


@pytest.fixture
def journal():
    return fake_journals()


@pytest.fixture
def kept(tmp_path, journal):
    return Checkpoints(tmp_path, journal)


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "checkpoints").iterdir())


def test_the_last_two_of_the_same_runs_are_kept_and_the_newest_is_taken(kept, tmp_path):
    for epochs in (1, 2, 10, 11):
        kept.save(MEMBERS, checkpoint(epochs))
    kept.save((4,), checkpoint(7))
    assert files(tmp_path) == ["key of 3-000000010", "key of 3-000000011", "key of 4-000000007"]
    assert plain(kept.load(MEMBERS, 20)) == plain(checkpoint(11))
    assert plain(kept.load((4,), 7)) == plain(checkpoint(7))


def test_one_that_is_ahead_of_the_journal_would_leave_a_gap(kept):
    for epochs in (4, 8):
        kept.save(MEMBERS, checkpoint(epochs))
    assert plain(kept.load(MEMBERS, 8)) == plain(checkpoint(8))
    assert plain(kept.load(MEMBERS, 7)) == plain(checkpoint(4))
    assert kept.load(MEMBERS, 3) is None


def test_one_of_other_runs_is_not_taken_nor_of_the_same_in_another_order(kept):
    kept.save(MEMBERS, checkpoint(4))
    assert kept.load((3,), 9) is None
    assert kept.load((3, 5, 6), 9) is None
    assert kept.load((5, 3), 9) is None
    assert kept.load((), 9) is None


def test_one_that_another_program_left_in_this_folder_is_not_taken(kept, tmp_path, journal):
    kept.save(MEMBERS, checkpoint(4))
    journal.key.side_effect = lambda number: f"other key of {number}"
    others = Checkpoints(tmp_path, journal)
    assert others.load(MEMBERS, 8) is None
    others.save(MEMBERS, checkpoint(2))
    assert plain(others.load(MEMBERS, 8)) == plain(checkpoint(2))


def test_before_it_is_written_the_journal_is_on_the_disk(kept, journal, tmp_path):
    journal.sync.side_effect = lambda: seen.append(files(tmp_path))
    seen = []
    kept.save(MEMBERS, checkpoint(1))
    assert seen == [[]]


def test_of_a_damaged_one_nothing_is_taken_but_the_one_before(kept, tmp_path):
    for epochs in (4, 8):
        kept.save(MEMBERS, checkpoint(epochs))
    path = tmp_path / "checkpoints" / "key of 3-000000008"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert plain(kept.load(MEMBERS, 8)) == plain(checkpoint(4))
    for place in range(len(whole)):
        for flip in (0x01, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            assert plain(kept.load(MEMBERS, 8)) == plain(checkpoint(4))


def test_what_a_death_left_half_written_is_no_checkpoint(kept, tmp_path):
    kept.save(MEMBERS, checkpoint(4))
    (tmp_path / "checkpoints" / "key of 3-000000008.part").write_bytes(b"half")
    assert plain(kept.load(MEMBERS, 8)) == plain(checkpoint(4))
    kept.save(MEMBERS, checkpoint(8))
    assert plain(kept.load(MEMBERS, 8)) == plain(checkpoint(8))
    assert files(tmp_path) == ["key of 3-000000004", "key of 3-000000008"]


def test_those_of_runs_that_have_ended_go_and_at_last_the_folder(kept, tmp_path):
    kept.save(MEMBERS, checkpoint(4))
    kept.save((4,), checkpoint(4))
    kept.drop(MEMBERS)
    assert files(tmp_path) == ["key of 4-000000004"]
    kept.clear()
    assert not (tmp_path / "checkpoints").exists()
    kept.clear()
    assert kept.load(MEMBERS, 4) is None


def test_one_that_cannot_be_kept_is_told_once_and_the_one_before_stays(kept, tmp_path, monkeypatch, capsys):
    kept.save(MEMBERS, checkpoint(4))

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints_module, "write_whole", fail)
    for epochs in (5, 6):
        kept.save(MEMBERS, checkpoint(epochs))
    said = f"warning: {tmp_path}/checkpoints: no checkpoint is kept: No space left on device.\n"
    assert capsys.readouterr().err == said
    assert plain(kept.load(MEMBERS, 6)) == plain(checkpoint(4))
