"""A store is given afterwards, from a journal, exactly what a record gives while the run is trained."""

import contextlib
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelab.runs import syncing
from ratelab.runs.past import Past, read_past
from ratelab.runs.resuming import find_journal
from ratelab.runs.syncing import Synced, is_lacking, lacking, sync
from ratelab.tracking import Diverged, StoreError, open_tracker
from ratelab.tracking.recorded import ENDED_BY, PROGRAM
from ratelab.validation import UserError
from support.fakes import START, chunk, fake_tracker
from support.journalled import TEST, Program, end, ended, lost, planned, refusing

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
ALONE = {"mode": "run", "sweep_id": None}
WAYS = ("finished", "diverged", "failed", "stopped", "died")
STATUSES = dict(zip(WAYS, ("FINISHED", "FAILED", "FAILED", "KILLED", "KILLED"), strict=True))
DIED = "the program that recorded it died"


def give(folder, uri=None):
    return sync(folder, read_past(folder), uri)


@pytest.fixture
def stores(fresh_store, tmp_path):
    """Make a store of this name, and open a tracker of it that is closed at the end of a block."""

    def make(name):
        (tmp_path / name).mkdir()
        shutil.copy(fresh_store, tmp_path / name)
        return f"sqlite:///{tmp_path}/{name}/mlflow.db"

    return make


def opened(uri):
    return open_tracker(uri, "x", Path("/nowhere"))


def contents(uri):
    """All that a store has of each run, by their names, but who recorded it."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as store:

        def rows(query):
            return store.execute(query).fetchall()

        found = {
            run_id: {
                "name": name,
                "status": status,
                "files": files_below(Path(place.removeprefix("file://"))),
            }
            for run_id, name, status, place in rows("SELECT run_uuid, name, status, artifact_uri FROM runs")
        }
        for kind in ("params", "tags"):
            for run_id, key, value in rows(f"SELECT run_uuid, key, value FROM {kind}"):  # noqa: S608 - fixed
                found[run_id].setdefault(kind, {})[key] = value
        for kind in ("metrics", "latest_metrics"):
            query = f"SELECT run_uuid, key, step, timestamp, value, is_nan FROM {kind}"  # noqa: S608 - fixed
            for run_id, *row in sorted(rows(query)):
                found[run_id].setdefault(kind, []).append(row)
    for run in found.values():
        del run["tags"][PROGRAM]
        if parent := run["tags"].pop("mlflow.parentRunId", None):
            run["parent"] = found[parent]["name"]
    return {run["name"]: run for run in found.values()}


def files_below(folder):
    """Texts, and tables as columns."""
    return {
        str(path.relative_to(folder)): pyarrow.parquet.read_table(path).to_pydict()
        if path.suffix == ".parquet"
        else path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_given(synced, live):
    """Compare two stores; the frames of a traceback that are the record's own are not in the journal."""
    for run in (*synced.values(), *live.values()):
        run["traceback"] = run["files"].pop("traceback.txt", "")
    for name, run in live.items():
        whole, given = run.pop("traceback"), synced[name].pop("traceback")
        assert bool(given) == bool(whole)
        if "diverged_step" not in run["tags"]:  # which was raised here
            assert whole.endswith(given.partition("\n")[2])
    assert synced == live


@pytest.mark.parametrize("is_over", [True, False], ids=["came to its end", "told to stop"])
def test_a_sweep_is_in_the_store_as_if_it_had_been_recorded_there(stores, tmp_path, is_over):
    uri, other = stores("store"), stores("other")
    with opened(uri) as tracker:
        folder = ended(tmp_path / "sweep", tracker, WAYS, uri, is_over)
    assert give(folder, other) == Synced(other, 5, 550, 0)
    live, synced = contents(uri), contents(other)
    assert synced["fixed seed=4"]["tags"].pop(ENDED_BY) == DIED
    assert synced["the sweep"]["tags"].pop(ENDED_BY) == DIED
    assert {name: run["status"] for name, run in synced.items()} == {
        **{f"fixed seed={number}": STATUSES[way] for number, way in enumerate(WAYS)},
        "the sweep": "FAILED" if is_over else "KILLED",
    }
    assert synced["the sweep"]["tags"]["error"] == "no way to postgresql://me:***@host/db"
    assert synced["fixed seed=2"]["tags"]["error"] == "ValueError: no way to postgresql://me:***@host/db"
    assert "said by a worker" in synced["fixed seed=2"]["files"]["traceback.txt"]
    assert {"config.yaml", "overrides.txt", "packages.txt", "steps.parquet"} <= live["fixed seed=0"][
        "files"
    ].keys()
    assert_given(synced, live)


