"""What is read in SQL, without MLflow, is what MLflow itself answers; to read makes nothing."""

import json
import shutil
import time
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest

from ratelab.runtime.clipping import clip_apart
from ratelab.tracking import (
    StoreError,
    find_runs,
    find_store,
    now_ms,
    patience,
    read_full_params,
    read_histories,
)
from ratelab.tracking.client import Client
from ratelab.tracking.mlflow_schema import Tables, tables
from ratelab.tracking.names import check_location, safe_params, safe_run_name
from ratelab.tracking.patience import Patience
from ratelab.tracking.served_reader import ServedReader
from ratelab.tracking.sql_reader import open_sql
from ratelab.validation import UserError
from support.damaged import good_run, having, write_runs

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
SWEEPS = ["2026-01-31-12-00-00-0123abcd", "a folder's-name ü", 'the "other" one']


@pytest.fixture(scope="module")
def client(tracker):
    """MLflow's own client of a store with runs of several kinds."""
    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    for number, sweep_id in enumerate([*SWEEPS, SWEEPS[0]]):
        tags = {"schedule": "fixed", "config_digest": str(number), "sweep_id": sweep_id, "empty": ""}
        with tracker.run(f"run {number}", params={"seed": number, "ü": "ß"}, tags=tags) as run:
            steps = np.arange(5 + number)
            values = np.array([0.5, np.nan, np.inf, -np.inf, 1e-300, *range(number)])
            run.metrics("train_loss", steps, values, np.full(len(steps), now_ms()))
            run.metrics("val_accuracy", steps[-1:], np.array([0.1 * number]), np.array([now_ms()]))
    with tracker.run("deleted", params={}, tags={"schedule": "x", "config_digest": "y"}) as run:
        assert run.id
    client.delete_run(run.id)
    gone = client.create_experiment("gone")
    client.create_run(gone, tags={"schedule": "x", "config_digest": "y"}, run_name="in a deleted experiment")
    client.delete_experiment(gone)
    other = client.create_experiment("another one")
    client.create_run(other, tags={"schedule": "x"}, run_name="of another program")
    return client


def client_of(uri):
    return Client(uri, Patience(uri))


@pytest.fixture
def readers(tracker, client):
    """Ours, and MLflow's client behind the same questions."""
    with open_sql(tracker.uri) as ours:
        yield ours, ServedReader(client_of(tracker.uri))


def test_a_server_that_is_busy_is_asked_again(monkeypatch):
    from mlflow.exceptions import MlflowException

    class BusyClient:
        """Answers the third question."""

        errors = 2

        def search_experiments(self):
            if self.errors:
                self.errors -= 1
                raise MlflowException("API request to endpoint /x failed with error code 503 != 200.")
            return [SimpleNamespace(name="a", experiment_id="1")]

    monkeypatch.setattr("ratelab.tracking.client._PAUSE_SECONDS", 0)
    monkeypatch.setattr("ratelab.tracking.client.open_client", lambda _: BusyClient())
    assert ServedReader(client_of("http://host")).experiments() == {"a": "1"}


def test_a_server_that_does_not_answer_is_waited_for_with_a_word(monkeypatch, capfd):
    from mlflow.exceptions import MlflowException

    class SilentClient:
        """Answers none of its questions."""

        def search_experiments(self):
            time.sleep(0.1)
            raise MlflowException(
                "API request to http://host/x failed with timeout exception Read timed out."
            )

    monkeypatch.setattr(patience, "_SILENT_SECONDS", 0.02)
    monkeypatch.setattr(patience, "_SECONDS", 0.0)
    monkeypatch.setattr("ratelab.tracking.client.open_client", lambda _: SilentClient())
    with pytest.raises(StoreError, match=r"^tracking\.uri: http://me:\*\*\*@host: .*Read timed out"):
        find_runs("http://me:hush@host")
    assert capfd.readouterr().err == (
        "warning: tracking.uri: http://me:***@host does not answer. It is waited for, two minutes at most.\n"
    )


def same(readers, question):
    ours, theirs = (question(reader) for reader in readers)
    assert ours == theirs
    return ours


