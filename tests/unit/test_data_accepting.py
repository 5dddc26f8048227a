"""What a user's function returns: turned into a data set, or one message that says what is wrong."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ratelab.data import Dataset, Split, as_dataset
from ratelab.data.conversion import PIECE
from ratelab.validation import UserError

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.int32([0, 1, 2, 0, 1, 2])


def pairs(inputs=X, targets=Y):
    return [(inputs, targets)] * 3


def changed(place, pair):
    """Three good pairs, but one."""
    made = pairs()
    made[place] = pair
    return made


def with_value(value, dtype=np.float64):
    inputs = X.astype(dtype)
    inputs[4, 1] = value
    return inputs


# what is taken, and as what


@pytest.mark.parametrize(
    ("inputs", "dtype", "scale"),
    [
        (X.astype(np.float64), np.float32, None),
        (X.astype(np.float16), np.float32, None),
        (X.astype(">f8"), np.float32, None),
        (X.astype(np.int64), np.int32, None),
        (X.astype(np.int8), np.int32, None),
        (X.astype(np.uint16), np.int32, None),
        (X.astype(np.uint8), np.uint8, 1 / 255),
        (X > 3, np.float32, None),
        (X.tolist(), np.float32, None),
        (pd.DataFrame(X), np.float32, None),
        (np.asfortranarray(X), np.float32, None),
    ],
)
def test_inputs_have_the_type_that_training_takes(inputs, dtype, scale):
    data = as_dataset(pairs(inputs), "mine.data")
    assert (data.train.inputs.dtype, data.scale, data.classes) == (dtype, scale, 3)
    assert data.train.inputs.tolist() == np.asarray(inputs).tolist()
    assert not data.train.inputs.flags.writeable


@pytest.mark.parametrize(
    ("targets", "expected", "classes"),
    [
        (Y, Y, 3),
        (Y.astype(np.int64), Y, 3),
        (Y.astype(np.uint8), Y, 3),
        (Y.reshape(-1, 1), Y, 3),
        (Y > 0, np.int32(Y > 0), 2),
        (Y.tolist(), Y, 3),
        (pd.Series(Y), Y, 3),
        (Y / 2, np.float32(Y / 2).reshape(-1, 1), None),
        (X.astype(np.float64), X, None),
        (np.zeros((6, 2, 3)), np.zeros((6, 2, 3), np.float32), None),
    ],
)
def test_targets_are_classes_or_numbers_by_their_type(targets, expected, classes):
    data = as_dataset(pairs(targets=targets), "mine.data")
    assert (data.test.targets.dtype, data.classes) == (expected.dtype, classes)
    assert np.array_equal(data.test.targets, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("context", [1, 4])
def test_whole_targets_of_the_shape_of_whole_inputs_are_tokens(dtype, context):
    tokens = np.arange(3 * context, dtype=dtype).reshape(3, context)
    data = as_dataset([(tokens, tokens + 1)] * 3, "mine.data")
    assert (data.classes, data.scale, data.train.targets.dtype) == (3 * context + 1, None, np.int32)
    assert data.train.targets.shape == (3, context)


def test_the_callers_own_arrays_can_still_be_written():
    own = X.copy()
    as_dataset(pairs(own), "mine.data")
    own[0, 0] = 5


# the digest


def test_the_digest_is_that_of_the_content():
    digest = as_dataset(pairs(), "one").digest
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    assert {as_dataset(pairs(X.astype(dtype)), "two").digest for dtype in (np.float64, ">f4")} == {digest}
    others = [
        pairs(X + 1),
        pairs(X.reshape(6, 1, 2)),
        pairs(X.astype(np.int32)),
        pairs(targets=Y[::-1]),
        pairs(targets=Y.astype(np.float32)),
        changed(2, (X[:3], Y[:3])),
    ]
    assert len({digest, *(as_dataset(other, "three").digest for other in others)}) == len(others) + 1


# what is refused

OBJECTS = np.array([[1, None]] * 6, object)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "must return a ratelab.data.Dataset, or three pairs (inputs, targets), of training, val"),
        (3, "and test, got int"),
        ("abc", "and test, got str"),
        (((X, Y), (X, Y)), "and test, got a tuple of 2: ['tuple', 'tuple']"),
        ((X, Y, X), "and test, got a tuple of 3: ['ndarray', 'ndarray', 'ndarray']"),
        ([(X, Y), (X, Y), (X, Y, Y)], "got a list of 3"),
        (changed(1, (X[:5], Y)), "validation inputs and targets must be equally many, got 5 and 6"),
        (changed(2, (X[:0], Y[:0])), "the test split is empty"),
        (changed(0, (X[:0], Y[:0])), "the training split is empty"),
        (
            changed(2, (X[:, :1], Y)),
            "test inputs must be as in training, floating point [2] for each example, got f",
        ),
        (changed(1, (X.astype(np.uint8), Y)), "floating point [2] for each example, got uint8 [2]"),
        (changed(1, (X, Y / 2)), "validation targets must be as in training, whole numbers [] for each"),
        (
            pairs(with_value(np.nan)),
            "training inputs[4, 1] is nan in float32, and must be finite; mend or rem",
        ),
        (pairs(with_value(-np.inf)), "training inputs[4, 1] is -inf"),
        (pairs(with_value(1e300)), "training inputs[4, 1] is inf in float32"),
        (changed(2, (with_value(np.nan), Y)), "test inputs[4, 1] is nan"),
        (pairs(targets=with_value(np.nan)), "training targets[4, 1] is nan"),
        (pairs(X.astype(np.int64) * 2**31), "training inputs are whole numbers beyond int32, from 0 to"),
        (
            pairs(X[:, 0]),
            "training inputs must be [n, ...], numbers for each example, got the shape [6]; one num",
        ),
        (pairs(3.0), "training inputs must be [n, ...]"),
        (pairs(X[:, :0]), "training inputs must be [n, ...], numbers for each example, got the shape [6, 0]"),
        (pairs(OBJECTS), "training inputs are of Python objects; give numbers of one type"),
        (pairs(X.astype(complex)), "training inputs are complex numbers; give their real"),
        (pairs(X.astype(str)), "training inputs are texts; give a number for each"),
        (pairs([["a", "b"]] * 6), "training inputs are texts"),
        (pairs(X.astype("M8[s]")), "training inputs are dates; give the seconds"),
        (pairs([[1.0], [1.0, 2.0]]), "training inputs are no array"),
        (pairs(targets=OBJECTS), "training targets are of Python objects"),
        (pairs(targets=X[:, :0]), "one or more for each example, got the shape [6, 0]"),
        (
            pairs(targets=3),
            "training targets must be [n, ...], one or more for each example, got the shape []",
        ),
        (
            pairs(targets=np.array(["dog", "cat", "dog"] * 2)),
            "training targets are texts. Give each a number, {'cat': 0, 'dog': 1}, by numpy.unique(",
        ),
        (pairs(targets=["dog", "cat", "dog"] * 2), "training targets are texts. Give each a number, {'cat'"),
        (pairs(targets=pd.Series(["b", "a", "b"] * 2)), "training targets are texts. Give each a number"),
        (
            pairs(targets=Y + 1),
            "targets that are whole numbers are classes, which must be 0 to 2, got [1, 2, 3]. Give each "
            "a number, {1: 0, 2: 1, 3: 2}, by numpy.unique(targets, return_inverse=True)[1]. Numbers to be",
        ),
        (pairs(targets=Y - 1), "must be 0 to 2, got [-1, 0, 1]. Give each"),
        (pairs(targets=Y * 2), "must be 0 to 2, got [0, 2, 4]. Give each"),
        (pairs(targets=Y * 0), "targets must be of 2 classes at least, got only the class 0"),
        (
            pairs(targets=np.eye(3)[Y]),
            "training targets are one-hot rows [6, 3]; give classes: targets.argmax(1)",
        ),
        (pairs(targets=np.eye(3, dtype=int)[Y]), "training targets are one-hot rows"),
        (pairs(targets=np.arange(18).reshape(6, 3)), "training targets are whole numbers [6, 3], neither"),
        (changed(0, (X[:2], Y[:2])), "the training split, of 2, has no example of class 2; shuffle"),
        (changed(1, (X[:2], Y[:2])), "the validation split, of 2, has no example of class 2; shuffle"),
        (changed(2, (X[:1], Y[:1])), "the test split, of 1, has no example of the classes [1, 2]; shuffle"),
        ([(Y.reshape(3, 2), -Y.reshape(3, 2))] * 3, "tokens must be whole numbers from 0, got -2"),
    ],
)
def test_what_cannot_be_learned_from_is_one_message(returned, message):
    with pytest.raises(UserError) as caught:
        as_dataset(returned, "mine.data")
    text = str(caught.value)
    assert text.startswith("mine.data")
    assert message in text
    assert "\n" not in text


# a Dataset that a user's function made whole


def whole(inputs=X, targets=Y, classes=3, scale=None):
    split = Split(inputs, targets)
    return Dataset(classes, scale, split, split, split, "sha256:0")


def test_a_dataset_is_taken_as_it_is():
    made = whole(scale=0.5)
    assert as_dataset(made, "mine.data") is made
    numbers = whole(targets=X, classes=None)
    assert as_dataset(numbers, "mine.data") is numbers
    absent = whole(classes=4)  # a class that no split has: it may be known from elsewhere
    assert as_dataset(absent, "mine.data") is absent


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            whole(X.astype(np.float64)),
            "training inputs of a Dataset must be float32 [6, 2], got float64 [6, 2]; re",
        ),
        (whole(targets=Y.astype(np.int64)), "training targets of a Dataset must be int32 [6], got int64 [6]"),
        (
            whole(targets=X[:, 0], classes=None),
            "targets of a Dataset must be float32 [6, 1], got float32 [6]",
        ),
        (whole(classes=2), "training targets must be from 0 to 1, below the number of classes, got 0 to 2"),
        (
            whole(targets=Y - 1),
            "training targets must be from 0 to 2, below the number of classes, got -1 to 1",
        ),
        (whole(classes=None), "classes of a Dataset must be their number where targets are int32"),
        (
            whole(targets=X),
            "classes of a Dataset must be their number where targets are int32, and None where",
        ),
        (whole(np.float32(with_value(np.nan))), "training inputs[4, 1] is nan"),
        (whole(classes=1), "classes of a Dataset must be greater than or equal to 2, got 1"),
        (whole(classes="3"), "classes of a Dataset must be a valid integer, got '3'"),
        (whole(scale=0.0), "scale of a Dataset must be greater than 0, got 0.0"),
        (
            Dataset(3, None, (X, Y), (X, Y), (X, Y), "sha256:0"),
            "training of a Dataset must be a ratelab.data.Split, got a tuple of 2",
        ),
        (replace(whole(), digest=""), "digest of a Dataset String should have at least 1 character, got ''"),
        (whole(X[:4]), "training inputs and targets must be equally many, got 4 and 6"),
    ],
)
def test_a_dataset_that_breaks_its_promise_is_refused(made, message):
    with pytest.raises(UserError, match=re.escape(message)):
        as_dataset(made, "mine.data")


def test_a_dataset_whose_training_split_lacks_a_class_is_refused():
    half, split = Split(X[:2], Y[:2]), Split(X, Y)
    with pytest.raises(UserError, match="the training split, of 2, has no example of class 2"):
        as_dataset(Dataset(3, None, half, split, split, "sha256:0"), "mine.data")
    as_dataset(Dataset(3, None, split, half, half, "sha256:0"), "mine.data")


# memory maps


@pytest.fixture
def mapped(tmp_path):
    """Write an array into a file and return its memory map."""

    def write(array):
        np.save(tmp_path / "array.npy", array)
        return np.load(tmp_path / "array.npy", mmap_mode="r")

    return write


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, ">f8"])
def test_a_memory_map_stays_one_and_is_the_same_data(mapped, dtype):
    inputs = X.astype(dtype)
    data, copied = as_dataset(pairs(mapped(inputs)), "mapped"), as_dataset(pairs(inputs), "copied")
    assert isinstance(data.train.inputs, np.memmap)
    assert isinstance(data.train[2:4].inputs, np.memmap)
    assert data.train.inputs.dtype == dtype
    assert (data.digest, data.scale, data.classes) == (copied.digest, copied.scale, copied.classes)


def test_a_number_that_is_not_finite_is_found_in_a_later_piece(mapped):
    rows = 2 * PIECE // 4 // 1000 + 10
    inputs = np.zeros((rows, 1000), np.float32)
    inputs[rows - 3, 7] = np.inf
    targets = np.arange(rows) % 2
    with pytest.raises(UserError, match=rf"validation inputs\[{rows - 3}, 7\] is inf"):
        as_dataset(
            [(X[:2] @ np.ones((2, 1000)), [0, 1]), (mapped(inputs), targets), (inputs, targets)], "big"
        )
