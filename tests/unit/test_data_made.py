"""Data that are made: windows of a text, and MNIST-1D."""

import sys

import numpy as np
import pytest
from mnist1d.data import make_dataset

from ratelab.data import as_dataset, mnist1d, text
from ratelab.validation import UserError


def splits(data):
    return [data.train, data.validation, data.test]


def read(data, tokens):
    return "".join(data.labels[token] for token in tokens.ravel())


@pytest.fixture
def file(tmp_path):
    def write(content, encoding="utf-8"):
        (tmp_path / "mine.txt").write_bytes(content.encode(encoding))
        return str(tmp_path / "mine.txt")

    return write


# text

LONG = "".join(chr(ord("a") + i * i % 26) for i in range(1003))


def test_windows_are_the_text_and_the_ends_of_it_judge(file):
    data = text(file(LONG), context=10, validation_size=20, test_size=0.1)
    assert [split.inputs.shape for split in splits(data)] == [(70, 10), (20, 10), (10, 10)]
    assert "".join(read(data, split.inputs) for split in splits(data)) == LONG[:1000]
    assert "".join(read(data, split.targets) for split in splits(data)) == LONG[1:1001]
    assert data.labels == tuple(sorted(set(LONG[:1001])))
    assert (data.classes, data.scale, data.train.inputs.dtype) == (len(data.labels), None, np.uint8)
    assert data.train.targets.dtype == np.int32


def test_the_tokens_of_a_split_are_known_to_all(file):
    data = text(file("ab" * 50 + "xyz"), context=1, test_size=3)
    assert data.labels == ("a", "b", "x", "y", "z")


def test_many_characters_are_whole_numbers(file):
    many = "".join(chr(i) for i in range(0x4E00, 0x4E00 + 301)) + "\N{GRINNING FACE}"
    data = text(file(many), context=10)
    assert (data.classes, data.train.inputs.dtype) == (301, np.int32)
    assert read(data, data.train.inputs[0]) == many[:10]


@pytest.mark.parametrize("context", [1, 64])
def test_python_has_a_text_of_its_own(context):
    data = text(context=context)
    assert as_dataset(data, "text") is data
    assert data.classes > 80
    assert "assert" in read(data, data.train.inputs)
    assert data.digest == text(context=context).digest


def test_the_version_of_python_is_in_the_digest(monkeypatch):
    digest = text(context=64).digest
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert text(context=64).digest != digest


def test_another_text_of_the_same_form_has_another_digest(file):
    digests = {text(file(one * 100), context=8).digest for one in ("ab", "cd", "ba")}
    assert len(digests) == 3


def test_a_mark_of_the_encoding_and_ends_of_lines_are_no_characters(file):
    assert text(file("\ufeffab\r\n" * 50), context=3).labels == ("\n", "a", "b", "\ufeff")
    assert text(file("ab\n" * 50, "utf-8-sig"), context=3).labels == ("\n", "a", "b")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "",
            {"context": 4},
            "text: mine.txt has 0 characters, and 3 windows of context=4 need 13; give a longer",
        ),
        ("abcd" * 3, {"context": 4}, "has 12 characters, and 3 windows of context=4 need 13"),
        (LONG, {"context": 0}, "context must be greater than 0, got 0"),
        (LONG, {"context": 2.5}, "context must be a valid integer"),
        (
            LONG,
            {"context": 100, "test_size": 10},
            "data.test_size must leave examples for training, at most 9 of 10",
        ),
        (LONG, {"context": 100, "test_size": 5, "validation_size": 5}, "got 5 and 5: 5 and 5 of 10"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_message(file, content, options, message):
    with pytest.raises(UserError) as caught:
        text(file(content), **options)
    assert message in str(caught.value)


def test_a_text_that_is_none_is_refused(tmp_path, file):
    with pytest.raises(UserError, match=r"mine\.txt cannot be read \('utf-8' codec .* Give a text in UTF-8"):
        text(file("\xe4" * 50, "latin-1"), context=2)
    with pytest.raises(
        UserError, match=r"^data\.file: .*none\.txt does not exist\. Give a text in UTF-8, or leave"
    ):
        text(str(tmp_path / "none.txt"), context=2)


# MNIST-1D


def whole(data):
    inputs, targets = (
        [getattr(s, key) for s in (data.validation, data.train, data.test)] for key in ("inputs", "targets")
    )
    return np.concatenate(inputs), np.concatenate(targets)


def test_mnist1d_is_that_of_its_authors():
    """Numbers from their own package, so that this is held without it."""
    data = mnist1d(validation_size=500)
    assert [split.inputs.shape for split in splits(data)] == [(3500, 40), (500, 40), (1000, 40)]
    assert (data.classes, data.scale, data.train.inputs.dtype) == (10, None, np.float32)
    inputs, targets = whole(data)
    assert targets[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    np.testing.assert_allclose(
        inputs[0, :6], [-0.332006, -0.47191, -0.778697, -1.009741, -0.882353, 0.103935], rtol=1e-5
    )
    np.testing.assert_allclose([inputs.mean(), inputs.std()], [0, 1], atol=1e-5)
    assert np.bincount(targets).tolist() == [500] * 10


@pytest.mark.parametrize(("size", "rule"), [(4000, "from 1 to 3999, got 4000"), (0, "greater than 0, got 0")])
def test_mnist1d_keeps_examples_to_train_with(size, rule):
    with pytest.raises(UserError, match=f"mnist1d: validation_size must be .*{rule}"):
        mnist1d(validation_size=size)


def test_mnist1d_is_that_of_the_package():
    original = make_dataset()
    inputs, targets = whole(mnist1d(validation_size=500))
    np.testing.assert_allclose(inputs, np.concatenate([original["x"], original["x_test"]]), atol=1e-6)
    assert np.array_equal(targets, np.concatenate([original["y"], original["y_test"]]))


def test_mnist1d_is_one_for_each_seed():
    first, again, other = (mnist1d(validation_size=500, data_seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert mnist1d(validation_size=9, data_seed=1).digest == first.digest
    assert as_dataset(first, "mnist1d") is first


def test_mnist1d_leaves_the_global_generator_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    mnist1d(validation_size=500, data_seed=7)
    assert np.random.get_state()[1].tolist() == before
