"""Sweeps through Hydra's submitit launcher; its local executor stands for Slurm."""

import pytest

from support import SRC
from support.programs import train

pytest.importorskip("submitit", reason="needs hydra-submitit-launcher: pip install '.[slurm]'")


def test_every_job_is_recorded_under_the_id_of_its_sweep_and_they_are_compared_at_the_end(tmp_path):
    jobs = ["hydra/launcher=submitit_local", "experiment=quick", "schedule=fixed,exponential"]
    done = train(tmp_path, "-m", *jobs, path=SRC)
    assert done.status == 0, done.err
    runs = done.everything
    assert {(run.data.tags["schedule"], run.info.status) for run in runs} == {
        ("fixed", "FINISHED"),
        ("exponential", "FINISHED"),
    }
    assert len({run.data.tags["sweep_id"] for run in runs}) == 1
    assert runs[0].data.tags["sweep_id"] == "-".join(done.job_folder.parts[-2:])
    assert " of 2 runs have " in done.out
    assert "* exponential and fixed: no conclusion is possible from one seed" in " ".join(done.out.split())
    assert f"ratelab report --sweep {runs[0].data.tags['sweep_id']} --uri " in done.out
