"""Checksums of what a store has of a run: whatever is changed in it is seen, and nothing else is."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelab.commands.recorded_study import read_study
from ratelab.tracking import RecordedRun, find_runs, reading
from ratelab.tracking.checksums import CHECKSUMS, Checksums, check_points, check_texts, sum_points
from support.damaged import PARAMS, TAGS
from support.stored import JOBS, Damaged, copied, places_of_runs, store_sweep

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
PART = 1021  # one byte of so many is flipped; in tests/programs/faults one of fewer

POINTS = st.lists(st.tuples(st.integers(0, 2**40), st.floats()), min_size=1, max_size=8)


def summed(points):
    return sum_points([step for step, _ in points], [value for _, value in points])


def as_stored(value):
    """What a store gives back of a value."""
    return float(np.nan_to_num(value, nan=np.nan)) + 0.0


@given(POINTS)
def test_points_have_the_checksum_of_what_a_store_gives_back(points):
    given_back = summed([(step, as_stored(value)) for step, value in points])
    assert summed(points) == given_back
    one_by_one = 0
    for step, value in points:
        one_by_one = sum_points([step], [value], one_by_one)
    assert one_by_one == given_back


@given(POINTS, st.data())
def test_other_points_have_another_checksum(points, data):
    place = data.draw(st.integers(0, len(points) - 1))
    step, value = points[place]
    other = data.draw(st.sampled_from(["step", "value", "lost"]))
    changed = {
        "step": [(step + 1, value)],
        "value": [(step, 0.5 if as_stored(value) != 0.5 else 0.25)],
        "lost": [],
    }[other]
    assert summed([*points[:place], *changed, *points[place + 1 :]]) != summed(points)


def recorded(sums, **changes):
    tags = {**TAGS, "batch": "growing", CHECKSUMS: sums, **changes.pop("tags", {})}
    params = {**PARAMS, **changes.pop("params", {})}
    return RecordedRun("1", "a run", "FINISHED", params, tags, {}, **changes)


SUMS = Checksums(PARAMS, {**TAGS, "batch": "growing"})
SUMS.add("val_loss", 9, 0.5)
SUMS.put("learning_rate", 0.1)


@pytest.mark.parametrize("name", ["mlflow.note.content", "stack", "not_kept", "mlflow.runName"])
def test_what_is_set_later_or_by_people_changes_no_checksum(name):
    check_texts(recorded(SUMS.write(), tags={name: "changed"}))


@pytest.mark.parametrize("key", ["schedule", "batch", "sweep_id", "data_digest", "diverged_step"])
def test_a_changed_tag_by_which_runs_are_told_apart_is_seen(key):
    with pytest.raises(ValueError, match=r"what the store has of it \(tags\) is not what was recorded"):
        check_texts(recorded(SUMS.write(), tags={key: "changed"}))


@pytest.mark.parametrize("key", [*PARAMS, "another"])
def test_a_changed_parameter_is_seen(key):
    with pytest.raises(ValueError, match=r"\(params\) is not what was recorded"):
        check_texts(recorded(SUMS.write(), params={key: "changed"}))


def test_how_a_run_diverged_is_part_of_its_tags():
    check_texts(recorded(SUMS.write(diverged_step="19"), tags={"diverged_step": "19"}))
    with pytest.raises(ValueError, match=r"\(tags\)"):
        check_texts(recorded(SUMS.write(diverged_step="19")))


def test_a_metric_that_was_changed_or_lost_or_came_from_nowhere_is_seen():
    run = recorded(SUMS.write())
    own = {"val_loss": sum_points([9], [0.5]), "learning_rate": sum_points([0], [0.1]), "test_loss": None}
    check_points(run, own)
    for changed in ({"val_loss": None}, {"learning_rate": 5}, {"test_loss": 5}):
        with pytest.raises(ValueError, match=next(iter(changed))):
            check_points(run, own | changed)


@pytest.mark.parametrize("text", ["", "7", "[]x", '{"params":', "null", "[[[]]]"])
def test_checksums_that_cannot_be_read_are_no_reason_to_trust_the_rest(text):
    with pytest.raises(ValueError, match="its tag 'checksums' is none that ratelab has written"):
        check_texts(recorded(text))


def test_a_run_without_checksums_is_read_as_it_is():
    run = recorded("")
    older = replace(run, tags={key: text for key, text in run.tags.items() if key != CHECKSUMS})
    check_texts(replace(older, params={}))
    check_points(older, {"val_loss": 5})


@pytest.fixture(scope="module")
def sweep(fresh_store, tmp_path_factory):
    """The file of a store that holds a whole sweep."""
    return store_sweep(fresh_store, tmp_path_factory.mktemp("a sweep"))


def test_a_run_ends_with_checksums_of_all_that_is_read_of_it(sweep):
    runs = find_runs(f"sqlite:///{sweep}").runs
    assert len(runs) == len(JOBS)
    each = ["params", "tags", "val_loss", "val_accuracy", "train_seconds", "learning_rate"]
    kinds = {
        ("fixed", "FINISHED"): {*each, "test_loss", "test_accuracy"},
        ("wsd", "FINISHED"): {*each, "test_loss", "test_accuracy", "examples_seen"},
        ("wsd", "FAILED"): {*each, "examples_seen"},
    }
    for run in runs:
        assert json.loads(run.tags[CHECKSUMS]).keys() == kinds[run.tags["schedule"], run.status]


def test_what_a_server_gives_back_agrees_as_well(sweep, monkeypatch):
    _, study = read_study(f"sqlite:///{sweep}")
    monkeypatch.setattr(reading, "is_served", lambda uri: True)
    _, served = read_study(f"sqlite:///{sweep}")
    assert (served.results, served.unreadable) == (study.results, ())
    assert len(served.results) == len(JOBS)


CHANGES = {
    "params": "UPDATE params SET value = '0.2' WHERE key = 'learning_rate'",
    "tags": "UPDATE tags SET value = 'wsd' WHERE key = 'schedule'",
    "val_accuracy": "UPDATE metrics SET value = value / 2 WHERE key = 'val_accuracy' AND step = 9",
    "train_seconds": "UPDATE metrics SET value = value / 2 WHERE key = 'train_seconds' AND step = 19",
    "examples_seen": "UPDATE metrics SET value = value + 1 WHERE key = 'examples_seen' AND step = 19",
    "test_accuracy": "UPDATE latest_metrics SET value = 1 WHERE key = 'test_accuracy'",
    "learning_rate": "DELETE FROM latest_metrics WHERE key = 'learning_rate'",
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_run_of_which_anything_was_changed_is_named_with_what_it_was(sweep, tmp_path, part):
    path = copied(sweep, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        name = "wsd seed=1" if part == "examples_seen" else "fixed seed=1"
        [run_id] = connection.execute("SELECT run_uuid FROM runs WHERE name = ?", [name]).fetchone()
        connection.execute(f"{CHANGES[part]} AND run_uuid = ?", [run_id])
    _, study = read_study(f"sqlite:///{path}")
    [lost] = study.unreadable
    assert lost.name == name
    assert lost.reason.startswith(f"what the store has of it ({part}) is not what was recorded: ")
    assert len(study.results) == len(JOBS) - 1


def test_a_run_that_is_not_in_the_store_is_told(sweep, tmp_path):
    path = copied(sweep, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'wsd seed=0'")
    _, study = read_study(f"sqlite:///{path}")
    assert len(study.results) == len(JOBS) - 1
    lost = "1 of 6 runs of the sweep: not in the store: not begun yet, deleted, or lost"
    assert f"cannot be read, left out: {lost}" in study.notes


def test_of_a_store_with_a_byte_flipped_no_wrong_result_is_read(sweep, tmp_path):
    damaged = Damaged(copied(sweep, tmp_path))
    places = [(place, bits) for place in places_of_runs(sweep)[PART // 2 :: PART] for bits in (0x01, 0xFF)]
    assert len(places) > 300
    assert {place: wrong for place in places if (wrong := damaged.flip(*place))} == {}


def test_of_a_store_that_was_cut_no_wrong_result_is_read(sweep, tmp_path):
    damaged = Damaged(copied(sweep, tmp_path))
    size = len(damaged.whole)
    ends = {end + more for end in range(0, size, 4096) for more in (-1, 0, 1, 2048)}
    lengths = sorted(length for length in {*ends, size - 1} if 0 <= length < size)
    assert {length: wrong for length in lengths if (wrong := damaged.cut(length))} == {}