@pytest.mark.parametrize("way", WAYS)
def test_so_is_a_run_by_itself(stores, tmp_path, way):
    uri, other = stores("store"), stores("other")
    with opened(uri) as tracker:
        program = Program(tmp_path, tracker, uri=uri, identity=ALONE)
        program.plan([planned(0, uri)])
        program.train(0, way)
        program.end()
    assert give(tmp_path, other).runs == 1
    live, synced = contents(uri), contents(other)
    if way == "died":
        assert synced["fixed seed=0"]["tags"].pop(ENDED_BY) == DIED
    assert [run["status"] for run in synced.values()] == [STATUSES[way]]
    assert_given(synced, live)


def test_a_second_time_nothing_is_given_and_after_more_was_trained_the_rest(stores, tmp_path):
    uri, other = stores("store"), stores("other")
    program = Program(tmp_path, lost(), uri=uri, identity=ALONE)
    program.plan([planned(0, uri)])
    program.train(0, "stopped")
    program.end()
    assert give(tmp_path) == Synced(uri, 1, 100, 0)
    before = contents(uri)
    assert give(tmp_path) == Synced(uri)
    assert contents(uri) == before

    program = Program(tmp_path, lost(), uri=uri, identity=ALONE, is_resumed=True)
    record = program.open(planned(0, uri))
    record.add(chunk(2))
    record.finish(TEST)
    program.end()
    assert not read_past(tmp_path).has_finished
    assert give(tmp_path) == Synced(uri, 1, 150, 0)
    assert read_past(tmp_path).has_finished  # nothing is left to train or to store

    (tmp_path / "whole").mkdir()
    with opened(other) as tracker:
        whole = Program(tmp_path / "whole", tracker, uri=other, identity=ALONE)
        whole.plan([planned(0, other)])
        record = whole.open(planned(0, other))
        for epoch in range(3):
            record.add(chunk(epoch))
        record.finish(TEST)
        whole.end()
    [synced], [live] = contents(uri).values(), contents(other).values()
    tested = [key for key, *_ in live["metrics"] if key.startswith("test_")]
    assert len(tested) == 2
    for run in (synced, live):  # when the test split was looked at, and which journal it was, differ
        del run["tags"]["ratelab.run_key"]
        for kind in ("metrics", "latest_metrics"):
            run[kind] = [(key, step, value) for key, step, _, value, _ in run[kind]]
    assert synced == live


def test_what_a_store_has_lost_is_given_again(stores, tmp_path):
    """As runs that were deleted, which stay in the bin as they are."""
    uri = stores("store")
    with opened(uri) as tracker:
        folder = ended(tmp_path / "sweep", tracker, ["finished", "diverged"], uri)
    assert give(folder) == Synced(uri)
    whole = contents(uri)
    with closing(sqlite3.connect(tmp_path / "store" / "mlflow.db")) as store, store:
        deleted = "UPDATE runs SET lifecycle_stage = 'deleted', name = 'old' WHERE name = 'fixed seed=1'"
        store.execute(deleted)
    assert give(folder) == Synced(uri, 1, 150, 0)
    found = contents(uri)
    assert found.pop("old")["metrics"] == found["fixed seed=1"]["metrics"]
    assert_given(found, whole)
    assert give(folder) == Synced(uri)


def test_each_store_is_known_by_what_it_was_given_itself(stores, tmp_path):
    uri, other = stores("store"), stores("other")
    folder = ended(tmp_path / "sweep", lost("fixed seed=1"), ["finished", "finished"], uri, others=0)
    assert (lacking(read_past(folder)), lacking(read_past(folder), other)) == ([1], [0, 1])
    assert give(folder, other) == Synced(other, 2, 200, 0)
    assert (lacking(read_past(folder)), lacking(read_past(folder), other)) == ([1], [])
    assert lacking(read_past(folder), uri) == [1]
    assert give(folder, other) == Synced(other)
    assert not read_past(folder).has_finished
    assert give(folder) == Synced(uri, 2, 200, 0)  # of which the fake has kept nothing
    assert read_past(folder).has_finished


@pytest.fixture
def fakes(monkeypatch):
    """Let a store that is none be opened."""

    def take(tracker):
        monkeypatch.setattr(syncing, "prepare_store", lambda uri, *_: uri or "")
        monkeypatch.setattr(syncing, "open_tracker", lambda *_: tracker)
        return tracker

    return take