def test_the_tables_have_the_columns_that_mlflow_gives_them():
    from mlflow.store.tracking.dbmodels import models

    theirs = {table.name: table for table in models.Base.metadata.tables.values()}
    for field in fields(Tables):
        table = getattr(tables(), field.name)
        assert table.name == field.name
        moved = set(table.c.keys()) - set(theirs[field.name].c.keys())
        assert not moved, f"mlflow has moved {moved} of its table {field.name}: see tracking/mlflow_schema.py"


def test_experiments_are_those_that_are_not_deleted(readers):
    assert set(same(readers, lambda reader: reader.experiments())) == {"Default", "ratelab", "another one"}


@pytest.mark.parametrize(
    ("tags", "number"),
    [
        ({"schedule": None}, 5),
        ({"schedule": None, "config_digest": None}, 4),
        ({"schedule": "fixed", "sweep_id": SWEEPS[0]}, 2),
        *(({"sweep_id": sweep_id}, 1) for sweep_id in SWEEPS[1:]),
        ({"empty": ""}, 4),
        ({"absent": None}, 0),
        ({"schedule": "Fixed"}, 0),
    ],
)
def test_runs_with_these_tags_are_found_with_all_that_is_known_of_them(readers, tags, number):
    found = same(readers, lambda reader: [in_words(run) for run in reader.runs(tags)])
    assert len(found) == number
    assert [in_words(run) for run in readers[0].runs(tags, newest=True)] == found[-1:]
    experiment_id = readers[0].experiments()["ratelab"]
    same(readers, lambda reader: [in_words(run) for run in reader.runs(tags, experiment_id)])


def in_words(run):
    """A run in words: a NaN is equal to none."""
    return repr(run)


def test_looks_at_a_test_split_are_counted_by_sweep(readers, client):
    experiment_id = client.create_experiment("looked at")
    tested, digest = ["True"], "sha256:1"
    looks = [
        ("FINISHED", tested, {"sweep_id": "a", "data_digest": digest}),
        ("FINISHED", tested, {"sweep_id": "a", "data_digest": digest}),
        ("FINISHED", tested, {"sweep_id": "b", "data_digest": digest}),
        ("FINISHED", tested, {"data_digest": digest}),
        ("FINISHED", ["False"], {"sweep_id": "tuning", "data_digest": digest}),
        ("FINISHED", [], {"sweep_id": "of another program", "data_digest": digest}),
        ("KILLED", tested, {"sweep_id": "stopped before", "data_digest": digest}),
        ("FINISHED", tested, {"sweep_id": "other data", "data_digest": "sha256:2"}),
        ("FINISHED", tested, {"sweep_id": "deleted", "data_digest": digest}),
    ]
    ids = []
    for status, test, tags in looks:
        ids.append(client.create_run(experiment_id, tags=tags).info.run_id)
        for value in test:
            client.log_param(ids[-1], "test", value)
        client.set_terminated(ids[-1], status)
    client.delete_run(ids[-1])
    assert same(readers, lambda reader: reader.looks_at_test(experiment_id, digest)) == {"a", "b", ids[3]}
    assert same(readers, lambda reader: reader.looks_at_test(experiment_id, "sha256:3")) == set()


def test_one_run_is_found_by_its_id_deleted_or_not(readers, client):
    everything = client.search_runs(client.search_experiments()[-1].experiment_id, run_view_type=3)
    for run_id in [*(run.info.run_id for run in everything), "0" * 32, "no id"]:
        same(readers, lambda reader, run_id=run_id: in_words(reader.run(run_id)))


@pytest.mark.parametrize("ask", [
    lambda reader, ids: reader.histories(ids, "train_loss"),
    lambda reader, ids: reader.histories(ids, "train_loss", at=[0, 3, 99]),
    lambda reader, ids: reader.histories(ids, "val_accuracy", at=range(20_000)),
    lambda reader, ids: reader.windows(ids, "train_loss", 2),
])  # fmt: skip
def test_points_are_those_that_mlflow_has(readers, ask):
    ids = [run.run_id for run in readers[0].runs({"config_digest": None})]
    ours, theirs = (ask(reader, ids) for reader in readers)
    assert ours.keys() <= theirs.keys()
    for run_id, history in theirs.items():
        if len(history.steps):
            np.testing.assert_array_equal(ours[run_id].steps, history.steps)
            np.testing.assert_allclose(ours[run_id].values, history.values, rtol=1e-15)


