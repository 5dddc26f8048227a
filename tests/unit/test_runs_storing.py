"""What a store has of runs that were given it from the journal, also when it did not take all at once."""

import errno
import tempfile
from collections import deque
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.runs import syncing
from ratelab.runs.description import Description
from ratelab.runs.models import Models
from ratelab.runs.past import read_past
from ratelab.runs.storing import Storing
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import Diverged, StoreError
from ratelab.tracking.recorded import ENDED_BY, PROGRAM
from support.fakes import START, FakeModel, chunk, diverged_chunk, journal_in

TEST = {"loss": 0.5, "accuracy": 0.875}
DESCRIPTION = "the description of the run (config.yaml and others)"
WARNINGS = {"steps.parquet": "steps.parquet", "config.yaml": DESCRIPTION, "packages.txt": DESCRIPTION}
WHERE = {"uri": "a store", "experiment": "x", "directory": "/nowhere"}
EXAMPLE = np.zeros((1, 3), np.float32)


@dataclass
class Kept:
    """What a store has of a run; `warned` is what it could not keep and said so."""

    name: str
    parent_id: str | None
    status: str = "RUNNING"
    tags: dict = field(default_factory=dict)
    rows: dict = field(default_factory=dict)
    artifacts: dict = field(default_factory=dict)
    twice: list = field(default_factory=list)
    warned: set = field(default_factory=set)


class Store:
    """A tracker whose store is in memory and refuses some of its calls.

    Args:
        refused: the numbers of these calls; `is_well` lets it take all.
        kinds: of calls that are refused as well.
    """

    def __init__(self, refused=(), kinds=()):
        self.refused, self.kinds, self.calls, self.is_well = set(refused), set(kinds), [], False
        self.runs, self.opened, self.is_lost = {}, [], False

    def ask(self, kind):
        self.calls.append(kind)
        is_refused = len(self.calls) - 1 in self.refused or kind in self.kinds
        if is_refused and not self.is_well:
            raise StoreError(f"tracking.uri: it takes no {kind}.")

    def has_run(self, key):
        return key in self.runs

    def takes(self, kind):
        try:
            self.ask(kind)
        except StoreError:
            return False
        return True

    @contextmanager
    def run(self, name, *, params, tags, key, is_resumed, parent_id):
        self.ask("run")
        kept = self.runs.get(key) if is_resumed else None
        if kept is None:
            assert key not in self.runs
            kept = self.runs[key] = Kept(name, parent_id)
        kept.status, run = "RUNNING", StoreRun(self, kept, key)
        for tag in {"error", "diverged_step"} & kept.tags.keys():
            del kept.tags[tag]
        self.opened.append(name)
        try:
            self.ask("params")
            kept.tags |= {**tags, "params": params}
            yield run
            run.flush()
        except BaseException as error:
            run.end_by(error)
            raise
        run.end()


class StoreRun:
    """A run of such a store, while it is open."""

    def __init__(self, store, kept, key):
        self._store, self._kept, self.id = store, kept, f"id of {key}"
        self.lacks_metrics = self._is_left = False
        self._status, self._untold = "FINISHED", {}

    def metrics(self, key, steps, values, timestamps):
        self.lacks_metrics = self.lacks_metrics or not self._store.takes("metrics")
        if self.lacks_metrics:
            return
        for step, *rest in zip(steps.tolist(), values.tolist(), timestamps.tolist(), strict=True):
            if self._kept.rows.setdefault((key, step), rest) != rest:
                self._kept.twice.append((key, step))

    def artifact(self, path):
        self._store.ask("artifact")
        for file in [path] if path.is_file() else path.iterdir():
            is_table = file.suffix == ".parquet"
            read = pyarrow.parquet.read_table(file).to_pydict() if is_table else file.read_text()
            self._kept.artifacts[file.name] = read

    def log_keras_model(self, model, example):
        self._store.ask("model")
        self._kept.artifacts["model"] = model, example.shape

    def tag(self, key, text):
        if self._store.takes("tag"):
            self._kept.tags[key] = text
        else:
            self._untold[key] = text

    def warn(self, what, error):
        assert isinstance(error, Exception)
        self._kept.warned.add(what)

    def fail(self, reason, traceback_text):
        self._status = "FAILED"
        self.tag("error", reason)
        self._kept.artifacts["traceback.txt"] = traceback_text

    def leave(self):
        self._is_left = True

    def flush(self):
        if not self._is_left and not self._store.takes("metrics"):
            self.lacks_metrics = True

    def end_by(self, error):
        if self._is_left:
            return
        self.flush()
        self._status = "KILLED"
        if isinstance(error, Exception):
            self._status = "FAILED"
            if isinstance(error, Diverged):
                self.tag("diverged_step", str(error.step))
            self.tag("error", str(error))
        try:
            self.end()
        except StoreError as second:
            error.add_note(f"and then {second}")

    def end(self):
        if not self._is_left:
            self._store.ask("end")
            self._kept.tags |= self._untold
            self._kept.status = self._status


