"""Tables that are encoded a few rows at a time: the same bits in memory and on the disk, from any file."""

import io
import itertools
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.data import encoding, table
from ratelab.data.frames import Parquet, open_frame
from ratelab.validation import UserError

ROWS = 90
generator = np.random.default_rng(0)
# Of each type that Parquet keeps, without a missing value.
KINDS = {
    "numbers": generator.normal(size=ROWS) * 1e6,
    "single": generator.normal(size=ROWS).astype(np.float32),
    "half": generator.normal(size=ROWS).astype(np.float16),
    "whole": pd.array(generator.integers(-9, 9, ROWS), dtype="Int64"),
    "short": pd.array(generator.integers(0, 9, ROWS), dtype="UInt8"),
    "yes": pd.array(generator.random(ROWS) < 0.5, dtype="boolean"),
    "words": generator.choice(["red", "blue", "grün", "NA"], ROWS),
    "category": pd.Categorical(generator.choice(["u", "v", "w"], ROWS)),
    "numbered": pd.Categorical(generator.choice([3, 1, 2], ROWS)),
    "steps": pd.Categorical(generator.choice([0.5, 1.5], ROWS), ordered=True),
    "constant": np.full(ROWS, 0.1),
}
TARGET = {"target": [f"class {i % 3}" for i in range(ROWS)]}


def lacking(name, every=30):
    """The column of a kind, a value of which is missing here and there."""
    return pd.Series(KINDS[name]).mask(np.arange(ROWS) % every == len(name) % every)


def splits_of(data):
    return [data.train, data.validation, data.test]


def everything(data):
    """All that a data set is, to the bit."""
    splits = [(split.inputs.tobytes(), split.targets.tobytes()) for split in splits_of(data)]
    return splits, data.digest, data.labels, data.classes, data.train.inputs.shape