@pytest.mark.parametrize("when", ["at its beginning", "at its end"])
def test_a_run_that_is_refused_does_not_keep_the_others_from_being_given(fakes, tmp_path, capsys, when):
    folder = ended(tmp_path / "sweep", lost(), ["finished"] * 3)
    tracker = fakes(refusing("fixed seed=1", when=when))
    assert give(folder) == Synced("", 2, 200, 1)
    assert capsys.readouterr().err == (
        "warning: fixed seed=1: not fixed seed=1. What the store lacks is in the journal; it is given "
        "another time.\n"
    )
    assert tracker.ended["fixed seed=0"] is tracker.ended["fixed seed=2"] is None
    assert lacking(read_past(folder)) == [1]
    tracker = fakes(fake_tracker())
    assert give(folder) == Synced("", 1, 100, 0)
    assert sorted(tracker.opened) == ["fixed seed=1", "the sweep"]


def test_a_run_whose_metrics_are_lost_once_more_is_lacking_still(fakes, tmp_path):
    folder = ended(tmp_path / "sweep", lost(), ["finished", "diverged", "stopped"])
    fakes(lost())
    assert give(folder) == Synced("", 0, 0, 3)
    assert lacking(read_past(folder)) == [0, 1, 2]


@pytest.mark.parametrize("way", ["diverged", "stopped"])
def test_a_run_whose_status_is_not_taken_is_lacking_still(fakes, tmp_path, way):
    folder = ended(tmp_path / "sweep", lost(), [way])
    fakes(refusing("fixed seed=0", when="as it fails"))
    assert (give(folder).runs, lacking(read_past(folder))) == (0, [0])


def test_if_the_end_of_the_sweep_as_a_whole_is_refused_it_is_given_again(fakes, tmp_path):
    folder = ended(tmp_path / "sweep", lost(), ["finished"])
    fakes(refusing("the sweep", when="at its end"))
    with pytest.raises(StoreError, match="not the sweep"):
        give(folder)
    assert (lacking(read_past(folder)), is_lacking(read_past(folder))) == ([], True)
    tracker = fakes(fake_tracker())
    assert give(folder) == Synced("", 0, 0, 0)
    assert tracker.ended == {"the sweep": None}
    assert not is_lacking(read_past(folder))


def test_an_order_to_stop_ends_the_run_that_is_being_given_and_passes(fakes, tmp_path):
    folder = ended(tmp_path / "sweep", lost(), ["finished"])
    tracker = fakes(fake_tracker())
    stop, calls = KeyboardInterrupt(), []
    opened = tracker.run.side_effect

    def interrupt(*given):
        calls.append(given)
        if len(calls) == 2:
            raise stop

    @contextlib.contextmanager
    def open_run(name, **given):
        with opened(name, **given) as run:
            run.metrics.side_effect = interrupt
            yield run

    tracker.run.side_effect = open_run
    with pytest.raises(KeyboardInterrupt):
        give(folder)
    assert tracker.ended == {"fixed seed=0": stop, "the sweep": stop}
    assert lacking(read_past(folder)) == [0]


def test_a_run_that_its_store_refused_from_the_first_has_not_died(fakes, tmp_path):
    """It was trained, and is given to the store as it ended."""
    program = Program(tmp_path, refusing("fixed seed=0", when="at its beginning"))
    program.plan([planned(0)])
    program.train(0, "finished")
    program.end()
    tracker = fakes(fake_tracker())
    assert give(tmp_path) == Synced("", 1, 100, 0)
    assert tracker.ended == {"fixed seed=0": None}


def test_a_journal_without_runs_that_began_or_without_a_program_has_nothing_to_give(tmp_path):
    program = Program(tmp_path, fake_tracker())
    program.plan([planned(0)])
    program.end()
    assert give(tmp_path) == sync(tmp_path, Past()) == Synced()
    (tmp_path / "journal").write_bytes(b"ratelab journal 1\n")
    with pytest.raises(UserError, match=f"FOLDER: {tmp_path} holds no journal, and no sweep"):
        find_journal(tmp_path, tmp_path / "multirun")


def test_a_journal_that_a_living_program_writes_is_left_to_it(fakes, tmp_path):
    tracker = fakes(fake_tracker())
    program = Program(tmp_path, lost())
    program.plan([planned(0)])
    program.train(0, "finished")
    with pytest.raises(UserError, match=f"^{tmp_path} is still being written, by a program that is alive"):
        give(tmp_path)
    tracker.run.assert_not_called()
    program.end()
    assert give(tmp_path).runs == 1