def described(journal, number):
    tags = {"seed": str(number), "stack": str(number), PROGRAM: this_program(journal.path).write()}
    files = {"config.yaml": f"seed: {number}\n"}
    return Description(f"run {number}", {"seed": number}, tags, files, rate_every=1, loss_every=2)


class Noting:
    """What training notes of a run, record by record; each call gives the next and says where it is.

    Args:
        epochs: how many it has.
        end: how it ends after them; "": it goes on.
    """

    def __init__(self, journal, number, epochs=2, end="finished"):
        own, error = journal.of(number), RuntimeError("boom")
        chunks = [chunk(epoch, 4) for epoch in range(epochs)]
        if end == "diverged":
            chunks[-1] = diverged_chunk(epochs - 1, 4)
        ends = {
            "": None,
            "finished": lambda: own.note_ended(status="finished", test=TEST, tested_at=START + 999),
            "diverged": lambda: own.note_ended(status="diverged", step=4 * epochs - 1),
            "failed": lambda: own.note_stopped("FAILED", error),
            "killed": lambda: own.note_stopped("KILLED", KeyboardInterrupt()),
        }
        self._steps = deque([lambda: own.note_begun(described(journal, number), WHERE)])
        for one in chunks:  # from its second epoch on it is trained with another
            members = (number, 7) if one.epoch else (number,)
            self._steps.append(lambda one=one, members=members: own.note_chunk(one, members))
        if end:
            self._steps.append(ends[end])

    def __bool__(self):
        return bool(self._steps)

    def __call__(self):
        return self._steps.popleft()()


@pytest.fixture
def journal(tmp_path):
    with closing(journal_in(tmp_path)) as journal:
        yield journal


def note_all(journal, number, **how):
    noting = Noting(journal, number, **how)
    places = []
    while noting:
        places.append(noting())
    return places


def take_all(storing, number, places):
    for place in places:
        storing.take(number, place)


def kept(journal, places):
    """What a store that takes everything has of runs, by their keys; they are given by their numbers."""
    store = Store()
    storing = Storing(store, journal)
    for number, noted in places.items():
        take_all(storing, number, noted)
    return store.runs


def test_runs_take_what_is_theirs_in_the_order_in_which_it_was_noted(journal):
    store = Store()
    storing = Storing(store, journal, "the sweep")
    runs = {number: note_all(journal, number) for number in (2, 0, 1)}
    for places in zip(*runs.values(), strict=True):
        for number, place in zip(runs, places, strict=True):
            storing.take(number, place)
    assert store.opened == ["run 2", "run 0", "run 1"]
    assert {run.parent_id for run in store.runs.values()} == {"the sweep"}
    past, whole = journal.read_again().runs, kept(journal, runs)
    assert [past[number].is_stored for number in range(4)] == [True, True, True, False]
    assert past[1].run_id == storing.id_of(1)
    for number in runs:
        key = journal.key(number)
        found, wanted = store.runs[key], whole[key]
        assert list(found.rows.items()) == list(wanted.rows.items())
        assert (found.tags, found.artifacts, found.status) == (wanted.tags, wanted.artifacts, "FINISHED")
        assert storing.id_of(number) == f"id of {key}"
        assert storing.has_begun(number)
    assert found.tags["stack"] == "1,7"
    assert [step for key, step in found.rows if key == "train_loss"] == [0, 2, 4, 6]
    assert found.rows["test_accuracy", 7] == [0.875, START + 999]
    assert (list(storing.numbers), storing.lacking, storing.has_begun(3)) == ([0, 1, 2], {}, False)
    assert storing.id_of(3) == ""


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ("finished", "FINISHED", None),
        ("diverged", "FAILED", "the loss is not finite at step 7"),
        ("failed", "FAILED", "RuntimeError: boom"),
        ("killed", "KILLED", None),
        ("", "RUNNING", None),
    ],
)
def test_a_run_ends_in_the_store_as_the_journal_says(journal, end, status, error):
    [run] = kept(journal, {0: note_all(journal, 0, end=end)}).values()
    assert (run.status, run.tags.get("error"), run.warned) == (status, error, set())
    assert run.tags.get("diverged_step") == ("7" if end == "diverged" else None)
    assert run.artifacts.get("traceback.txt") == ("RuntimeError: boom\n" if end == "failed" else None)
    assert journal.read_again().runs[0].is_stored is bool(end)


