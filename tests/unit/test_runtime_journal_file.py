"""The journal's file: records come back as they were, whatever became of the file behind them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from ratelab.runtime.journal_file import MAGIC, Entries, JournalFile, JournalHeldError, is_held

ENTRIES = [
    ("plan", {"stacks": [[0, 2], [1]], "name": "Übung"}, {}),
    ("chunk", {"run": 0, "loss": 0.1}, {"rates": np.float32([0.5, 0.25]), "steps": np.int64([[1], [2]])}),
    ("chunk", {"run": 1, "loss": float("inf")}, {"rates": np.float32([])}),
    ("end", {}, {"going": np.array([True, False])}),
]


def write(path, entries=ENTRIES):
    journal = JournalFile(path)
    for entry in entries:
        journal.append(*entry)
    journal.close()
    return path.read_bytes()


def read(path):
    with path.open("rb") as file:
        entries = Entries(file)
        return [(one.kind, dict(one.fields), dict(one.arrays)) for one in entries], entries.trouble


def same(found, wanted):
    def plain(entry):
        kind, fields, values = entry
        return kind, fields, {name: (v.dtype, v.shape, v.tobytes()) for name, v in values.items()}

    return [plain(one) for one in found] == [plain(one) for one in wanted]


def bounds(data):
    """Where the records end, found by their own lengths."""
    places = [len(MAGIC)]
    while places[-1] < len(data):
        places.append(places[-1] + 8 + int.from_bytes(data[places[-1] : places[-1] + 4], "little"))
    return places


def test_what_was_appended_is_read(tmp_path):
    write(tmp_path / "journal")
    found, trouble = read(tmp_path / "journal")
    assert same(found, ENTRIES)
    assert trouble == ""


@given(
    arrays(
        scalar_dtypes().filter(lambda dtype: dtype.kind in "biuf"),
        array_shapes(min_dims=0, max_dims=3, min_side=0),
    ),
    st.dictionaries(st.text(), st.floats(allow_nan=False) | st.integers() | st.text() | st.none()),
)
def test_any_array_and_fields_come_back(tmp_path_factory, array, fields):
    path = tmp_path_factory.mktemp("any") / "journal"
    write(path, [("x", fields, {"a": array})])
    found, _ = read(path)
    assert same(found, [("x", fields, {"a": array})])


def test_of_a_file_that_was_cut_anywhere_every_whole_record_is_read_and_it_is_appended_to(tmp_path):
    whole, path = write(tmp_path / "whole"), tmp_path / "journal"
    ends = bounds(whole)
    assert len(ends) == len(ENTRIES) + 1
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        left = sum(end <= length for end in ends[1:])
        found, trouble = read(path)
        assert same(found, ENTRIES[:left])
        assert bool(trouble) == (length not in (0, *ends))
        journal = JournalFile(path)
        journal.append("more", {"n": length})
        journal.close()
        found, trouble = read(path)
        assert same(found, [*ENTRIES[:left], ("more", {"n": length}, {})])
        assert trouble == ""


def test_of_a_file_with_any_byte_flipped_no_wrong_record_is_read_and_it_is_reported(tmp_path):
    whole, path = write(tmp_path / "whole"), tmp_path / "journal"
    ends = bounds(whole)
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            found, trouble = read(path)
            assert same(found, ENTRIES[: max(0, sum(end <= place for end in ends) - 1)])
            assert trouble


def test_a_file_of_zeros_behind_the_end_is_no_record(tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(write(path) + bytes(4096))
    found, trouble = read(path)
    assert same(found, ENTRIES)
    assert trouble.startswith("the record at byte")


def test_what_exists_is_read_and_then_appended_to(tmp_path):
    write(tmp_path / "journal", ENTRIES[:2])
    journal = JournalFile(tmp_path / "journal")
    assert [entry.kind for entry in journal.entries] == ["plan", "chunk"]
    for entry in ENTRIES[2:]:
        journal.append(*entry)
    journal.close()
    assert same(read(tmp_path / "journal")[0], ENTRIES)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    before = write(path)

    class Full:
        """A disk that takes ten bytes more."""

        def __init__(self, file):
            self.file, self.room = file, 10

        def write(self, data):
            if not self.room:
                raise OSError(28, "No space left on device")
            part, self.room = data[: self.room], 0
            return self.file.write(part)

        def __getattr__(self, name):
            return getattr(self.file, name)

    journal = JournalFile(path)
    file, journal._file = journal._file, Full(journal._file)
    with pytest.raises(OSError, match="No space left"):
        journal.append("more", {"text": "x" * 100})
    assert path.read_bytes() == before
    journal._file = file
    journal.append("more", {})
    journal.close()
    assert same(read(path)[0], [*ENTRIES, ("more", {}, {})])


def test_only_one_has_it_open(tmp_path):
    path = tmp_path / "journal"
    write(path)
    journal = JournalFile(path)
    assert is_held(path)
    with pytest.raises(JournalHeldError):
        JournalFile(path)
    journal.close()
    assert not is_held(path)
    JournalFile(path).close()
