"""Metrics that a store never takes: runs that trained are FINISHED and count; the program ends with 75."""

import json
import re
import shlex
import sqlite3
import sys
import time
from contextlib import closing

import pytest

from ratelab.tracking import prepare_store
from support import SRC
from support.programs import ONE_WORKER, begin, finish, ratelab, train
from support.searching import write_searching_sweeper

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
ADVICE = "They are in its journal, and the store is given them another time. The run goes on without it."
LACKS = "the store lacks metrics of {}, which `ratelab compare` leaves out. Give it what the journal has "


@pytest.fixture
def client(address):
    from mlflow import MlflowClient

    return MlflowClient(address)


def refuse_metrics(proxy, client, status, is_refused):
    """Answer with `status` to the metrics of those runs whose names are refused, for ever."""
    names = {}

    def rule(path, body):
        if not (path.endswith("/runs/log-batch") and (sent := json.loads(body)).get("metrics")):
            return None
        run_id = sent["run_id"]
        if run_id not in names:
            names[run_id] = client.get_run(run_id).info.run_name
        return status if is_refused(names[run_id]) else None

    proxy.rule = rule


def sweep(proxy, folder, *words):
    served = ["tracking=server", f"tracking.uri={proxy.address}", f"tracking.experiment={folder.name}"]
    return finish(begin(folder, "-m", "experiment=quick", *words, ONE_WORKER, *served), folder, 540)


def runs_of(client, folder):
    """The runs that trained, by their names."""
    experiment = client.get_experiment_by_name(folder.name)
    runs = client.search_runs([experiment.experiment_id], "tags.schedule LIKE '%'")
    return {run.info.run_name: run for run in runs}


def test_runs_whose_metrics_a_server_refuses_are_finished_and_count(proxy, client, tmp_path):
    """Of one that finishes and of one that diverges; all else is taken."""
    refuse_metrics(proxy, client, 403, lambda name: "learning_rate=0.1 " not in name)
    done = sweep(proxy, tmp_path, "model=mlp", "schedule=exponential", "learning_rate=0.1,0.2,1e30", "seed=0")
    assert done.status == 75
    assert "Traceback" not in done.err
    assert done.err.count("metrics could not be kept: ") == 1
    assert done.err.count(ADVICE) == 1
    assert "warning: metrics could not be kept of another run.\n" in done.err
    assert LACKS.format("2 of 3 runs") in done.err
    runs = runs_of(client, tmp_path)
    ends = {name.split()[1]: (run.info.status, run.data.tags.get("not_kept")) for name, run in runs.items()}
    assert ends == {
        "learning_rate=0.1": ("FINISHED", None),
        "learning_rate=0.2": ("FINISHED", "metrics"),
        "learning_rate=1e+30": ("FAILED", "metrics"),
    }
    [diverged] = [run for run in runs.values() if run.info.status == "FAILED"]
    assert int(diverged.data.tags["diverged_step"]) < 250
    for run in runs.values():
        assert "steps.parquet" in {file.path for file in client.list_artifacts(run.info.run_id)}
    shown = re.findall(r"(?m)^\d: exponential +1 (\(1 diverged\))? +(\d)\.\d{4} ", done.out)
    assert shown == [("", "0"), ("", "0"), ("(1 diverged)", "0")]
    compared = ratelab(tmp_path, "compare", "--uri", proxy.address, "--experiment", tmp_path.name)
    assert compared.status == 0
    assert "learning_rate=0.2 seed=0: it is FINISHED, but its metrics could not all be" in " ".join(
        compared.out.split()
    )
    proxy.rule = lambda path, body: None
    again = ratelab(tmp_path, "resume")
    assert (again.status, again.err) == (0, "")
    for run in runs_of(client, tmp_path).values():
        rates = client.get_metric_history(run.info.run_id, "learning_rate")
        last = int(run.data.tags.get("diverged_step", 249))
        assert sorted(point.step for point in rates) == list(range(last + 1))
        assert "not_kept" not in run.data.tags
        assert run.info.status == ("FAILED" if "diverged_step" in run.data.tags else "FINISHED")
    assert len(runs_of(client, tmp_path)) == 3


def make_refusing_store(folder, condition):
    """Make a store whose database refuses those rows of metrics for which the condition holds, for ever."""
    prepare_store("sqlite:///mlruns/mlflow.db", folder)
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as connection, connection:
        connection.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON metrics WHEN {condition} "
            "BEGIN SELECT RAISE(ABORT, 'no more metrics'); END"
        )


def test_a_run_whose_metrics_a_database_refuses_is_finished(tmp_path):
    make_refusing_store(tmp_path, "NEW.step >= 100")
    done = train(tmp_path, "experiment=quick")
    assert done.status == 75
    assert "Traceback" not in done.err
    assert done.err.count("metrics could not be kept: ") == 1
    assert f"no more metrics. Look whether it is there and sound. {ADVICE}\n" in done.err
    assert LACKS.format("this run") in done.err
    assert done.out.splitlines()[-1].startswith("test accuracy 0.")
    [run] = done.runs.values()
    assert (run.info.status, run.data.tags["not_kept"]) == ("FINISHED", "metrics")
    assert len(done.steps(run)["train_loss"]) == 250
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as connection, connection:
        connection.execute("DROP TRIGGER full")
    again = ratelab(tmp_path, "resume")
    assert (again.status, again.err) == (0, "")
    assert "250 of 250 steps are kept; the rest goes on.\n" in again.out
    assert again.out.splitlines()[-1].startswith("test accuracy 0.")
    [run] = done.runs.values()
    assert (run.info.status, run.data.tags.get("not_kept")) == ("FINISHED", None)
    for key in ("learning_rate", "train_loss"):
        assert done.points(run, key)[0] == list(range(0, 250, 1 if key == "learning_rate" else 10))