class Day:
    """Runs that are noted, record by record, what of it waits, and what hands it over.

    `noted` has all in the order in which it was noted.
    """

    def __init__(self, store, journal, runs):
        self.storing, self._waiting, self.noted = Storing(store, journal), deque(), []
        self._runs = [Noting(journal, number, *how) for number, how in enumerate(runs)]

    def do(self, action):
        """Note the next record of a run, hand one over, or catch up."""
        if action == "catch up":
            self.storing.catch_up()
        elif action == "take":
            if self._waiting:
                self.storing.take(*self._waiting.popleft())
        elif self._runs[number := action % len(self._runs)]:
            self.noted.append((number, self._runs[number]()))
            self._waiting.append(self.noted[-1])

    def end(self):
        """Note and hand over all that is left."""
        for number, noting in enumerate(self._runs):
            while noting:
                self.do(number)
        while self._waiting:
            self.do("take")


ACTIONS = st.lists(st.sampled_from([0, 1, 2, 0, 1, "take", "take", "take", "catch up"]), max_size=40)
RUNS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["finished", "diverged", "failed", "killed", ""])),
    min_size=1,
    max_size=3,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(
    runs=RUNS,
    actions=ACTIONS,
    refused=st.sets(st.integers(0, 50), max_size=8),
    kinds=st.sets(st.sampled_from(["run", "params", "metrics", "end"]), max_size=1),
    is_last=st.booleans(),
)
def test_whatever_a_store_refuses_it_has_in_the_end_what_it_would_have_had(
    runs, actions, refused, kinds, is_last
):
    with tempfile.TemporaryDirectory() as folder, closing(journal_in(Path(folder))) as journal:
        store, undisturbed = Store(refused, kinds), Store()
        day, other = Day(store, journal, runs), Storing(undisturbed, journal)
        for action in actions:
            day.do(action)
        day.end()
        store.is_well = True
        day.storing.catch_up(is_last)
        assert day.storing.lacking == {}
        past = journal.read_again().runs
        assert all(past[number].is_stored for number, (_, end) in enumerate(runs) if end)
        for number, place in day.noted:
            other.take(number, place)
        for one in (day.storing, other):  # with the end come the tags that were not taken before
            one.end(KeyboardInterrupt())
        assert store.runs.keys() == undisturbed.runs.keys()
        for key, run in undisturbed.runs.items():
            found = store.runs[key]
            # where the store took all but a file, that is a warning, and no reason to begin the run again
            missing = run.artifacts.keys() - found.artifacts.keys()
            assert {WARNINGS[name] for name in missing} <= found.warned
            found.artifacts |= {name: run.artifacts[name] for name in missing}
            found.warned = set()
            assert found == run


