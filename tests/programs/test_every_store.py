"""Whatever is asked of a SQLite file is asked of PostgreSQL and of a team's server, and answered the same."""

import os
import signal
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet
import pytest

from ratelab.runs.past import read_past
from ratelab.tracking import find_runs, read_histories
from support import SRC
from support.programs import ONE_WORKER, RATELAB, begin, finish, train, wait_until

SWEEP = [
    *("-m", "experiment=quick", "epochs=40", "checkpoint.every=0.05", ONE_WORKER),
    *("schedule=fixed,exponential", "seed=0,1"),
]
TUNED = [
    *("experiment=[quick,tuned]", "schedule=fixed,exponential", "epochs=1", "seed=0,1", ONE_WORKER),
    *(
        "hydra.sweeper.tuning.points=3",
        "hydra.sweeper.tuning.seeds=[1000]",
        "hydra.sweeper.tuning.widenings=0",
    ),
]
METRICS = ("learning_rate", "train_loss", "val_loss", "val_accuracy", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class Place:
    """A store, and what a program is told that is to use it."""

    uri: str
    words: list[str]

    def train(self, folder, *words):
        return train(folder, *words, *self.words)

    def ask(self, folder, *words):
        """Call a command of `ratelab` that reads."""
        return finish(begin(folder, *words, "--uri", self.uri, program=RATELAB, path=SRC), folder)

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs_of(self, experiment):
        found = self.client.search_experiments(filter_string=f"name = '{experiment}'")
        return self.client.search_runs([one.experiment_id for one in found])

    def parent_of(self, runs):
        [parent] = {run.tags["mlflow.parentRunId"] for run in runs}
        return self.client.get_run(parent)


@pytest.fixture(scope="module", params=["postgresql", "server"])
def place(request):
    """A store that is no file; of a server, whose user everybody here is."""
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "postgresql":
            uri = request.getfixturevalue("make_database")()
            yield Place(uri, [f"tracking.uri={uri}"])
        else:
            team = request.getfixturevalue("team")
            for name, value in team.login("ada").items():
                environment.setenv(name, value)
            yield Place(team.address, team.words())


def read(uri):
    """All runs of the only sweep there, by their names, with what is to be the same in every store."""
    runs = find_runs(uri).runs
    found = {run.name: {"status": run.status, "params": dict(run.params)} for run in runs}
    for key in METRICS:
        histories = read_histories(uri, [run.run_id for run in runs], key)
        for run in runs:
            history = histories[run.run_id]
            found[run.name][key] = history.steps.tolist(), history.values.tolist()
    return runs, found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the sweep that nobody interrupts leaves in a SQLite file."""
    done = train(tmp_path_factory.mktemp("whole"), *SWEEP)
    assert (done.status, done.complaints) == (0, [])
    return read(done.store)[1]


@pytest.fixture(scope="module")
def resumed(place, tmp_path_factory):
    """The same sweep, of which all processes are killed when a part is in the journal, and how it went on."""
    folder = tmp_path_factory.mktemp("resumed")
    process = begin(folder, *SWEEP, *place.words)
    wait_until(lambda: has_checkpoint(folder), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return finish(begin(folder, "resume", program=RATELAB), folder)


def has_checkpoint(folder):
    return any(folder.glob("multirun/*/*/checkpoints/*"))


def test_a_sweep_that_was_killed_and_went_on_has_every_row_that_a_file_has(place, resumed, whole):
    [journal] = resumed.folder.glob("multirun/*/*/journal")
    assert read_past(journal.parent).program
    assert (resumed.status, resumed.complaints) == (0, [])
    runs, found = read(place.uri)
    assert found == whole
    assert place.parent_of(runs).info.status == "FINISHED"
    for run in runs:
        steps = pyarrow.parquet.read_table(place.client.download_artifacts(run.run_id, "steps.parquet"))
        assert steps["step"].to_pylist() == list(range(40 * 50))
        rates = np.float64(whole[run.name]["learning_rate"][1])
        np.testing.assert_array_equal(steps["learning_rate"].to_numpy().astype(float), rates)


def test_it_is_compared_and_reported_by_other_programs(place, resumed):
    compared = place.ask(resumed.folder, "compare")
    assert (compared.status, compared.complaints) == (0, [])
    assert "exponential" in compared.out
    assert compared.out in resumed.out
    (resumed.folder / "report.html").unlink(missing_ok=True)
    reported = place.ask(resumed.folder, "report")
    assert (reported.status, reported.complaints) == (0, [])
    page = (resumed.folder / "report.html").read_text()
    assert "exponential" in page
    parent = place.parent_of(find_runs(place.uri).runs)
    assert "report.html" in [item.path for item in place.client.list_artifacts(parent.info.run_id)]


def test_schedules_are_tuned_in_it(place, resumed, tmp_path):
    done = place.train(tmp_path, *TUNED, "tracking.experiment=tuned")
    assert (done.status, done.complaints) == (0, [])
    assert "each at its best base rate" in done.out
    runs = place.runs_of("tuned")
    assert {run.info.status for run in runs} == {"FINISHED"}
    trained = [run.data.params["test"] for run in runs if "schedule" in run.data.tags]
    assert trained.count("False") == 2 * 3  # each schedule at three rates
    # each with two seeds at the base rate and at its best one, which may be the same
    assert trained.count("True") in (2 * 2, 3 * 2, 4 * 2)


def test_a_range_test_is_recorded_in_it(place, tmp_path):
    words = ["data=digits", "batch_size=24", "seed=0,1", *place.words, "tracking.experiment=ranges"]
    done = finish(begin(tmp_path, "lr-find", *words, "--steps", "60", program=RATELAB, path=SRC), tmp_path)
    assert (done.status, done.complaints) == (0, [])
    [one] = place.runs_of("ranges")
    assert (one.info.status, one.data.tags["kind"]) == ("FINISHED", "lr_find")
    for key in ("learning_rate", "train_loss_seed_0", "train_loss_seed_1"):
        history = read_histories(place.uri, [one.info.run_id], key)[one.info.run_id]
        assert history.steps.tolist() == list(range(60))
    assert {"lr_find.csv", "lr_find.png"} <= {i.path for i in place.client.list_artifacts(one.info.run_id)}
