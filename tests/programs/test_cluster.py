"""Sweeps on a Ray cluster of two nodes on this machine, one of which dies."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest

from support import ROOT, SRC, in_process
from support.followed import call, read_blocks
from support.programs import RATELAB, begin, finish, so_far, train, wait_until
from support.servers import free_port, mlflow_server

ray = pytest.importorskip("ray", reason="needs Ray: pip install '.[ray]'")

# mlflow, sqlalchemy and ray use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

RAY = ["-m", "hydra/launcher=ray", "data=digits"]
JOBS = ["experiment=quick", "tracking=none", "schedule=fixed,exponential"]
EPOCHS = 1500
PROGRAMS = Path(sys.executable).parent
[BLOCK] = [block.replace("\\\n", " ") for _, block in read_blocks("cluster.md")[1] if "ray start" in block]
*START, SWEEP = BLOCK.splitlines(keepends=True)
TOKEN = {"RAY_AUTH_MODE": "token"}
# Ray itself says this when the node held steps (an item of over 100 kB) that the sweep had not yet fetched.
LOST_WITH_THE_NODE = re.compile(
    r"\[.* E .*\] core_worker\.cc:\d+: .*: Attempting to recover \d+ lost objects .*\n"
)


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with one core each; the second as a value, to be killed."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    both = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        yield both, both.add_node(**small)
    finally:
        both.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def kill(node):
    """Kill a node as a power cut does: the raylet and everything that it started."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.kill()


def has_a_stack_on_each_node(folder):
    return sum("val_loss" in run.data.metrics for run in so_far(folder).everything) >= 4


def test_a_sweep_survives_the_death_of_a_node(tmp_path: Path, cluster):
    both, second = cluster
    sweep = ["batch_size=24", f"epochs={EPOCHS}", "schedule=fixed,exponential", "seed=0,1,2,3"]
    options = [f"hydra.launcher.address={both.address}", "tracking.train_loss_every=1000"]
    process = begin(tmp_path, *RAY, *options, *sweep, path=SRC, RAY_USAGE_STATS_ENABLED="0")
    try:
        wait_until(partial(has_a_stack_on_each_node, tmp_path), process)
        kill(second)
        done = finish(process, tmp_path)
    finally:
        process.kill()
    assert (done.status, LOST_WITH_THE_NODE.sub("", done.err)) == (0, "")
    runs = done.children.values()
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert len({(run.data.tags["schedule"], run.data.tags["seed"]) for run in runs}) == 8
    # of each run MLflow's client takes two seconds to read this
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store:
        query = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'learning_rate' ORDER BY step"
        for run in runs:
            steps = store.execute(query, [run.info.run_id]).fetchall()
            assert steps == [(step,) for step in range(EPOCHS * 50)]
    rows = [line.split()[:2] for line in done.out.splitlines()]
    assert rows.index(["fixed", "4"]) < rows.index(["exponential", "4"])  # runs of each, in the table


@pytest.mark.faults
def test_a_sweep_whose_driver_is_killed_goes_on_while_its_cluster_lives_on(tmp_path: Path, cluster):
    both, _ = cluster
    options = [f"hydra.launcher.address={both.address}", "hydra.launcher.workers=2", "checkpoint.every=0.05"]
    words = [*RAY, *options, "experiment=quick", "epochs=300", "schedule=fixed,one_cycle", "seed=0,1"]
    whole, dead = tmp_path / "whole", tmp_path / "dead"
    for folder in (whole, dead):
        folder.mkdir()
    assert train(whole, *words, path=SRC).status == 0
    process = begin(dead, *words, path=SRC)
    wait_until(lambda: any(dead.glob("multirun/*/*/checkpoints/*")), process)
    process.kill()
    process.communicate()
    done = finish(begin(dead, "resume", program=RATELAB, path=SRC), dead)
    assert (done.status, done.err) == (0, "")
    assert "0 of 4 runs had ended" in done.out
    wanted = so_far(whole)
    for name, run in wanted.runs.items():
        assert done.runs[name].info.status == "FINISHED"
        for key in {*run.data.metrics} - {"train_seconds"}:
            steps, values = done.points(done.runs[name], key)
            assert (steps, values.tolist()) == (
                wanted.points(run, key)[0],
                wanted.points(run, key)[1].tolist(),
            )
    for name, run in wanted.children.items():
        columns = wanted.steps(run), done.steps(done.runs[name])
        for key in columns[0].keys() - {"timestamp"}:
            assert columns[0][key].tobytes() == columns[1][key].tobytes()


def test_a_cluster_of_its_own_is_started_and_gone_at_the_end(tmp_path: Path):
    done = train(tmp_path, *RAY, *JOBS, path=SRC, RAY_USAGE_STATS_ENABLED="0")
    assert (done.status, done.err) == (0, "")
    assert "exponential" in done.out


@pytest.fixture(scope="module")
def machines():
    """Two nodes that were started as the page says, and ask for a token; how the first one is reached."""
    with tempfile.TemporaryDirectory() as folder:  # whose name is short enough for Ray's sockets
        here = {**TOKEN, "HOME": folder, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run(["ray", "get-auth-token", "--generate"], env=os.environ | here, check=True)
        port = str(free_port())
        small = "--num-cpus=1 --object-store-memory=104857600"
        quicker = {
            "--port=6379": f"--port={port} --temp-dir={folder} {small}",
            "FIRST:6379": f"127.0.0.1:{port} {small}",
        }
        try:
            for line in START:
                call(line, folder, PROGRAMS, quicker, **here)
            yield {"FIRST:6379": f"127.0.0.1:{port}"}, here
        finally:
            for process in psutil.process_iter(["cmdline"]):
                if folder in " ".join(process.info["cmdline"] or []):
                    process.kill()


def test_a_sweep_on_several_machines(tmp_path: Path, machines):
    """As the page has it, on the digits."""
    from mlflow import MlflowClient

    at, environment = machines
    for name in ("src", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    with mlflow_server(tmp_path / "server") as address:
        quicker = {
            "http://TRACKING:5000": address,
            **at,
            "schedule=": "experiment=quick hydra.launcher.workers=2 schedule=",
            r"range\(0,100\)": "range(0,2)",
        }
        out = call(SWEEP, tmp_path, PROGRAMS, quicker, **environment)
        client = MlflowClient(address)
        runs = client.search_runs([client.get_experiment_by_name("ratelab").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED"] * 5
    assert "Test accuracy" in out


@pytest.mark.parametrize(
    ("environment", "reason"), [({}, "Failed to connect"), (TOKEN, "no authentication token was found")]
)
def test_a_cluster_that_asks_for_a_token_is_one_message(tmp_path, machines, environment, reason):
    [(_, address)] = machines[0].items()
    words = [*RAY, *JOBS, f"hydra.launcher.address={address}"]
    done = train(tmp_path, *words, path=SRC, HOME=str(tmp_path), **environment)
    assert done.status == 1
    assert reason in done.err
    assert "set RAY_AUTH_MODE=token." in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "address=127.0.0.1:1",
            "hydra.launcher.address must be host:port of a Ray cluster, got '127.0.0.1:1'",
        ),
        ("address=nowhere", "hydra.launcher.address must be host:port of a Ray cluster, got 'nowhere'"),
        ("retries=-1", "hydra.launcher.retries must be greater than or equal to 0, got -1"),
        ("cpus=0", "hydra.launcher.cpus must be greater than 0, got 0"),
    ],
)
def test_a_mistake_in_an_option_is_one_message(tmp_path: Path, option, message):
    done = in_process.train(tmp_path, *RAY, *JOBS, f"hydra.launcher.{option}")
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err