@pytest.mark.parametrize("kind", ["run", "params", "metrics", "end"])
def test_a_run_that_is_behind_takes_nothing_until_it_is_caught_up(journal, kind, capsys):
    store = Store(kinds={kind})
    storing = Storing(store, journal)
    places = {number: note_all(journal, number) for number in range(2)}
    take_all(storing, 0, places[0][: 4 if kind == "end" else 2])
    assert isinstance(storing.lacking[0], StoreError)
    asked = len(store.calls)
    take_all(storing, 0, places[0])
    assert len(store.calls) == asked
    assert list(storing.numbers) == [0]
    take_all(storing, 1, places[1])
    told = capsys.readouterr().err.count("What the store lacks is in the journal; it is given another")
    assert told == (kind != "metrics")  # of which the run itself has warned
    assert not journal.read_again().runs[0].is_stored
    store.is_well = True
    storing.catch_up()
    assert storing.lacking == {}
    asked = len(store.calls)
    take_all(storing, 0, places[0])  # they waited, and are older than what it was given
    storing.catch_up()
    assert len(store.calls) == asked
    assert store.runs == kept(journal, places)
    assert capsys.readouterr().err == "The store has been given what it had not taken.\n"


def test_a_run_that_was_caught_up_goes_on_with_what_comes(journal):
    store, noting = Store(kinds={"metrics"}), Noting(journal, 0, epochs=3)
    storing = Storing(store, journal)
    places = [noting() for _ in range(3)]
    take_all(storing, 0, places[:2])
    store.is_well = True
    storing.catch_up()
    [found] = store.runs.values()
    assert found.status == "RUNNING"
    assert max(step for _, step in found.rows) == 7  # with what waits: it is in the journal
    storing.take(0, places[2])
    while noting:
        places.append(noting())
        storing.take(0, places[-1])
    assert store.runs == kept(journal, {0: places})


@pytest.mark.parametrize("is_last", [False, True])
def test_a_run_that_diverged_ends_once_also_where_it_is_caught_up_before_that_is_noted(journal, is_last):
    store, noting = Store(kinds={"metrics"}), Noting(journal, 0, end="diverged")
    storing = Storing(store, journal)
    places = [noting() for _ in range(3)]
    take_all(storing, 0, places)
    store.is_well = True
    storing.catch_up(is_last)
    places.append(noting())
    storing.take(0, places[-1])
    assert storing.lacking == {}
    assert store.opened == ["run 0"] * 2
    assert store.runs == kept(journal, {0: places})


def test_a_store_that_takes_nothing_is_asked_for_one_run_and_at_last_for_all(journal):
    store = Store(kinds={"run"})
    storing = Storing(store, journal)
    for number in range(3):
        take_all(storing, number, note_all(journal, number))
    del store.calls[:]
    storing.catch_up()
    assert store.calls == ["run"]
    storing.catch_up(is_last=True)
    assert store.calls == ["run"] * 4
    assert (list(storing.numbers), list(storing.lacking)) == ([0, 1, 2], [0, 1, 2])
    assert storing.id_of(1) == ""


def test_at_last_a_run_gives_what_the_store_takes_of_it_and_ends(journal):
    store = Store(kinds={"metrics"})
    storing = Storing(store, journal)
    take_all(storing, 0, note_all(journal, 0))
    storing.catch_up()
    [run] = store.runs.values()
    assert (run.status, "steps.parquet" in run.artifacts) == ("RUNNING", False)
    storing.catch_up(is_last=True)
    assert (run.status, run.rows, run.tags["stack"]) == ("FINISHED", {}, "0,7")
    assert run.artifacts["steps.parquet"]["step"] == list(range(8))
    assert list(storing.lacking) == [0]
    assert not journal.read_again().runs[0].is_stored


def test_what_no_store_could_take_ends_the_run_there_and_keeps_no_other_from_its_own(journal, capsys):
    store, error = Store(), ValueError("no such name")
    storing = Storing(store, journal)
    places, others = note_all(journal, 0), note_all(journal, 1)
    storing.take(0, places[0])
    storing._open[0]._run.metrics = lambda *_: (_ for _ in ()).throw(error)
    storing.take(0, places[1])
    assert storing.lacking == {0: error}
    run = store.runs[journal.key(0)]
    assert (run.status, run.tags["error"]) == ("FAILED", "no such name")
    assert capsys.readouterr().err == ""
    store.kinds.add("run")
    take_all(storing, 1, others)
    store.is_well = True
    storing.catch_up()
    assert storing.lacking == {0: error}
    del store.runs[journal.key(0)]
    assert (run.status, store.runs) == ("FAILED", kept(journal, {1: others}))