def test_a_journal_that_cannot_be_opened_is_a_mistake_and_not_an_empty_one(fakes, tmp_path, monkeypatch):
    folder = ended(tmp_path / "sweep", lost(), ["finished"])
    fakes(fake_tracker())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ratelab.runs.journal.JournalFile", refuse)
    with pytest.raises(UserError, match=f"^{folder}/journal: it cannot be read and written"):
        give(folder)


def test_no_password_gets_into_a_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "pssst")
    uri = "postgresql://me:geheim@host/db"
    program = Program(tmp_path, lost(), uri=uri)
    with contextlib.suppress(ValueError), program.sweep(is_over=True):
        program.plan([planned(0, uri), planned(1, uri)])
        program.train(0, "failed")
        program.open(planned(1, uri)).close(RuntimeError("the password is 'pssst'"))
    program.end()
    written = (tmp_path / "journal").read_bytes()
    assert b"geheim" not in written
    assert b"pssst" not in written
    assert b"postgresql://me:***@host/db" in written


def points(run):
    """What was handed over of each metric: its steps, values and times."""
    found = {}
    for call in run.metrics.call_args_list:
        key, *arrays = call.args
        rows = zip(*(array.tolist() for array in arrays), strict=True)
        found.setdefault(key, []).extend(rows)
    return found


def told(tracker):
    """All that a tracker was told of its runs, but what ended them."""
    return {
        name: (points(run), [*map(tuple, run.tag.call_args_list)]) for name, run in tracker.opened.items()
    }


def given_to(folder):
    """The tracker that is given all of a journal."""
    tracker = fake_tracker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(syncing, "prepare_store", lambda *_: "")
        patch.setattr(syncing, "open_tracker", lambda *_: tracker)
        give(folder)
    return tracker


RUNS = [planned(number) for number in range(3)]
orders = st.lists(st.integers(0, 2), max_size=9)
ends = st.tuples(*[st.sampled_from(["finished", "diverged", "failed", "stopped"])] * 3)


def record_interleaved(folder, order, ways, tracker):
    """Record runs that have had epochs in this order, then ended in these ways."""
    program = Program(folder, tracker)
    program.plan(RUNS)
    records = [program.open(run) for run in RUNS]
    for number in order:
        records[number].add(chunk(records[number].epochs, 4 + number))
    for record, way in zip(records, ways, strict=True):
        if record.epochs == 0 and way == "finished":
            record.add(chunk(0, 5))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ratelab.runs.record.now_ms", lambda: START)
            end(record, program.feed, way)
    program.end()


@settings(max_examples=25)
@given(orders, ends)
def test_in_whatever_order_epochs_of_several_runs_come_each_gets_its_own(order, ways):
    live = fake_tracker()
    with tempfile.TemporaryDirectory() as folder:
        record_interleaved(Path(folder), order, ways, live)
    with tempfile.TemporaryDirectory() as folder:
        record_interleaved(Path(folder), order, ways, lost())
        synced = given_to(Path(folder))
        again = given_to(Path(folder))
    assert told(synced) == told(live)
    assert again.opened == {}
    for name, error in live.ended.items():
        if isinstance(error, ValueError):
            assert synced.ended[name] is None
            assert synced.opened[name].fail.call_args.args[0].startswith("ValueError: no way to ")
        elif isinstance(error, Diverged):
            assert synced.ended[name].step == error.step
        else:
            assert isinstance(synced.ended[name], type(error))


@settings(max_examples=25)
@given(orders, ends, st.data())
def test_of_a_journal_that_was_torn_anywhere_all_is_given_that_is_whole(order, ways, data):
    whole = fake_tracker()
    with tempfile.TemporaryDirectory() as name:
        record_interleaved(Path(name), order, ways, whole)
    live = told(whole)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record_interleaved(folder, order, ways, lost())
        path = folder / "journal"
        with path.open("r+b") as file:
            file.truncate(data.draw(st.integers(0, path.stat().st_size)))
        past = read_past(folder)
        synced = told(given_to(folder))
        after = read_past(folder)
    for number, run in past.runs.items():
        if run.begun is None:
            assert f"fixed seed={number}" not in synced
            continue
        found, _ = synced[f"fixed seed={number}"]
        assert len(found.get("learning_rate", [])) == run.steps
        for key, rows in found.items():
            assert rows == live[f"fixed seed={number}"][0][key][: len(rows)]
        assert after.runs[number].is_stored
    assert after.trouble in ("", past.trouble)
