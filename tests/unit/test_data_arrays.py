"""Arrays of a user's files: .npz as it is or cut, folders of .npy as memory maps."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest

from ratelab.data import arrays, as_dataset
from ratelab.data.conversion import PIECE
from ratelab.validation import UserError

generator = np.random.default_rng(0)
X, Y = generator.random((60, 3)), np.arange(60) % 3
PARTS = {"x_train": X[:40], "y_train": Y[:40], "x_test": X[40:], "y_test": Y[40:]}
VALIDATION = {"x_val": X[10:20], "y_val": Y[10:20]}


@pytest.fixture
def file(tmp_path):
    """Write arrays into mine.npz and return its name."""

    def write(**values):
        np.savez(tmp_path / "mine.npz", **values)
        return str(tmp_path / "mine.npz")

    return write


@pytest.fixture
def folder(tmp_path):
    """Write arrays into a folder, a file each, and return its name."""

    def write(**values):
        (tmp_path / "mine").mkdir()
        for name, value in values.items():
            np.save(tmp_path / "mine" / f"{name}.npy", value)
        return str(tmp_path / "mine")

    return write


def rows_of(split):
    return [np.flatnonzero((np.float32(X) == row).all(1)).item() for row in split.inputs]


# .npz


def test_x_and_y_are_cut_by_the_seed_with_equal_parts_of_each_class(file):
    mine = file(x=X, y=Y)
    data = arrays(mine, validation_size=9, test_size=0.2)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [39, 9, 12]
    assert np.bincount(data.validation.targets).tolist() == [3, 3, 3]
    rows = [rows_of(split) for split in (data.train, data.validation, data.test)]
    assert sorted(rows[0] + rows[1] + rows[2]) == list(range(60))
    assert Y[rows[2]].tolist() == data.test.targets.tolist()
    assert arrays(mine, validation_size=9, test_size=0.2, split_seed=0).digest == data.digest
    assert arrays(mine, validation_size=9, test_size=0.2, split_seed=1).digest != data.digest


def test_parts_are_used_as_they_are(file):
    data = arrays(file(**PARTS, **VALIDATION))
    assert rows_of(data.train) == list(range(40))
    assert rows_of(data.validation) == list(range(10, 20))
    assert rows_of(data.test) == list(range(40, 60))
    assert (data.classes, data.scale, data.train.inputs.dtype) == (3, None, np.float32)


@pytest.mark.parametrize(("size", "first"), [(None, 6), (0.5, 20), (3, 3)])
def test_without_a_validation_part_the_first_training_examples_validate(file, size, first):
    data = arrays(file(**PARTS), validation_size=size)
    assert rows_of(data.validation) == list(range(first))
    assert rows_of(data.train) == list(range(first, 40))


def test_a_compressed_file_is_read(tmp_path):
    np.savez_compressed(tmp_path / "mine.npz", x=X, y=Y)
    assert len(arrays(str(tmp_path / "mine.npz")).test) == 9


def test_images_stay_bytes(file):
    images = generator.integers(0, 256, (60, 4, 4), np.uint8)
    data = arrays(file(x=images, y=Y))
    assert (data.train.inputs.dtype, data.train.inputs.shape[1:], data.scale) == (np.uint8, (4, 4), 1 / 255)


def test_numbers_are_cut_without_classes(file):
    data = arrays(file(x=X, y=X[:, 0]))
    assert (data.classes, data.train.targets.shape, data.train.targets.dtype) == (None, (42, 1), np.float32)


@pytest.mark.parametrize("key", ["x", "y"])
def test_another_content_has_another_digest(file, key):
    whole = {"x": X, "y": Y}
    digest = arrays(file(**whole)).digest
    assert arrays(file(**whole)).digest == digest
    whole[key] = whole[key][::-1]
    assert arrays(file(**whole)).digest != digest


# folders


def test_a_folder_gives_the_same_as_a_file_as_memory_maps(file, folder):
    parts = PARTS | {"x_train": X[:40].astype(np.float32)}
    mapped, copied = arrays(folder(**parts)), arrays(file(**parts))
    assert mapped.digest == copied.digest
    for split in (mapped.train, mapped.validation, mapped.test):
        assert isinstance(split.inputs, np.memmap)
        assert type(split.targets) is np.ndarray
    assert np.array_equal(mapped.train.inputs, copied.train.inputs)
    assert as_dataset(mapped, "again") is mapped


def test_a_folder_much_larger_than_a_piece_is_never_in_memory(folder):
    """Of 320 MB (a hole in a file, so that the disk has none) three pieces at most are, whatever is made."""
    mine, rows = folder(**PARTS | {"y_train": np.arange(40_000) % 3, "x_test": np.zeros((20, 1000))}), 40_000
    np.lib.format.open_memmap(f"{mine}/x_train.npy", "w+", np.float64, (rows, 1000)).flush()
    tracemalloc.start()
    try:
        data = arrays(mine)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert data.train.inputs.shape == (rows * 85 // 100, 1000)
    assert peak < 3 * PIECE < rows * 1000 * 8 / 6


def test_a_folder_is_not_cut(folder):
    with pytest.raises(
        UserError, match=r"x\.npy cannot be cut without a copy\. Give a \.npz file with x_train"
    ):
        arrays(folder(x=X, y=Y))


# what is refused


class Trap:
    """What unpickles into a folder that should not be there."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_pickled_objects_are_never_unpickled(file, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()] * 60, object)
    for mine in (file(x=X, y=trap), folder(**PARTS | {"y_test": trap})):
        with pytest.raises(UserError, match=r"holds pickled Python objects, which are never read"):
            arrays(mine)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"bare\.npz is no \.npz file"):
        arrays("bare.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"x": X}, {}, "has no y. Give a .npz file with x_train"),
        ({}, {}, "has no x_train, y_train, x_test, y_test. Give"),
        (PARTS | {"x_val": X}, {}, "has no y_val"),
        ({"x_train": X, "y_train": Y}, {}, "has no x_test, y_test"),
        (PARTS | {"x": X, "y": Y}, {}, "give x and y alone, or x_train"),
        (
            PARTS | {"x_valid": X},
            {},
            "holds 'x_valid', which is none of x, y, x_train, y_train, x_test, y_test, ",
        ),
        (PARTS | {"x_valid": X}, {}, "Did you mean x_val?"),
        ({"arr_0": X}, {}, "holds 'arr_0'"),
        ({"x": 3, "y": Y}, {}, "x must be [n, ...], an array, got one number"),
        ({"x": X[:0], "y": Y[:0]}, {}, "x is empty; give it an example at least"),
        (PARTS | {"x_test": X[:0]}, {}, "x_test is empty; give it"),
        ({"x": X, "y": Y[:5]}, {}, "x and y must be equally many, got 60 and 5"),
        (PARTS | {"y_test": Y}, {}, "test inputs and targets must be equally many, got 20 and 60"),
        (
            PARTS,
            {"test_size": 0.2},
            "data.test_size: mine.npz says itself which examples are for what; leave it",
        ),
        (PARTS, {"split_seed": 0}, "data.split_seed: mine.npz says itself"),
        (PARTS | VALIDATION, {"validation_size": 5}, "data.validation_size: mine.npz says itself"),
        (
            PARTS,
            {"validation_size": 40},
            "data.validation_size must leave examples for training, at most 39 of 40",
        ),
        ({"x": X, "y": Y}, {"validation_size": 0.5, "test_size": 30}, "got 0.5 and 30: 30 and 30 of 60"),
        (
            {"x": X, "y": Y},
            {"test_size": 0},
            "test_size must be a number of examples, or a part of them between",
        ),
        (
            {"x": X, "y": Y},
            {"test_size": 1.5},
            "test_size must be a number of examples, or a part of them between",
        ),
        ({"x": X, "y": Y}, {"split_seed": -1}, "split_seed must be greater than or equal to 0, got -1"),
        ({"x": X, "y": Y + 1}, {}, "must be 0 to 2, got [1, 2, 3]"),
        (
            {"x": X, "y": np.array(["a", "b"] * 30)},
            {},
            "targets are texts. Give each a number, {'a': 0, 'b': 1}",
        ),
        (
            {"x": X, "y": np.minimum(np.arange(60), 1)},
            {},
            "the training split, of 42, has no example of class 0",
        ),
        (PARTS | {"x_test": X[40:, :2]}, {}, "test inputs must be as in training"),
        ({"x": np.where(X[7, 1] == X, np.nan, X), "y": Y}, {}, "x[7, 1] is nan in float32"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_message(file, values, options, message):
    with pytest.raises(UserError) as caught:
        arrays(file(**values), **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"1,2\n"])
def test_what_is_no_npz_file_is_refused(tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.npz is no \.npz file\. Give a \.npz file with"):
        arrays(str(tmp_path / "mine.npz"))


def test_a_truncated_file_is_refused(file, tmp_path):
    mine = file(x=X, y=Y)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    content[300:310] = bytes(10)  # the zip file knows the sum of what it holds
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.npz cannot be read \(Bad CRC"):
        arrays(mine)


@pytest.mark.parametrize("cut", [4, 200])
def test_a_truncated_array_of_a_folder_is_refused(folder, cut):
    mine = folder(**PARTS)
    with open(f"{mine}/x_train.npy", "r+b") as opened:  # noqa: PTH123 - a folder by its name, as users give it
        opened.truncate(cut)
    with pytest.raises(UserError, match=r"x_train\.npy cannot be read \("):
        arrays(mine)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^data\.file: .*/none\.npz does not exist\. Give a \.npz file"):
        arrays(str(tmp_path / "none.npz"))
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(UserError, match=r"pipe\.npz is not a regular file"):
        arrays(str(tmp_path / "pipe.npz"))
    with pytest.raises(UserError, match=r"data\.file: there is no home folder for '~nobody9/x'"):
        arrays("~nobody9/x")
