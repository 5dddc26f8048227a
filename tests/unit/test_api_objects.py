"""Objects of Python become words of the command line; what no word can stand for is refused."""

import functools
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab import schedules
from ratelab.api import data_files
from ratelab.api.objects import as_given
from ratelab.data import arrays
from ratelab.validation import UserError

SOURCE = """
def small(input_shape, outputs): ...
def falling(learning_rate, steps): ...
class Rule: ...
"""
MINE = ModuleType("mine")
exec(SOURCE, vars(MINE))  # noqa: S102 - a module as a user's
MIXED = np.array([1, "a", None], dtype=object)


@pytest.fixture(autouse=True)
def mine(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mine", MINE)
    monkeypatch.chdir(tmp_path)
    return MINE


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"schedule": "cosine"}, ["schedule=cosine"]),
        ({"schedule": ["fixed", "cosine"], "epochs": 3}, ["schedule=fixed,cosine", "epochs=3"]),
        ({"seed": range(3)}, ["seed=range(0,3,1)"]),
        ({"seed": range(10, 0, -5)}, ["seed=range(10,0,-5)"]),
        ({"seed": range(3, 4)}, ["seed=3"]),
        ({"seed": np.arange(2)}, ["seed=0,1"]),
        ({"seed": (4,)}, ["seed=4"]),
        ({"learning_rate": 1e-05}, ["learning_rate=1e-05"]),
        ({"learning_rate": np.float64(0.1)}, ["learning_rate=0.1"]),
        ({"epochs": np.int64(2)}, ["epochs=2"]),
        ({"test": False, "validation_size": None}, ["test=false", "validation_size=null"]),
        ({"model.hidden": [[64], [32, 16]]}, ["model.hidden=[64],[32,16]"]),
        ({"schedule.decay_steps": 0.25}, ["schedule.decay_steps=0.25"]),
        ({"schedule": [schedules.fixed, schedules.cosine]}, ["schedule=fixed,cosine"]),
    ],
)
def test_values_become_words(settings, words):
    made = as_given(["a=1"], settings)
    assert (made.words, made.options) == (["a=1", *words], {})


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63))
def test_a_number_is_written_so_that_it_reads_back_as_itself(number):
    [word] = as_given([], {"learning_rate": number}).words
    assert type(number)(word.partition("=")[2]) == number


def test_functions_become_options_and_their_modules_are_allowed():
    made = as_given([], {"model": MINE.small, "schedule": ["fixed", MINE.falling], "optimizer": MINE.Rule})
    assert made.words == ["model=small", "schedule=fixed,falling", "optimizer=Rule", "allow_targets=[mine]"]
    assert made.options == {
        "model/small": {"_target_": "mine.small"},
        "schedule/falling": {"_target_": "mine.falling"},
        "optimizer/Rule": {"_target_": "mine.Rule"},
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("allow_targets=[other]", "allow_targets=[other,mine]"),
        ("allow_targets=[]", "allow_targets=[mine]"),
    ],
)
def test_what_the_caller_allows_stays_allowed(before, after):
    assert as_given([before], {"model": MINE.small}).words == [after, "model=small"]


def local():
    return lambda learning_rate, steps: None


REFUSED = [
    ({"schedule": lambda learning_rate, steps: None}, "got a lambda; write it with `def` at the top level"),
    ({"schedule": functools.partial(schedules.cosine, end=0.1)}, "write it with `def` at the top level"),
    ({"model": local()}, "got a lambda"),
    ({"seed": []}, "seed must have a value, got an empty list"),
    ({"seed": range(0)}, "seed must have a value, got an empty range"),
    ({"seed": MINE.small}, "seed must be a text, a number, None"),
    ({"learning_rate": object()}, "learning_rate must be a text, a number, None"),
    ({"schedule": {"_target_": "x"}}, "schedule must be a text, a number, None"),
    ({"seed=1,2 schedule": "fixed"}, "must be a key of the configuration"),
    ({"data": (1, 2, 3)}, "data must be the name of an option, a function, a data frame, (x, y)"),
    ({"data": 3}, "got int"),
    ({"data": {}}, "got a mapping with no key"),
    ({"data": {"x": [1], "z": [2]}}, "got a mapping with x, z"),
    ({"data": ([[1, 2], [3]], [0, 1])}, "data: x is no array"),
    (
        {"data": (MIXED, [0, 1, 1])},
        "got an array of objects (int, str, NoneType)",
    ),
    ({"data": ((1, 2), 3)}, "got tuple"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_no_word_can_stand_for_is_refused_with_what_to_do(settings, message, tmp_path):
    with pytest.raises(UserError) as refused:
        as_given([], settings)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overrides", ["schedule=cosine", [1], [["schedule=cosine"]]])
def test_overrides_are_a_list_of_texts(overrides):
    with pytest.raises(UserError, match="must be a list of texts"):
        as_given(overrides, {})


def test_a_name_that_has_another_meaning_by_now_is_refused(monkeypatch):
    before = MINE.small
    monkeypatch.setattr(MINE, "small", lambda: None)
    with pytest.raises(UserError, match=r"mine\.small is not the function that was given"):
        as_given([], {"model": before})


def test_two_functions_of_one_name_are_refused(monkeypatch):
    other = ModuleType("other")
    exec("def falling(learning_rate, steps): ...", vars(other))  # noqa: S102 - as above
    monkeypatch.setitem(sys.modules, "other", other)
    with pytest.raises(UserError, match="schedule=falling: two functions have that name"):
        as_given([], {"schedule": [MINE.falling, other.falling]})


def path_of(words):
    name, word = words
    return name, word.removeprefix("data.file='").removesuffix("'")


X, Y = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20) % 2
SPLITS = ((X[:12], Y[:12]), (X[12:], Y[12:]))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X.tolist(), Y.tolist()],
        {"x": X, "y": Y},
        SPLITS,
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
    ],
)
def test_arrays_are_written_where_our_data_read_them(data):
    name, path = path_of(as_given([], {"data": data}).words)
    assert name == "data=arrays"
    read = arrays(path)
    splits = (read.train, read.validation, read.test)
    assert {tuple(row) for split in splits for row in split.inputs.tolist()} == set(map(tuple, X.tolist()))


def test_equal_data_are_one_file_and_other_data_another():
    paths = [
        as_given([], {"data": data}).words[1] for data in ((X, Y), (X.copy(), Y), (X + 1, Y), (Y, X), SPLITS)
    ]
    assert paths[0] == paths[1]
    assert len(set(paths)) == 4
    assert len(list((data_files.FOLDER).iterdir())) == 4


def test_a_data_frame_is_written_as_a_table():
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}, index=[7, 9])
    name, path = path_of(as_given([], {"data": frame}).words)
    assert name == "data=table"
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame.reset_index(drop=True))
    assert as_given([], {"data": frame.reset_index(drop=True)}).words[1] == f"data.file='{path}'"
    assert as_given([], {"data": frame.rename(columns={"a": "c"})}).words[1] != f"data.file='{path}'"


def test_a_data_frame_that_no_table_file_can_have_is_refused():
    with pytest.raises(UserError, match="data: the data frame cannot be written as a table"):
        as_given([], {"data": pd.DataFrame({"a": [object(), object()]})})


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "multirun").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        as_given([], {"data": (X, Y)})