@pytest.fixture
def small(monkeypatch):
    """Let everything lie on the disk, and a few rows be encoded at a time."""
    monkeypatch.setattr(encoding, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(encoding, "BATCH", 700)
    monkeypatch.setattr(encoding, "FEWEST", 1)


# the file, column by column and batch by batch


def parquet(frame, path, rows=20):
    frame.to_parquet(path, row_group_size=rows)
    return str(path)


AS_PANDAS = {
    "each kind": pd.DataFrame({name: lacking(name) for name in KINDS}),
    "an index of its own": pd.DataFrame(KINDS).set_index("words"),
    "two indices": pd.DataFrame(KINDS).set_index(["words", "whole"]),
    "rows in another order": pd.DataFrame(KINDS).iloc[::-1],
    "names with a dot": pd.DataFrame({"a": range(ROWS), "a.b": range(ROWS), "b.a": range(ROWS)}),
    "names that are numbers": pd.DataFrame(np.arange(20).reshape(10, 2), columns=[7, 3]),
    "names that are pairs": pd.DataFrame(
        np.arange(20).reshape(10, 2), columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    ),
    "what is no number": pd.DataFrame(
        {
            "day": pd.date_range("2026-01-01", periods=9, tz="Europe/Oslo"),
            "pair": [[1, 2]] * 9,
            "none": [None] * 9,
        }
    ),
    "types of Arrow": pd.DataFrame(
        {
            "price": pd.array(range(9), dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
            "text": pd.array(["ä"] * 9, "str"),
        }
    ),
}


@pytest.mark.parametrize("case", AS_PANDAS)
@pytest.mark.parametrize("rows", [1, 7, 20, 1000])
def test_a_parquet_file_is_what_pandas_reads(tmp_path, case, rows):
    path = parquet(AS_PANDAS[case], tmp_path / "mine.parquet")
    expected = pd.read_parquet(path, dtype_backend="numpy_nullable").reset_index(drop=True)
    expected.columns = [str(name) for name in expected.columns]
    frame = open_frame(path, ",", [])
    assert (frame.names, frame.rows) == (list(expected.columns), len(expected))
    for name in frame.names:
        column = frame.column(name)
        assert list(column.index) == list(range(1, len(expected) + 1))
        pd.testing.assert_series_equal(column.reset_index(drop=True), expected[name])
    names = frame.names[::-1]
    batches = list(frame.batches(names, rows))
    assert max(map(len, batches)) <= rows
    assert [list(batch.columns) for batch in batches] == [names] * len(batches)
    for name in names:
        values = [value for batch in batches for value in batch[name].astype(object).tolist()]
        assert str(values) == str(expected[name].astype(object).tolist())


def test_two_columns_of_one_name_are_refused(tmp_path):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"mine\.parquet has two columns 'a'; rename one"):
        table(str(tmp_path / "mine.parquet"), "a")


def test_a_parquet_file_that_is_broken_further_on_is_one_message(tmp_path, small):
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(KINDS | TARGET)), path, compression="snappy")
    content = bytearray(path.read_bytes())
    content[100:900] = bytes(800)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^data\.file: .*mine\.parquet cannot be read \(") as caught:
        table(str(path), "target")
    assert "\n" not in str(caught.value)


# bits


def expected_of(frame, train):
    """What a whole frame is in numbers, by numpy and pandas alone."""
    blocks = []
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype in (object, "str", "string"):
            words = values.astype("string")
            known = sorted(words.iloc[train].dropna().unique())
            blocks += [(words == word).fillna(False).to_numpy(np.float64) for word in known]
        else:
            numbers = values.to_numpy(np.float64, na_value=np.nan)
            known = numbers[train][~np.isnan(numbers[train])]
            deviation = known.std() if known.min() < known.max() else 1.0
            blocks.append(np.nan_to_num((numbers - known.mean()) / deviation))
    return np.stack(blocks, 1).astype(np.float32)


@pytest.mark.parametrize("missing", ["mean", "drop", "error"])
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_rows_are_those_of_the_whole_frame_to_the_bit(tmp_path, request, place, missing):
    if place == "disk":
        request.getfixturevalue("small")
    whole = missing == "error"
    frame = pd.DataFrame({name: KINDS[name] if whole else lacking(name) for name in KINDS})
    path = parquet(frame.assign(number=range(ROWS), **TARGET), tmp_path / "mine.parquet")
    data = table(path, "target", missing=missing)
    splits = splits_of(data)
    assert {type(split.inputs) for split in splits} == {np.memmap if place == "disk" else np.ndarray}
    read = pd.read_parquet(path, dtype_backend="numpy_nullable")
    if missing == "drop":
        read = read.dropna()
    # The number of a row, standardised, says which row it is: ranks in the file.
    ranks = np.argsort(np.argsort(np.concatenate([split.inputs[:, -1] for split in splits])))
    expected = expected_of(read.drop(columns="target"), ranks[: len(data.train)])
    np.testing.assert_array_equal(np.concatenate([split.inputs for split in splits]), expected[ranks])
    found = [data.labels[one] for split in splits for one in split.targets]
    assert found == read["target"].iloc[ranks].tolist()


CELLS = {
    "numbers": st.integers(-1000, 1000).map(lambda number: number / 4),  # which CSV keeps to the bit
    "whole": st.integers(-5, 5),
    "yes": st.booleans(),
    "words": st.sampled_from(["red", "blue", "ä"]),
}


TYPES = {"numbers": "Float64", "whole": "Int64", "yes": "boolean", "words": "string"}


@st.composite
def tables(draw):
    rows = draw(st.integers(24, 60))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5))
    columns = {}
    for number, kind in enumerate(kinds):
        cell = CELLS[kind] | st.none() if draw(st.booleans()) else CELLS[kind]
        dtype = {"numbers": "Float64", "whole": "Int64", "yes": "boolean", "words": "string"}[kind]
        columns[f"{kind} {number}"] = pd.array(
            draw(st.lists(cell, min_size=rows, max_size=rows)), dtype=dtype
        )
    return pd.DataFrame(columns).assign(target=[f"class {i % 2}" for i in range(rows)])


def outcome(path, **options):
    """What a table gives: the data to the bit, or the message, which does not name the file."""
    try:
        return everything(table(str(path), "target", **options))
    except UserError as error:
        return str(error).replace(path.name, "mine")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frame=tables(),
    missing=st.sampled_from(["error", "mean", "drop"]),
    batch=st.integers(1, 4000),
    group=st.integers(1, 80),
    seed=st.integers(0, 9),
)
def test_the_file_and_where_rows_lie_change_no_bit(tmp_path, frame, missing, batch, group, seed):
    frame.to_csv(tmp_path / "mine.csv", index=False)
    parquet(frame, tmp_path / "mine.parquet", group)
    options = {"missing": missing, "split_seed": seed}
    expected = outcome(tmp_path / "mine.parquet", **options)
    for most in (0, encoding.MOST_IN_MEMORY):
        with patch.multiple(encoding, BATCH=batch, FEWEST=1, MOST_IN_MEMORY=most):
            assert outcome(tmp_path / "mine.parquet", **options) == expected
            assert outcome(tmp_path / "mine.csv", **options) == expected


