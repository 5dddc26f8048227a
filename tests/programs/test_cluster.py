"""Sweeps on a Ray cluster of two nodes on this machine, one of which dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from support import ROOT

ray = pytest.importorskip("ray", reason="needs Ray: pip install '.[ray]'")

# mlflow, sqlalchemy and ray use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

TRAIN = [sys.executable, str(ROOT / "src" / "train.py"), "-m", "hydra/launcher=ray", "data=digits"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "RAY_USAGE_STATS_ENABLED": "0"}
EPOCHS = 1500


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


def children(folder):
    """The runs of the sweep in the store of a folder."""
    if not (folder / "mlruns" / "artifacts").exists():
        return []
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [run for run in found if run.data.tags.get("kind") != "sweep"]


def kill(node):
    """Kill a node as a power cut does: the raylet and everything that it started."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.kill()


def test_a_sweep_survives_the_death_of_a_node(tmp_path: Path, cluster):
    both, second = cluster
    sweep = ["batch_size=24", f"epochs={EPOCHS}", "schedule=fixed,exponential", "seed=0,1,2,3"]
    options = [f"hydra.launcher.address={both.address}", "tracking.train_loss_every=1000"]
    command = [*TRAIN, *options, *sweep]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=out, stderr=err)
        try:
            end = time.monotonic() + 120
            while time.monotonic() < end and process.poll() is None:
                if sum("val_loss" in run.data.metrics for run in children(tmp_path)) >= 4:
                    break  # a stack on each node
                time.sleep(0.1)
            kill(second)
            status = process.wait(300)
        finally:
            process.kill()
    assert (status, (tmp_path / "err").read_text()) == (0, "")
    runs = children(tmp_path)
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert len({(run.data.tags["schedule"], run.data.tags["seed"]) for run in runs}) == 8
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "learning_rate")
        assert [point.step for point in history] == list(range(EPOCHS * 50))
    rows = [line.split()[:2] for line in (tmp_path / "out").read_text().splitlines()]
    assert rows.index(["fixed", "4"]) < rows.index(["exponential", "4"])  # runs of each, in the table


def test_a_cluster_of_its_own_is_started_and_gone_at_the_end(tmp_path: Path):
    command = [*TRAIN, "experiment=quick", "tracking=none", "schedule=fixed,exponential"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exponential" in done.stdout


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
    command = [*TRAIN, "experiment=quick", "tracking=none", "schedule=fixed,exponential"]
    command.append(f"hydra.launcher.{option}")
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