def test_what_is_owed_is_given_from_an_earlier_day(journal):
    store, places = Store(), {number: note_all(journal, number) for number in (0, 2)}
    storing = Storing(store, journal)
    storing.owe([0, 2])
    assert list(storing.lacking) == [0, 2]
    storing.catch_up(is_last=True)
    assert (storing.lacking, store.runs) == ({}, kept(journal, places))


def test_those_that_go_on_when_the_journal_ends_are_killed_by_the_death_of_their_program(journal):
    store = Store()
    storing = Storing(store, journal)
    note_all(journal, 0, end="")
    note_all(journal, 1, end="failed")
    storing.owe([0, 1])
    storing.catch_up(is_last=True)
    storing.end_left("it died")
    left, failed = store.runs.values()
    assert (left.status, left.tags[ENDED_BY], len(left.artifacts["steps.parquet"]["step"])) == (
        "KILLED",
        "it died",
        8,
    )
    assert (failed.status, ENDED_BY in failed.tags) == ("FAILED", False)
    assert storing.lacking == {}
    assert all(journal.read_again().runs[number].is_stored for number in (0, 1))


def test_to_give_a_store_what_it_lacks_can_be_stopped(tmp_path, monkeypatch):
    with closing(journal_in(tmp_path)) as journal:
        note_all(journal, 0)
        note_all(journal, 1)
        keys = [journal.key(number) for number in range(2)]
    store, metrics = Store(), StoreRun.metrics

    def interrupt(run, *points):
        if run.id == f"id of {keys[1]}":
            raise KeyboardInterrupt
        metrics(run, *points)

    monkeypatch.setattr(StoreRun, "metrics", interrupt)
    monkeypatch.setattr(syncing, "prepare_store", lambda *_: "a store")
    monkeypatch.setattr(syncing, "open_tracker", lambda *_: nullcontext(store))
    with pytest.raises(KeyboardInterrupt):
        syncing.sync(tmp_path, read_past(tmp_path))
    assert [store.runs[key].status for key in keys] == ["FINISHED", "KILLED"]
    past = read_past(tmp_path).runs
    assert [past[number].is_stored for number in range(2)] == [True, False]
    monkeypatch.setattr(StoreRun, "metrics", metrics)
    synced = syncing.sync(tmp_path, read_past(tmp_path))
    assert (synced.runs, synced.steps, synced.lacking) == (1, 8, 0)
    assert store.runs[keys[1]].status == "FINISHED"


def test_a_store_that_does_not_take_the_end_of_those_that_are_left_lacks_them(journal):
    store = Store()
    storing = Storing(store, journal)
    for number in range(2):
        note_all(journal, number, end="")
    storing.owe([0, 1])
    storing.catch_up(is_last=True)
    store.kinds.add("end")
    storing.end_left("it died")
    assert list(storing.lacking) == [0, 1]
    assert not journal.read_again().runs[0].is_stored


def test_an_error_ends_those_that_are_open(journal):
    store = Store()
    storing = Storing(store, journal)
    for number in range(2):
        take_all(storing, number, note_all(journal, number, end="" if number else "finished"))
    storing.end(KeyboardInterrupt())
    assert [run.status for run in store.runs.values()] == ["FINISHED", "KILLED"]
    assert len(store.runs[journal.key(1)].artifacts["steps.parquet"]["step"]) == 8


@pytest.mark.parametrize("when", ["it is open", "it is behind", "it falls behind afterwards"])
def test_a_model_is_kept_whether_or_not_its_run_is_behind(journal, when):
    store = Store()
    storing = Storing(store, journal)
    places = note_all(journal, 0)
    store.kinds |= {"metrics"} if when == "it is behind" else set()
    take_all(storing, 0, places[:-1])
    storing.take_model(0, "the model", EXAMPLE)
    store.kinds |= {"end"} if when == "it falls behind afterwards" else set()
    storing.take(0, places[-1])
    assert list(storing.lacking) == ([] if when == "it is open" else [0])
    store.is_well = True
    storing.catch_up()
    [run] = store.runs.values()
    assert run.artifacts["model"] == ("the model", (1, 3))
    assert store.calls.count("model") == 1
    assert (run.status, storing.lacking) == ("FINISHED", {})


