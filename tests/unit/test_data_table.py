"""Tables: columns as scikit-learn would have them, and each mistake with its column and row."""

import os

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ratelab.data import table
from ratelab.validation import UserError

generator = np.random.default_rng(0)
ROWS = 60
GOOD = {
    "size": generator.normal(3, 2, ROWS),
    "age": np.arange(ROWS),
    "colour": [["red", "blue", "green"][i % 3] for i in range(ROWS)],
    "wild": [i % 2 == 0 for i in range(ROWS)],
    "kind": [["dog", "cat"][i % 4 // 2] for i in range(ROWS)],
}


@pytest.fixture
def csv(tmp_path):
    """Write columns into mine.csv and return its name."""

    def write(columns=GOOD, **changed):
        pd.DataFrame(columns | changed).to_csv(tmp_path / "mine.csv", index=False)
        return str(tmp_path / "mine.csv")

    return write


def put(column, row, value):
    """Return a column of the good table with another value in a row, counted from 1."""
    values = [str(one) for one in GOOD[column]]
    values[row - 1] = value
    return {column: values}


def splits(data):
    return [data.train, data.validation, data.test]


def order_of(data):
    """Return the rows of the good table in the order of the splits; the age is the number of a row."""
    ages = np.concatenate([split.inputs[:, 1] for split in splits(data)])
    return np.argsort(np.argsort(ages))


# against scikit-learn


@pytest.mark.parametrize("end", ["csv", "csv.gz", "parquet"])
def test_columns_are_those_of_scikit_learn_by_the_training_split(tmp_path, end):
    frame, mine = pd.DataFrame(GOOD), str(tmp_path / f"mine.{end}")
    frame.to_parquet(mine) if end == "parquet" else frame.to_csv(mine, index=False)
    data = table(mine, "kind", validation_size=10, test_size=12)
    assert [len(split) for split in splits(data)] == [38, 10, 12]
    rows = order_of(data)
    train = frame.iloc[rows[:38]]
    numbers = StandardScaler().fit(train[["size", "age"]].to_numpy())
    wild = StandardScaler().fit(train[["wild"]].to_numpy(float))
    colours = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train[["colour"]])
    ordered = frame.iloc[rows]
    expected = np.concatenate(
        [
            numbers.transform(ordered[["size", "age"]].to_numpy()),
            colours.transform(ordered[["colour"]]),
            wild.transform(ordered[["wild"]].to_numpy(float)),
        ],
        1,
    )
    found = np.concatenate([split.inputs for split in splits(data)])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert found.dtype == np.float32
    assert data.labels == ("cat", "dog")
    assert [data.labels[target] for split in splits(data) for target in split.targets] == list(
        ordered["kind"]
    )


def test_breast_cancer_is_a_classification(tmp_path):
    original = load_breast_cancer(as_frame=True)
    original.frame.to_csv(tmp_path / "cancer.csv", index=False)
    data = table(str(tmp_path / "cancer.csv"), "target")
    assert (data.classes, data.labels, data.scale) == (2, ("0", "1"), None)
    assert [split.inputs.shape for split in splits(data)] == [(399, 30), (85, 30), (85, 30)]
    np.testing.assert_allclose(data.train.inputs.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.inputs.std(0), 1, atol=1e-5)
    assert [round(float(split.targets.mean()), 2) for split in splits(data)] == [0.63, 0.62, 0.62]
    assert sum(split.targets.sum() for split in splits(data)) == original.target.sum()


def test_diabetes_is_a_regression_in_its_own_unit(tmp_path):
    original = load_diabetes(as_frame=True)
    original.frame.to_csv(tmp_path / "diabetes.csv", index=False)
    data = table(str(tmp_path / "diabetes.csv"), "target")
    assert (data.classes, data.labels, data.train.targets.shape) == (None, (), (310, 1))
    found = np.concatenate([split.targets[:, 0] for split in splits(data)])
    assert sorted(found.tolist()) == sorted(np.float32(original.target).tolist())


# rules


def test_a_category_that_the_training_split_has_not_is_zero_everywhere(csv):
    data = table(csv(), "kind", validation_size=10, test_size=12)
    tested = sorted(order_of(data)[48:].tolist())
    colours = list(GOOD["colour"])
    colours[tested[0]] = "black"
    changed = table(csv(colour=colours), "kind", validation_size=10, test_size=12)
    assert changed.test.inputs[0, 2:5].tolist() == [0, 0, 0]
    assert changed.test.inputs[1:, 2:5].sum(1).tolist() == [1] * 11


@pytest.mark.parametrize("value", [0, 0.1, 1e6, True])
def test_a_constant_column_is_zero(csv, value):
    data = table(csv(same=[value] * ROWS), "kind")
    column = np.concatenate([split.inputs[:, -1] for split in splits(data)])
    np.testing.assert_allclose(column, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("target", "option", "classes", "labels"),
    [
        ([7, 3] * 30, None, 2, ("3", "7")),
        ([i % 20 for i in range(ROWS)], None, 20, None),
        ([i % 21 for i in range(ROWS)], None, None, None),
        ([i % 12 for i in range(ROWS)], "numbers", None, None),
        ([10, 9, 2] * 20, None, 3, ("2", "9", "10")),
        ([1.5, 0.5] * 30, None, None, None),
        ([1.5, 0.5] * 30, "classes", 2, ("0.5", "1.5")),
        ([True, False] * 30, None, 2, ("False", "True")),
        (["1", "b"] * 30, "classes", 2, ("1", "b")),
    ],
)
def test_a_target_is_classes_or_numbers(csv, target, option, classes, labels):
    data = table(csv(kind=target), "kind", target_is=option, validation_size=20, test_size=20)
    assert data.classes == classes
    assert data.train.targets.dtype == (np.float32 if classes is None else np.int32)
    if labels:
        assert data.labels == labels


def test_numbers_can_be_categories(csv):
    plain, named = table(csv(), "kind"), table(csv(), "kind", categories=["wild"])
    assert plain.train.inputs.shape[1] + 1 == named.train.inputs.shape[1]
    mixed = table(csv(wild=["1", "b"] * 30), "kind", categories=["wild"])
    assert set(mixed.train.inputs[:, -1].tolist()) == {0.0, 1.0}


def test_a_wide_table_is_told_in_short_and_searched_whole(csv):
    wide = {f"c{i}": range(ROWS) for i in range(30)}
    with pytest.raises(UserError, match=r"did you mean 'kind'\? The columns are c0, .*, c19, \.\.\.\.$"):
        table(csv(wide, kind=GOOD["kind"]), "kindd")


def test_columns_can_be_left_out(csv):
    assert table(csv(), "kind", leave_out=["colour", "wild"]).train.inputs.shape[1] == 2


def test_a_word_of_pandas_for_nothing_is_a_category(csv):
    data = table(csv(colour=["NA", "None", "nan"] * 20), "kind")
    assert data.train.inputs[:, 2:5].sum(1).tolist() == [1] * len(data.train)


def test_the_digest_is_of_content_and_of_how_it_was_read(csv):
    options = [
        {},
        {"split_seed": 1},
        {"validation_size": 5},
        {"categories": ["wild"]},
        {"leave_out": ["wild"]},
    ]
    digests = [table(csv(), "kind", **one).digest for one in options]
    digests += [table(csv(**put("size", 3, "8")), "kind").digest]
    digests += [table(csv(GOOD | {"kind": ["x", "y"] * 30}), "kind").digest]
    assert len(set(digests)) == len(digests)
    assert table(csv(), "kind").digest == digests[0]


# missing values


def test_a_missing_value_is_where_it_stands(csv):
    with pytest.raises(UserError) as caught:
        table(csv(**put("size", 5, "")), "kind")
    assert str(caught.value) == (
        "table: mine.csv: column 'size', row 5 has no value, one of 1 without; give it, or set "
        "data.missing=drop to leave such rows out, or data.missing=mean to take the mean of the column."
    )


@pytest.mark.parametrize("missing", ["error", "mean"])
def test_a_target_is_never_made_up(csv, missing):
    with pytest.raises(
        UserError, match=r"column 'kind', row 7 has no value.*data\.missing=drop to leave such rows out\.$"
    ):
        table(csv(**put("kind", 7, "")), "kind", missing=missing)


def test_rows_with_a_missing_value_can_be_left_out(csv):
    data = table(csv(**put("age", 5, ""), **put("colour", 9, "")), "kind", missing="drop")
    assert sum(map(len, splits(data))) == ROWS - 2
    numbers = table(csv(kind=["", *([3, 4] * 30)[1:]]), "kind", missing="drop")
    assert numbers.labels == ("3", "4"), "whole numbers stay whole, although one was missing"


def test_a_missing_number_is_the_mean_and_a_missing_category_none(csv):
    data = table(
        csv(size=[""] * 10 + [1.0, 3.0] * 25, colour=[""] * 10 + ["red", "blue"] * 25), "kind", missing="mean"
    )
    whole = np.concatenate([split.inputs for split in splits(data)])
    absent = np.abs(whole[:, 0]) < 0.5
    assert absent.sum() == 10
    assert np.array_equal(whole[:, 2:4].sum(1) == 0, absent)
    np.testing.assert_allclose(data.train.inputs[:, 0].mean(), 0, atol=1e-6)


def test_words_can_mean_that_a_value_is_missing(csv):
    data = table(csv(**put("size", 5, "?")), "kind", missing="drop", missing_words=["?"])
    assert sum(map(len, splits(data))) == ROWS - 1


# what is refused


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        (
            put("size", 5, "n/a"),
            {},
            "mine.csv: column 'size', row 5 is 'n/a', a text among numbers; mend it, or",
        ),
        (
            put("size", 5, "n/a"),
            {},
            "name it in data.missing_words if it means no value; name 'size' in data.cat",
        ),
        (put("age", 60, "12 years"), {}, "column 'age', row 60 is '12 years', a text among numbers"),
        (put("age", 2, "1,234"), {}, "column 'age', row 2 is '1,234', a text among numbers"),
        (put("age", 2, "nan"), {}, "column 'age', row 2 is 'nan'"),
        (put("size", 4, "inf"), {}, "column 'size', row 4 is inf; give a finite number"),
        (put("size", 4, "x"), {"missing": "drop"}, "column 'size', row 4 is 'x'"),
        ({"kind": ["1", "b"] * 30}, {}, "column 'kind', row 2 is 'b', a text among numbers"),
        ({"kind": ["1", "b"] * 30}, {}, "set data.target_is=classes if all are names"),
        ({}, {"target_is": "numbers"}, "column 'kind', row 1 is 'dog', and data.target_is=numbers"),
        ({"size": ["1e200", "-1e200"] * 30}, {}, "column 'size' has numbers too large to be squared"),
        (
            {"size": [str(10**30)] * ROWS},
            {},
            "column 'size' holds numbers written as texts, or beyond 64 bits",
        ),
        ({"kind": [1e300 * i for i in range(ROWS)]}, {}, "targets[1, 0] is inf in float32"),
        ({"kind": [1.5] * 59 + [np.inf]}, {}, "column 'kind', row 60 is inf"),
        (
            {"name": [f"n{i}" for i in range(ROWS)]},
            {},
            "column 'name' has 60 different texts in 60 rows, which are",
        ),
        (
            {},
            {"target": "knid"},
            "data.target: there is no column 'knid'; did you mean 'kind'? The columns are size, ",
        ),
        (
            {},
            {"categories": ["color"]},
            "data.categories: there is no column 'color'; did you mean 'colour'?",
        ),
        ({}, {"leave_out": ["id"]}, "data.leave_out: there is no column 'id'"),
        ({}, {"leave_out": ["kind"]}, "data.leave_out: 'kind' is named in another place"),
        (
            {},
            {"leave_out": ["wild"], "categories": ["wild"]},
            "data.leave_out: 'wild' is named in another place",
        ),
        ({}, {"categories": ["kind"]}, "data.categories: 'kind' is the target; set data.target_is=classes"),
        ({}, {"leave_out": ["size", "age", "colour", "wild"]}, "there is no column left to learn from"),
        ({"kind": ["cat"] * ROWS}, {}, "at least, got only the class 'cat'"),
        ({"kind": ["cat"] * 59 + ["dog"]}, {}, "split, of 42, has no example of class 'dog'"),
        ({}, {"missing": "median"}, "missing must be 'error', 'mean' or 'drop', got 'median'"),
        ({}, {"target_is": "class"}, "target_is must be 'classes' or 'numbers', got 'class'"),
        (
            {},
            {"separator": ";"},
            "there is no column 'kind'; if another character is between the columns, set data.sep",
        ),
        ({}, {"separator": ""}, "separator"),
        ({}, {"validation_size": 30, "test_size": 30}, "must leave examples for training"),
        ({}, {"leave_out": "age"}, "leave_out"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_message(csv, changed, options, message):
    arguments = {"target": "kind"} | options
    with pytest.raises(UserError) as caught:
        table(csv(**changed), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read (No columns to parse from file)"),
        (b"a,b\n", "has no row"),
        (b"a,b\n1,2\n3,4,5\n", "cannot be read ("),
        (b"a,b\n1,2,3\n4,5,6\n", "cannot be read ("),
        (b"a,b,a\n1,2,3\n", "has two columns 'a'; rename one"),
        (b"a,b\n1\n2,3\n", "column 'b', row 1 has no value"),
        (b"a,b\n\xff\xfe,2\n", "cannot be read ('utf-8' codec can't decode"),
        (b"0,1,0\n1,2,3\n", "mine.csv has two columns '0'; rename one"),
        (b'a,b\n"1,2\n3,4\n', "cannot be read ("),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        table(str(tmp_path / "mine.csv"), "b")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["gz", "zip", "xz", "bz2"])
def test_a_broken_compressed_file_is_refused(tmp_path, end):
    (tmp_path / f"mine.csv.{end}").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(UserError, match=rf"mine\.csv\.{end} cannot be read \(.*\)\. Give a CSV file"):
        table(str(tmp_path / f"mine.csv.{end}"), "b")


def test_a_broken_parquet_file_is_refused(tmp_path):
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"mine\.parquet cannot be read \("):
        table(str(tmp_path / "mine.parquet"), "b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            pd.date_range("2026-01-01", periods=ROWS),
            "column 'new' is neither numbers nor words but datetime64",
        ),
        ([[1, 2]] * ROWS, "column 'new' is neither numbers nor words but"),
    ],
)
def test_a_column_of_neither_numbers_nor_words_is_refused(tmp_path, values, message):
    frame = pd.DataFrame(GOOD)
    frame["new"] = values
    frame.to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(UserError) as caught:
        table(str(tmp_path / "mine.parquet"), "kind")
    assert message in str(caught.value)


