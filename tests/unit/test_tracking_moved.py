"""A store that was moved with its project: its artifacts are those beside it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ratelab.tracking import prepare_store
from ratelab.validation import UserError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
URI = "sqlite:///mlruns/mlflow.db"
OLD = "a first place, ü"


class Project:
    """A project with a store: an experiment of ratelab's and one that MLflow was told where to put."""

    def __init__(self, folder, fresh_store):
        self.folder = folder
        (folder / "mlruns" / "artifacts" / "mine").mkdir(parents=True)
        shutil.copy(fresh_store, folder / "mlruns" / "mlflow.db")
        place = (folder / "mlruns" / "artifacts").as_uri()
        with self._store() as store:
            store.execute("UPDATE experiments SET artifact_location = ?", (f"{place}/0",))
            own = [f"{place}/mine", "file:///elsewhere/chosen", "s3://bucket/a"]
            for number, location in enumerate(own, 1):
                store.execute(
                    "INSERT INTO experiments "
                    "(experiment_id, name, artifact_location, lifecycle_stage, workspace) "
                    "VALUES (?, ?, ?, 'active', 'default')",
                    (number, f"experiment {number}", location),
                )
                store.execute(
                    "INSERT INTO runs (run_uuid, experiment_id, artifact_uri) VALUES (?, ?, ?)",
                    (f"run{number}", number, f"{location}/run{number}/artifacts"),
                )
            store.commit()

    def _store(self):
        return closing(sqlite3.connect(self.folder / "mlruns" / "mlflow.db"))

    def move(self, folder):
        self.folder.rename(folder)
        self.folder = folder

    def places(self):
        with self._store() as store:
            experiments = [place for (place,) in store.execute("SELECT artifact_location FROM experiments")]
            return experiments, [place for (place,) in store.execute("SELECT artifact_uri FROM runs")]

    def expected(self, place):
        chosen = ["file:///elsewhere/chosen", "s3://bucket/a"]
        uri = (place / "mlruns" / "artifacts").as_uri()
        own = [f"{uri}/mine", *chosen]
        runs = [f"{location}/run{number}/artifacts" for number, location in enumerate(own, 1)]
        return [f"{uri}/0", *own], runs


@pytest.fixture
def project(tmp_path, fresh_store):
    return Project(tmp_path / OLD, fresh_store)


def test_a_store_that_was_not_moved_stays_as_it_is(project, capsys):
    before = project.places()
    prepare_store(URI, project.folder)
    assert project.places() == before == project.expected(project.folder)
    assert capsys.readouterr().err == ""


def test_a_moved_store_finds_its_artifacts_beside_it_and_says_so_once(project, tmp_path, capsys):
    project.move(tmp_path / "a second place")
    prepare_store(URI, project.folder)
    assert project.places() == project.expected(tmp_path / "a second place")
    said = capsys.readouterr().err
    assert str(tmp_path / OLD / "mlruns" / "artifacts") in said
    assert str(tmp_path / "a second place" / "mlruns" / "artifacts") in said
    assert said.count("\n") == 1
    prepare_store(URI, project.folder)
    assert capsys.readouterr().err == ""


def test_a_copy_has_artifacts_of_its_own_and_the_original_keeps_its(project, tmp_path, fresh_store):
    shutil.copytree(project.folder, tmp_path / "copy")
    before = project.places()
    prepare_store(URI, tmp_path / "copy")
    assert project.places() == before
    project.folder = tmp_path / "copy"
    assert project.places() == project.expected(tmp_path / "copy")


def test_artifacts_that_were_left_behind_stay_in_use(project, tmp_path, capsys):
    before = project.places()
    (tmp_path / "alone" / "mlruns").mkdir(parents=True)
    shutil.move(project.folder / "mlruns" / "mlflow.db", tmp_path / "alone" / "mlruns")
    prepare_store(URI, tmp_path / "alone")
    project.folder = tmp_path / "alone"
    assert project.places() == before
    assert capsys.readouterr().err == ""


def test_a_database_whose_artifacts_are_gone_puts_new_ones_beside_it(project, tmp_path):
    shutil.rmtree(project.folder / "mlruns" / "artifacts")
    project.move(tmp_path / "second")
    prepare_store(URI, project.folder)
    assert project.places() == project.expected(tmp_path / "second")


def test_a_link_to_the_project_is_no_move(project, tmp_path):
    before = project.places()
    (tmp_path / "link").symlink_to(project.folder)
    prepare_store(URI, tmp_path / "link")
    assert project.places() == before


def test_a_store_that_another_program_holds_is_one_message(project, tmp_path, monkeypatch):
    monkeypatch.setattr("ratelab.tracking.moved.LOCKED_SECONDS", 0.1)
    project.move(tmp_path / "second")
    with project._store() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match=r"was moved, .* database is locked\. End other programs"):
            prepare_store(URI, project.folder)


def test_relative_and_absolute_uris_name_one_store(project, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    uri = prepare_store(f"sqlite:///~/{OLD}/mlruns/mlflow.db", Path("/elsewhere"))
    assert uri == prepare_store(URI, project.folder)