# where they lie


@pytest.fixture
def file(tmp_path):
    """A table of two columns of numbers and one of four words."""
    frame = pd.DataFrame({name: KINDS[name] for name in ("numbers", "whole", "words")} | TARGET)
    return parquet(frame, tmp_path / "mine.parquet")


NEED = ROWS * (2 + 4) * 4  # bytes


def test_what_is_larger_than_the_limit_lies_on_the_disk(file, monkeypatch):
    monkeypatch.setattr(encoding, "MOST_IN_MEMORY", NEED)
    assert type(table(file, "target").train.inputs) is np.ndarray
    monkeypatch.setattr(encoding, "MOST_IN_MEMORY", NEED - 1)
    inputs = table(file, "target").train.inputs
    assert type(inputs) is np.memmap
    with pytest.raises(ValueError, match="read-only"):
        inputs[0, 0] = 1


def test_nothing_is_left_where_they_lie(file, small, tmp_path, monkeypatch):
    folder = tmp_path / "roomy"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    data = table(file, "target")
    assert list(folder.iterdir()) == []
    assert Path("/proc/self/maps").read_text().count(f"{folder}/") == len(splits_of(data))


@pytest.mark.parametrize(
    ("given", "there", "expected"),
    [("mine", ["mine", "roomy"], "mine"), (None, ["roomy"], "roomy"), (None, ["usual"], "usual")],
)
def test_the_folder_of_the_environment_comes_first(
    file, small, tmp_path, monkeypatch, given, there, expected
):
    for name in there:
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / given) if given else "")
    monkeypatch.setattr(encoding, "ROOMY", str(tmp_path / "roomy"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "usual"))
    with patch.object(tempfile, "TemporaryFile", wraps=tempfile.TemporaryFile) as opened:
        table(file, "target")
    assert {call.kwargs["dir"] for call in opened.call_args_list} == {str(tmp_path / expected)}


def test_too_little_room_is_told_before_anything_is_written(file, small, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(encoding.shutil, "disk_usage", lambda _: SimpleNamespace(free=NEED - 1))
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    monkeypatch.setattr(encoding, "GIB", 1000)
    with pytest.raises(UserError) as caught:
        table(file, "target")
    assert str(caught.value) == (
        f"table: mine.parquet: as numbers it takes 2.16 GiB of disk, and {tmp_path} has 2.16; set TMPDIR in "
        "the environment to a folder with more."
    )


def test_a_disk_that_is_full_after_all_is_told(file, small, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: io.FileIO("/dev/full", "wb"))
    with pytest.raises(UserError, match=r"cannot be used \(No space left on device\); set TMPDIR"):
        table(file, "target")


def test_a_folder_that_is_not_there_is_told(file, small, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"none cannot be used \(No such file or directory\); set TMPDIR"):
        table(file, "target")


def test_a_disk_that_takes_a_part_is_written_to_again(file, small, tmp_path):
    class Slow(io.FileIO):
        def write(self, content):
            return super().write(content[:7])

    expected = everything(table(file, "target"))
    names = (tmp_path / str(number) for number in itertools.count())
    with patch.object(tempfile, "TemporaryFile", lambda **_: Slow(next(names), "wb+")):
        assert everything(table(file, "target")) == expected


def test_few_rows_are_in_memory_at_a_time(file, small, monkeypatch):
    rows = []
    read = Parquet.batches

    def batches(frame, names, most):
        for batch in read(frame, names, most):
            rows.append(len(batch))
            yield batch

    monkeypatch.setattr(Parquet, "batches", batches)
    table(file, "target")
    assert sum(rows) == ROWS
    assert max(rows) == 700 // (8 * (3 + 6))
    rows.clear()
    monkeypatch.setattr(encoding, "FEWEST", 40)
    table(file, "target")
    assert rows == [40, 40, 10]
