"""The command line of a sweep whose workers are killed, or that takes several devices and models."""

import os
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LONG = ["data=digits", "batch_size=24", "epochs=600", "tracking.train_loss_every=1000"]
FEW = ["schedule=fixed,exponential", "seed=0,1,2", "hydra.launcher.workers=1"]


def workers(process):
    """The worker processes of a sweep."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def runs(folder, status=None):
    store = folder / "mlruns" / "mlflow.db"
    if not (folder / "mlruns" / "artifacts").exists():
        return []
    client = MlflowClient(f"sqlite:///{store}")
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [run for run in found if status in (None, run.info.status)]


def started_run(folder, process, number):
    """Wait until `number` runs have their first epochs in the store."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        begun = [run for run in runs(folder) if "val_loss" in run.data.metrics]
        if len(begun) >= number:
            return
        time.sleep(0.05)
    pytest.fail(f"{number} runs never began: {process.communicate()}")


@pytest.fixture
def sweep(tmp_path, train_py):
    """Start a sweep of six long runs, two in a stack, one worker; killed at the end."""
    command = [*train_py, "-m", *LONG, *FEW]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True)
    yield process
    process.kill()
    process.communicate()


def history(folder, run, key):
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    return [point.step for point in client.get_metric_history(run.info.run_id, key)]


def test_a_worker_that_is_killed_costs_nothing(tmp_path, sweep):
    started_run(tmp_path, sweep, 4)  # the second stack
    (worker,) = workers(sweep)
    worker.send_signal(signal.SIGKILL)
    out, err = sweep.communicate(timeout=200)
    assert (sweep.returncode, err) == (0, "")
    assert "6/6" in out or "Test accuracy" in out
    done = runs(tmp_path)
    assert {run.info.status for run in done} == {"FINISHED"}
    assert len(done) == 7
    for run in done:
        if run.data.tags.get("kind") != "sweep":
            assert history(tmp_path, run, "learning_rate") == list(range(600 * 50))
            assert history(tmp_path, run, "val_loss") == list(range(49, 600 * 50, 50))


def test_runs_whose_worker_is_killed_twice_fail_and_the_others_finish(tmp_path, sweep):
    started_run(tmp_path, sweep, 2)
    for _ in range(2):
        (worker,) = workers(sweep)
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        end = time.monotonic() + 20
        while time.monotonic() < end and not workers(sweep):
            time.sleep(0.02)
    _, err = sweep.communicate(timeout=200)
    assert sweep.returncode == 1
    assert err.count("worker process died twice") == 1
    assert "Traceback" not in err
    children = [run for run in runs(tmp_path) if run.data.tags.get("kind") != "sweep"]
    ends = {(run.data.tags["schedule"], run.data.tags["seed"]): run.info.status for run in children}
    failed = {key for key, status in ends.items() if status == "FAILED"}
    assert failed == {("fixed", "0"), ("exponential", "0")}
    assert set(ends.values()) == {"FAILED", "FINISHED"}
    assert len(ends) == 6


def test_the_workers_end_when_the_program_is_killed(tmp_path, sweep):
    started_run(tmp_path, sweep, 1)
    children = workers(sweep)
    os.kill(sweep.pid, signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=20)[1] == []


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A sweep over devices, models and schedules; its folder and how it ended."""
    import sys

    from support import ROOT

    folder = tmp_path_factory.mktemp("mixed")
    choices = ["device=cpu,auto", "model=softmax,mlp,cnn", "schedule=fixed,exponential"]
    command = [sys.executable, str(ROOT / "src" / "train.py"), "-m", "data=digits", "epochs=1", *choices]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    return folder, done


def test_one_command_takes_several_devices_and_models(mixed):
    folder, done = mixed
    assert (done.returncode, done.stderr) == (0, "")
    children = [run for run in runs(folder, "FINISHED") if run.data.tags.get("kind") != "sweep"]
    kinds = {
        (r.data.params["device.kind"], r.data.params["model._target_"], r.data.tags["schedule"])
        for r in children
    }
    assert len(children) == len(kinds) == 12


def test_the_same_job_on_two_devices_that_are_one_gives_the_same_result(mixed):
    """`auto` is the CPU where there is no GPU."""
    folder, _ = mixed
    found = {}
    for run in runs(folder):
        if run.data.tags.get("kind") != "sweep":
            place = run.data.params["model._target_"], run.data.tags["schedule"]
            found.setdefault(place, []).append(run.data.metrics["test_loss"])
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("needs a machine without a GPU")
    assert {len(np.unique(losses)) for losses in found.values()} == {1}