def test_a_model_outlives_its_program_until_the_store_has_it(journal, tmp_path):
    store, models = Store(), Models(tmp_path)
    storing = Storing(store, journal)
    places = note_all(journal, 0)
    take_all(storing, 0, places[:-1])
    store.kinds, store.is_lost = {"model"}, True
    models.save(journal.key(0), FakeModel())
    storing.take_model(0, "the model", EXAMPLE)
    storing.take(0, places[-1])
    assert list(storing.lacking) == [0]
    assert models.has(journal.key(0))
    store.is_well, store.is_lost = True, False
    storing.catch_up()
    [run] = store.runs.values()
    assert (run.status, run.artifacts["model"]) == ("FINISHED", ("the model", (1, 3)))
    assert (run.warned, storing.lacking) == (set(), {})
    assert not models.has(journal.key(0))


def test_a_model_that_the_store_refuses_is_a_warning_and_not_kept(journal, tmp_path):
    store, models = Store(kinds={"model"}), Models(tmp_path)
    storing = Storing(store, journal)
    places = note_all(journal, 0)
    take_all(storing, 0, places[:-1])
    models.save(journal.key(0), FakeModel())
    storing.take_model(0, "the model", EXAMPLE)
    storing.take(0, places[-1])
    [run] = store.runs.values()
    assert (run.status, run.warned, storing.lacking) == ("FINISHED", {"the model"}, {})
    assert not models.has(journal.key(0))


def test_a_model_that_cannot_be_kept_is_said_also_of_a_run_that_is_behind(journal, capsys):
    store, error = Store(), ValueError("no get_config")
    storing = Storing(store, journal)
    [begun, *_] = note_all(journal, 0)
    storing.take(0, begun)
    storing.warn(0, "the model", error)
    [run] = store.runs.values()
    assert run.warned == {"the model"}
    storing.warn(1, "the model", error)
    assert capsys.readouterr().err == "warning: the model of a run could not be kept: no get_config\n"


class FullDisk:
    """The file of a journal on a disk that takes no more."""

    def __init__(self, file):
        self._file = file

    def append(self, *_):
        raise OSError(errno.EIO, "No room")

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("noted", [0, 1, 2, 3])
def test_a_journal_that_takes_no_more_keeps_nothing_from_a_store_that_does(journal, noted):
    store, noting = Store(), Noting(journal, 0)
    storing = Storing(store, journal)
    places = [noting() for _ in range(noted)]
    journal._file = FullDisk(journal._file)
    while noting:
        places.append(noting())
    take_all(storing, 0, places)
    assert (store.runs, storing.lacking) == (kept(journal, {0: places}), {})


@pytest.mark.parametrize("noted", [0, 1, 2, 3])
def test_a_run_that_is_in_no_journal_and_falls_behind_lacks_something_for_good(journal, noted):
    """What it lacks is nowhere any more; it has no gap instead, and the others have theirs."""
    store, noting = Store(kinds={"run"}), Noting(journal, 0)
    storing = Storing(store, journal)
    others = note_all(journal, 1)
    places = [noting() for _ in range(noted)]
    journal._file = FullDisk(journal._file)
    while noting:
        places.append(noting())
    take_all(storing, 0, places)
    take_all(storing, 1, others)
    store.is_well = True
    storing.catch_up()
    assert list(storing.lacking) == [0]
    storing.catch_up(is_last=True)
    assert list(storing.lacking) == [0]
    assert store.runs == kept(journal, {1: others})


def test_a_journal_that_cannot_be_read_is_no_reason_to_stop(journal, monkeypatch):
    store = Store(kinds={"metrics"})
    storing = Storing(store, journal)
    error = OSError(errno.EIO, "Input/output error")
    runs = {number: note_all(journal, number) for number in range(2)}
    take_all(storing, 0, runs[0])

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(journal, "read", fail)
        patch.setattr(journal, "read_again", fail)
        storing.take(1, runs[1][0])
        storing.catch_up(is_last=True)
    assert list(storing.lacking) == [0, 1]
    assert storing.lacking[1] is error
    store.is_well = True
    storing.catch_up(is_last=True)
    assert (storing.lacking, store.runs) == ({}, kept(journal, runs))