def test_numbers_that_parquet_calls_a_category_are_one(tmp_path):
    frame = pd.DataFrame(GOOD)
    wild = frame["wild"].astype(int).astype(str).astype("category")
    frame.assign(wild=wild).to_parquet(tmp_path / "mine.parquet")
    assert table(str(tmp_path / "mine.parquet"), "kind").train.inputs.shape[1] == 7


def test_a_categorical_column_of_parquet_is_a_category(tmp_path):
    frame = pd.DataFrame(GOOD)
    table_of = frame.assign(colour=frame["colour"].astype("category"))
    table_of.to_parquet(tmp_path / "mine.parquet")
    frame.to_csv(tmp_path / "mine.csv", index=False)
    ends = [table(str(tmp_path / f"mine.{end}"), "kind").digest for end in ("csv", "parquet")]
    assert ends[0] == ends[1]


def test_missing_words_are_for_csv(tmp_path):
    pd.DataFrame(GOOD).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"data\.missing_words: a Parquet file says .* got \['\?'\]"):
        table(str(tmp_path / "mine.parquet"), "kind", missing_words=["?"])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^data\.file: .*/none\.csv does not exist\. Give a CSV file"):
        table(str(tmp_path / "none.csv"), "kind")
    with pytest.raises(UserError, match=r"is a folder\. Give a CSV file"):
        table(str(tmp_path), "kind")
    with pytest.raises(UserError, match=r"cannot be read \(File name too long\)\. Give a CSV file"):
        table("a" * 5000, "kind")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match=r"pipe\.csv is not a regular file"):
        table(str(tmp_path / "pipe.csv"), "kind")
