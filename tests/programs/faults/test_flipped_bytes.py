"""Bytes of a store that are not what was written, many more of them than the first tier has time for."""

import pytest

from support.stored import Damaged, copied, places_of_runs, store_sweep

PART = 29  # one byte of so many is flipped: five minutes


@pytest.mark.faults
@pytest.mark.parametrize("bits", [0x01, 0xFF])
def test_of_a_store_with_a_byte_flipped_no_wrong_result_is_read(fresh_store, tmp_path, bits):
    (tmp_path / "whole").mkdir()
    sweep = store_sweep(fresh_store, tmp_path / "whole")
    damaged = Damaged(copied(sweep, tmp_path))
    places = places_of_runs(sweep)[::PART]
    assert len(places) > 5000
    assert {place: wrong for place in places if (wrong := damaged.flip(place, bits))} == {}
