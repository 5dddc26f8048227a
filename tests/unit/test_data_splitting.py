"""The cut into training, validation and test: each example once, and equal parts of each class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.data.sizes import count_of, counts_of
from ratelab.data.splitting import cut, split_indices
from ratelab.validation import UserError

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def cuts(draw):
    """Classes of some examples, and sizes that leave an example to train with."""
    classes = np.array(draw(st.lists(st.integers(0, 5), min_size=3, max_size=200)), np.int32)
    test = draw(st.integers(1, len(classes) - 2))
    return classes, draw(st.integers(1, len(classes) - test - 1)), test


@given(cuts(), SEEDS)
def test_every_example_is_in_exactly_one_split(drawn, seed):
    classes, validation, test = drawn
    for given_classes in (None, np.unique(classes, return_inverse=True)[1]):
        parts = split_indices(given_classes, len(classes), validation, test, seed)
        assert [len(part) for part in parts] == [len(classes) - validation - test, validation, test]
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(classes)))
        assert all((np.diff(part) > 0).all() for part in parts)


@given(cuts(), SEEDS)
def test_every_class_gives_its_part_within_one_example(drawn, seed):
    targets, validation, test = drawn
    trained, validated, tested = cut(targets, validation, test, seed)
    rest = np.concatenate([trained, validated])
    for whole, taken in ((np.arange(len(targets)), tested), (rest, validated)):
        for label in np.unique(targets):
            count = np.count_nonzero(targets[taken] == label)
            part = np.count_nonzero(targets[whole] == label) * len(taken) / len(whole)
            assert abs(count - part) < 1


@given(st.integers(3, 9), st.integers(60, 300), SEEDS)
def test_a_rare_class_gets_into_every_split(rare, common, seed):
    targets = np.repeat(np.int32([7, 9]), [common, rare])
    assert [set(targets[part]) for part in cut(targets, 0.15, 0.15, seed)] == [{7, 9}] * 3


def test_the_seed_alone_decides():
    targets = np.arange(100, dtype=np.int32) % 3
    first, again, other = (cut(targets, 20, 20, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])
    assert cut(targets, 20, 20, 0)[2][:5].tolist() == [5, 8, 10, 11, 13]


def test_numbers_are_cut_without_classes():
    tested = cut(np.zeros((10, 1), np.float32), 2, 3, 0)[2]
    assert len(tested) == 3


@pytest.mark.parametrize(
    ("size", "examples", "count"), [(0.15, 100, 15), (0.5, 3, 2), (0.001, 100, 1), (1, 2, 1), (99, 100, 99)]
)
def test_a_size_is_a_number_or_a_part(size, examples, count):
    assert count_of(size, examples, "test_size") == count


@pytest.mark.parametrize(("size", "examples"), [(100, 100), (101, 100), (0.5, 1), (1, 1), (0.999, 10)])
def test_a_split_of_everything_is_refused(size, examples):
    rule = (
        rf"^data.test_size must leave examples for training, at most {examples - 1} of {examples}, got {size}"
    )
    with pytest.raises(UserError, match=rule):
        count_of(size, examples, "test_size")


def test_two_splits_that_leave_nothing_are_refused():
    with pytest.raises(UserError, match=r"leave examples for training, got 0.5 and 5: 5 and 5 of 10"):
        counts_of(0.5, 5, 10)
