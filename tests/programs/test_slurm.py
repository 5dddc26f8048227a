"""Sweeps through Hydra's submitit launcher; its local executor stands for Slurm."""

import os
import subprocess

import pytest
from mlflow import MlflowClient

from support import ROOT

pytest.importorskip("submitit", reason="needs hydra-submitit-launcher: pip install '.[slurm]'")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of mlflow and sqlalchemy


def test_every_job_is_recorded_under_the_id_of_its_sweep(tmp_path, train_py):
    jobs = ["hydra/launcher=submitit_local", "experiment=quick", "schedule=fixed,exponential"]
    command = [*train_py, "-m", *jobs]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert {(run.data.tags["schedule"], run.info.status) for run in runs} == {
        ("fixed", "FINISHED"),
        ("exponential", "FINISHED"),
    }
    assert len({run.data.tags["sweep_id"] for run in runs}) == 1
    (folder,) = (tmp_path / "multirun").glob("*/*")
    assert runs[0].data.tags["sweep_id"] == "-".join(folder.parts[-2:])