def test_the_runs_of_a_sweep_are_found_whatever_its_folder_was_called(tracker, client):
    for sweep_id, number in zip(SWEEPS, (2, 1, 1), strict=True):
        assert len(find_runs(tracker.uri, sweep_id).runs) == number
    assert find_runs(tracker.uri).title == f"sweep {SWEEPS[0]}"


@pytest.mark.parametrize(
    "uri", ["sqlite:///mlruns/mlflow.db", "sqlite:///a%20b/x.db", "sqlite:////nowhere/x.db"]
)
def test_an_absent_store_is_one_message_and_stays_absent(tmp_path, uri):
    with pytest.raises(UserError, match=r"there is no store at .*run `python src/train.py` here first"):
        find_store(uri, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_store_that_has_gone_is_one_message_and_is_not_made_anew(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read: .*unable to open database file"):
        read_histories(f"sqlite:///{tmp_path}/gone.db", ["0"], "a")
    assert not any(tmp_path.iterdir())


def test_a_store_that_is_there_is_found(tmp_path, fresh_store):
    shutil.copy(fresh_store, tmp_path / "a b.db")
    uri = find_store("sqlite:///a%20b.db", tmp_path)
    with pytest.raises(UserError, match="there is no run of ratelab's in this store"):
        find_runs(uri)


def test_two_texts_that_differ_behind_the_cut_stay_two():
    first, second = ("[" + ", ".join(["0.125"] * 1000 + [end]) + "]" for end in ("1", "2"))
    params = [safe_params({"schedule.factors": text})[0]["schedule.factors"] for text in (first, second)]
    assert [len(text) for text in params] == [6000, 6000]
    assert len(set(params)) == 2
    names = {safe_run_name(f"piecewise schedule.factors={text}") for text in (first, second)}
    assert {len(name) for name in names} == {250}
    assert len(names) == 2


def test_a_folder_that_postgresql_has_no_place_for_is_refused():
    check_location("file:///" + "a" * 149)
    with pytest.raises(
        UserError, match=r"at most 157 characters of the folder .* has 158: start from a folder"
    ):
        check_location("file:///" + "a" * 150)


def test_what_an_earlier_version_had_cut_is_read_in_full(tracker):
    texts = {"schedule.factors": "1" * 7000, "b=": "2"}
    with tracker.run("old", params={}, tags={"schedule": "piecewise"}) as run:
        run.artifact_text(json.dumps(texts), "params_full.json")
    assert read_full_params(tracker.uri, run.id) == texts


def test_runs_that_an_earlier_version_had_cut_are_no_replicates(tmp_path, fresh_store, monkeypatch):
    from ratelab.commands import recorded_study

    shutil.copy(fresh_store, tmp_path)
    cut = "1" * 5997 + "..."
    write_runs(tmp_path / "mlflow.db", [having(good_run(n), "params", schedule__factors=cut) for n in (0, 1)])
    full = {f"{number:032x}": {"schedule.factors": "1" * 7000 + str(number)} for number in (0, 1)}
    monkeypatch.setattr(recorded_study, "read_full_params", lambda _, run_id: full[run_id])
    _, study = recorded_study.read_study(f"sqlite:///{tmp_path}/mlflow.db")
    assert [run.settings["schedule.factors"] for run in study.results] == [
        clip_apart(one["schedule.factors"], 6000) for one in full.values()
    ]
    assert len(study.comparisons[0].groups) == 2


def test_runs_whose_full_parameters_are_lost_are_left_out(tmp_path, fresh_store, monkeypatch):
    from ratelab.commands import recorded_study

    def refuse(*_):
        raise UserError("no such artifact")

    shutil.copy(fresh_store, tmp_path)
    write_runs(tmp_path / "mlflow.db", [having(good_run(0), "params", schedule__factors="1" * 5997 + "...")])
    monkeypatch.setattr(recorded_study, "read_full_params", refuse)
    _, study = recorded_study.read_study(f"sqlite:///{tmp_path}/mlflow.db")
    [run] = study.unreadable
    assert (
        run.reason == "its parameter schedule.factors was cut, and params_full.json is lost: no such artifact"
    )
