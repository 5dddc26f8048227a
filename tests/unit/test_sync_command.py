"""What `ratelab sync` says, and with which status it ends."""

from contextlib import closing

import numpy as np
import pytest
from click.testing import CliRunner

from ratelab.commands.cli import commands
from ratelab.runs import syncing
from ratelab.runs.models import Models
from ratelab.runs.past import read_past
from ratelab.validation import UserError
from support.fakes import FakeModel, fake_tracker
from support.journalled import Program, ended, lost, planned, refusing

STORE = "sqlite:////a/store.db"


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Where the folders of sweeps are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "multirun" / "a day").mkdir(parents=True)
    return tmp_path / "multirun" / "a day"


@pytest.fixture
def trackers(monkeypatch):
    """What is opened for each store, by its URI; one that is none of them cannot be opened."""
    known = {}

    def prepare(uri, *_):
        if (uri or "") not in known:
            raise UserError(f"tracking.uri: {uri} is gone.")
        return uri or ""

    monkeypatch.setattr(syncing, "prepare_store", prepare)
    monkeypatch.setattr(syncing, "open_tracker", lambda uri, *_: known[uri])
    return known


def call(*words):
    """Its status, what it prints, and what it warns of or ends with."""
    done = CliRunner().invoke(commands, ["sync", *words])
    if isinstance(done.exception, UserError):
        return done.exception.status, done.stdout, f"{done.stderr}{done.exception}"
    assert done.exception is None
    return done.exit_code, done.stdout, done.stderr


def test_where_there_is_nothing_that_is_said(tmp_path):
    told = f"No journal below {tmp_path}/multirun has anything that its store has not taken.\n"
    assert call() == (0, told, "")


def test_a_folder_that_holds_no_journal_is_a_mistake(tmp_path):
    status, out, error = call("nowhere")
    assert (status, out) == (1, "")
    assert error == (f"FOLDER: nowhere holds no journal, and no sweep below {tmp_path}/multirun has this id.")


@pytest.mark.parametrize("words", [[], ["multirun/a day/sweep"], ["a-sweep"]], ids=["all", "folder", "id"])
def test_what_was_given_is_said_and_then_nothing_is_left(root, tmp_path, trackers, words):
    trackers[STORE] = fake_tracker()
    folder = ended(root / "sweep", lost(), ["finished", "diverged"], STORE, others=0)
    assert call(*words) == (0, f"{folder}: 2 runs, 250 steps, given to {STORE}.\n", "")
    nothing = (
        f"{folder}: the store has all that the journal has.\n"
        if words
        else f"No journal below {tmp_path}/multirun has anything that its store has not taken.\n"
    )
    assert call(*words) == (0, nothing, "")


def test_what_is_left_to_train_is_said_with_how_to_go_on(root, trackers):
    trackers[STORE] = fake_tracker()
    folder = ended(root / "sweep", lost("fixed seed=1"), ["finished", "stopped", "failed"], STORE)
    status, out, error = call()
    assert (status, error) == (0, "")
    assert out == (
        f"{folder}: 1 run, 100 steps, given to {STORE}.\n"
        f"1 of 4 runs have ended. Go on with: ratelab resume '{folder}'\n"
    )


def test_models_that_the_store_has_not_taken_are_left_to_resume_and_that_is_said(root, trackers):
    trackers[STORE] = fake_tracker()
    folder = ended(root / "sweep", lost(), ["finished", "finished"], STORE, others=0)
    models, key = Models(folder), read_past(folder).program["id"]
    for number in range(2):
        models.save(f"{key}-{number}", FakeModel(np.float32([number])))
    given = f"{folder}: 2 runs, 200 steps, given to {STORE}.\n"
    told = f"not given, for that takes TensorFlow. Go on with: ratelab resume '{folder}'\n"
    assert call(str(folder)) == (0, f"{given}2 models {told}", "")
    assert not read_past(folder).has_finished
    models.drop(f"{key}-1")
    has_all = f"{folder}: the store has all that the journal has.\n"
    assert call(str(folder)) == (0, f"{has_all}1 model {told}", "")
    models.drop(f"{key}-0")
    assert call(str(folder)) == (0, has_all, "")
    assert read_past(folder).has_finished


