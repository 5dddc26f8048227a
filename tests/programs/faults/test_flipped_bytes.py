"""A small store whose file is not what was written: with each byte flipped, and cut at every length."""

import pytest

from support.stored import Damaged, store_small_sweep

PARTS = 12  # of the file, so that several processes share the work: an hour and a half for one


@pytest.fixture(scope="module")
def damaged(fresh_store, tmp_path_factory):
    """The small store, its file under the hands of one test after the other."""
    return Damaged(store_small_sweep(fresh_store, tmp_path_factory.mktemp("a small store")))


@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_of_a_store_with_a_byte_flipped_no_wrong_result_is_read(damaged, part):
    places = range(part, len(damaged.whole), PARTS)
    assert {place: wrong for place in places if (wrong := damaged.flip(place, 0xFF))} == {}


@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_of_a_store_that_was_cut_no_wrong_result_is_read(damaged, part):
    lengths = range(part, len(damaged.whole), PARTS)
    assert {length: wrong for length in lengths if (wrong := damaged.cut(length))} == {}
