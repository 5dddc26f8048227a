"""The commands for Slurm that docs/cluster.md has, given to a Slurm that runs here."""

import sys
from pathlib import Path

import pytest

from support import ROOT
from support.followed import call, read_blocks
from support.programs import train, wait_until
from support.servers import mlflow_server

pytest.importorskip("submitit", reason="needs hydra-submitit-launcher: pip install '.[slurm]'")

BLOCKS = [block for _, block in read_blocks("cluster.md")[1]]
[SWEEP] = [block for block in BLOCKS if "PARTITION" in block]
[BATCH] = [block for block in BLOCKS if block.startswith("sbatch ")]
QUICKER = {  # one seed, on the digits, with what is installed already
    r"pip install .*\n": "",
    r"train\.py": "train.py data=digits batch_size=24 epochs=1",
    r"range\(0,\d+\)": "range(0,1)",
}


@pytest.fixture
def folder(tmp_path):
    for name in ("src", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def do(block, folder, slurm, quicker=QUICKER):
    """Do the commands of a block, made quick; return what they printed."""
    return call(block, folder, Path(sys.executable).parent, quicker, **slurm.environment)


def test_every_job_is_recorded_under_the_id_of_its_sweep_and_they_are_compared_at_the_end(folder, slurm):
    from mlflow import MlflowClient

    before = slurm.states()
    with mlflow_server(folder / "server") as address:
        here = {"PARTITION": slurm.partition, "http://TRACKING:5000": address}
        out = do(SWEEP, folder, slurm, QUICKER | here)
        client = MlflowClient(address)
        runs = client.search_runs([client.get_experiment_by_name("ratelab").experiment_id])
        rates = [client.get_metric_history(run.info.run_id, "learning_rate") for run in runs]
    assert {(run.data.tags["schedule"], run.info.status) for run in runs} == {
        ("fixed", "FINISHED"),
        ("exponential", "FINISHED"),
    }
    assert [[point.step for point in of_one] for of_one in rates] == [[*range(50)]] * 2
    [sweep_id] = {run.data.tags["sweep_id"] for run in runs}
    assert (folder / "multirun" / sweep_id[:10] / sweep_id[11:]).is_dir()
    assert " of 2 runs have " in out
    assert "* exponential and fixed: no conclusion is possible from one seed" in " ".join(out.split())
    assert f"ratelab report --sweep {sweep_id} --uri {address}" in out
    after = slurm.states()
    assert [after[job] for job in after.keys() - before.keys()] == ["COMPLETED"] * 2


def test_a_sweep_with_the_default_launcher_is_one_job(folder, slurm):
    out = do(BATCH, folder, slurm)
    job = out.removeprefix("Submitted batch job ").strip()
    wait_until(lambda: slurm.states()[job] not in ("PENDING", "RUNNING", "COMPLETING"), slurm.controller)
    said = (folder / f"slurm-{job}.out").read_text()
    assert slurm.states()[job] == "COMPLETED", said
    assert "Test accuracy" in said


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "sbatch: error: invalid partition specified: nowhere"),
        ({"PATH": ""}, 'Could not detect "srun", are you indeed on a slurm cluster?'),
    ],
)
def test_what_slurm_refuses_is_one_message(tmp_path, slurm, environment, message):
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=nowhere"]
    done = train(tmp_path, "-m", *launcher, "experiment=quick", **slurm.environment | environment)
    assert done.status == 1
    assert f"\nhydra/launcher=submitit_slurm: {message}" in f"\n{done.err}"
    assert "Traceback" not in done.err