def test_what_a_database_refused_it_is_given_by_the_command_that_the_message_names(tmp_path):
    make_refusing_store(tmp_path, "NEW.step >= 100")
    done = train(tmp_path, "experiment=quick")
    command = shlex.split(done.err.splitlines()[-1].rpartition(": ")[2])
    assert command[:2] == ["ratelab", "sync"]
    refused = ratelab(tmp_path, *command[1:])
    assert refused.status == 75
    assert (
        refused.err.splitlines()[-1] == "the store lacks something of 1 run; mend it, then call this again."
    )
    [run] = done.runs.values()
    assert (run.info.status, run.data.tags["not_kept"]) == ("FINISHED", "metrics")
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as connection, connection:
        connection.execute("DROP TRIGGER full")
    given = ratelab(tmp_path, *command[1:])
    assert (given.status, given.err) == (0, "")
    assert given.out == f"{command[2]}: 1 run, 250 steps, given to {done.store}.\n"
    [run] = done.runs.values()
    assert (run.info.status, run.data.tags.get("not_kept")) == ("FINISHED", None)
    for key in ("learning_rate", "train_loss"):
        assert done.points(run, key)[0] == list(range(0, 250, 1 if key == "learning_rate" else 10))
    resumed = ratelab(tmp_path, "resume")
    assert (resumed.status, resumed.out) == (1, "")
    assert "has anything left to do." in resumed.err


def test_a_call_from_python_warns_of_it_and_returns_what_it_has(tmp_path):
    make_refusing_store(tmp_path, "NEW.step >= 100")
    script = (
        "import ratelab; print(ratelab.run(experiment='quick').value);"
        "print(ratelab.sweep(experiment='quick', seed=[0, 1]).groups.n.tolist())"
    )
    program = [sys.executable, "-W", "always", "-c", script]
    done = finish(begin(tmp_path, program=program, path=SRC), tmp_path)
    assert done.status == 0
    assert done.out.splitlines()[-1] == "[2]"
    assert f"RuntimeWarning: {LACKS.format('this run')}" in done.err
    assert f"RuntimeWarning: {LACKS.format('2 of 2 runs')}" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["hydra/sweeper=searching", ONE_WORKER],
        ["hydra/sweeper=basic", "hydra/launcher=basic", "learning_rate=0.001,0.5"],
    ],
    ids=["searching", "basic"],
)
def test_that_metrics_are_lost_is_told_at_the_end_whichever_sweeper_and_launcher_ran_the_jobs(
    tmp_path, words
):
    """Of the first of two: those who choose the second by it have its result."""
    write_searching_sweeper(tmp_path)
    rate = "SELECT value FROM params WHERE run_uuid = NEW.run_uuid AND key = 'learning_rate'"
    make_refusing_store(tmp_path, f"({rate}) = '0.001'")
    command = ["-m", "experiment=quick", "schedule=fixed", *words]
    done = finish(begin(tmp_path, *command, path=tmp_path), tmp_path)
    assert done.status == 75
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1].startswith(LACKS.format("1 of 2 runs"))
    if "hydra/sweeper=searching" in words:
        assert done.out.endswith("best 0.5\n")
    runs = [run for run in done.everything if "schedule" in run.data.tags]
    assert {run.info.status for run in runs} == {"FINISHED"}
    kept = {run.data.params["learning_rate"]: run.data.tags.get("not_kept") for run in runs}
    assert kept == {"0.001": "metrics", "0.5": None}


@pytest.mark.faults
def test_a_server_that_never_takes_the_metrics_of_every_other_run_costs_minutes_in_all(
    proxy, client, tmp_path
):
    refuse_metrics(proxy, client, 500, lambda name: int(name.rpartition("=")[2]) % 2 == 0)
    begun = time.monotonic()
    done = sweep(proxy, tmp_path, "schedule=fixed", "seed=range(0,12)")
    assert time.monotonic() - begun < 120 * 2 + 120  # for each of the six two minutes would be 720
    assert done.status == 75
    assert 1 <= done.err.count("It is waited for, two minutes at most.") <= 5
    assert LACKS.format("6 of 12 runs") in done.err
    runs = runs_of(client, tmp_path)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name, run in runs.items():
        is_lost = int(name.rpartition("=")[2]) % 2 == 0
        assert run.data.tags.get("not_kept") == ("metrics" if is_lost else None)
        assert ("test_accuracy" in run.data.metrics) is not is_lost


@pytest.mark.faults
@pytest.mark.parametrize("answers", [1, 2, 3])
def test_a_server_that_is_silent_when_it_is_read_is_waited_for_with_a_word(proxy, tmp_path, answers):
    proxy.order("", *[None] * answers, *["silent"] * 1000)
    begun = time.monotonic()
    done = ratelab(tmp_path, "compare", "--uri", proxy.address)
    assert 115 < time.monotonic() - begun < 200
    assert done.status == 1
    first, last = done.err.splitlines()
    waits = "does not answer. It is waited for, two minutes at most."
    assert first == f"warning: tracking.uri: {proxy.address} {waits}"
    assert last.startswith(f"tracking.uri: {proxy.address}: Read timed out.")