def test_where_a_journal_is_damaged_that_is_said(root, trackers):
    trackers[STORE] = fake_tracker()
    folder = ended(root / "sweep", lost(), ["finished"], STORE, is_over=False, others=0)
    path = folder / "journal"
    path.write_bytes(path.read_bytes()[:-1])
    status, out, error = call()
    assert (status, error) == (0, "")
    first, second, third = out.splitlines()
    assert first == f"{folder}: 1 run, 100 steps, given to {STORE}."
    assert second.startswith("Its journal ends there: its last record is not whole (")
    assert third == f"0 of 1 runs have ended. Go on with: ratelab resume '{folder}'"


def test_runs_that_the_store_does_not_take_are_a_status_of_their_own(root, trackers):
    trackers[STORE] = refusing("fixed seed=0", when="at its beginning")
    folder = ended(root / "sweep", lost(), ["finished"] * 2, STORE, others=0)
    told = "the store lacks something of 1 run; mend it, then call this again."
    status, out, error = call(str(folder))
    assert (status, out) == (75, f"{folder}: 1 run, 100 steps, given to {STORE}.\n")
    assert error == (
        "warning: fixed seed=0: not fixed seed=0. What the store lacks is in the journal; it is given "
        f"another time.\n{told}"
    )
    trackers[STORE] = lost()
    assert call(str(folder)) == (75, "", told)


def test_a_store_that_is_gone_does_not_keep_another_from_being_given_its_runs(root, trackers):
    trackers[STORE] = fake_tracker()
    gone = "postgresql://me:***@host/db"
    folder = ended(root / "gone", lost(), ["finished"] * 2, "postgresql://me:geheim@host/db", others=0)
    other = ended(root / "there", lost(), ["finished"], STORE, others=0)
    status, out, error = call()
    assert (status, out) == (75, f"{other}: 1 run, 100 steps, given to {STORE}.\n")
    assert error == (
        f"warning: {folder}: tracking.uri: {gone} is gone.\n"
        "the store lacks something of 2 runs; mend it, then call this again."
    )
    assert call(str(folder)) == (1, "", f"tracking.uri: {gone} is gone.")


def test_another_store_may_be_named_from_here_or_with_a_password(root, tmp_path, trackers, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "")
    here = f"sqlite:///{tmp_path}/copy.db"
    trackers.update({STORE: fake_tracker(), here: fake_tracker(), "postgresql://me@host/db": fake_tracker()})
    folder = ended(root / "sweep", fake_tracker(), ["finished"], STORE, others=0)
    told = f"{folder}: 1 run, 100 steps, given to {{}}.\n"
    assert call("--uri", "sqlite:///copy.db") == (0, told.format(here), "")
    assert call("--uri", "postgresql://me:geheim@host/db") == (
        0,
        told.format("postgresql://me@host/db"),
        "",
    )
    assert call("--uri", "sqlite:///copy.db")[1].startswith("No journal below")
    assert b"geheim" not in (folder / "journal").read_bytes()
    assert read_past(folder).runs[0].copies == {here, "postgresql://me@host/db"}


def test_a_store_of_no_known_kind_is_refused(trackers):
    status, out, error = call("--uri", "mysql://host/db")
    assert (status, out) == (1, "")
    assert error.startswith("tracking.uri: 'mysql://host/db' is not a kind of store known here.")


def test_runs_that_were_recorded_nowhere_can_be_given_a_store(root, trackers):
    """With tracking.uri=null nothing is lost, so nothing is lacking."""
    trackers.update({"": fake_tracker(), STORE: fake_tracker()})
    folder = ended(root / "sweep", fake_tracker(), ["finished"], others=0)
    assert call(str(folder)) == (0, f"{folder}: the store has all that the journal has.\n", "")
    assert call("--uri", STORE) == (0, f"{folder}: 1 run, 100 steps, given to {STORE}.\n", "")


def test_what_a_living_program_writes_is_left_to_it(root, tmp_path, trackers):
    trackers[STORE] = fake_tracker()
    (root / "alive").mkdir()
    program = Program(root / "alive", lost(), uri=STORE)
    with closing(program.journal):
        program.plan([planned(0, STORE)])
        program.train(0, "stopped")
        assert call()[:2] == (
            0,
            f"No journal below {tmp_path}/multirun has anything that its store has not taken.\n",
        )
        status, out, error = call(str(root / "alive"))
    assert (status, out) == (1, "")
    assert error == (f"{root}/alive is still being written, by a program that is alive; let that end first.")
