"""Our plugins serve any Hydra program, and our program runs under Hydra's own."""

import json
import os
import subprocess
import sys

import pytest
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, LauncherTestSuite
from hydra.version import VersionBase
from packaging.version import Version

from conftest import ROOT

PLAIN = """
import json
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    job = HydraConfig.get()
    seen = {"name": job.job.name, "num": job.job.num, "overrides": list(job.overrides.task), "x": cfg.x}
    Path(job.runtime.output_dir, "seen.json").write_text(json.dumps(seen))
    if cfg.x == 2:
        raise RuntimeError("two is too much")
    return cfg.x

if __name__ == "__main__":
    main()
"""
WITH_PLUGINS = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

# Hydra's suites call it without a version_base, which it warns about
quietly = pytest.mark.filterwarnings("ignore:.*Future Hydra versions:UserWarning")


@pytest.fixture
def oldest_version_base(monkeypatch):
    """The behaviour that Hydra's suites expect, whichever version_base other tests have set."""
    monkeypatch.setattr(VersionBase.instance(), "version_base", Version("1.1"))


@quietly
@pytest.mark.usefixtures("oldest_version_base")
@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("ratelab", []), ("ratelab", ["hydra/sweeper=ratelab"])]
)
class TestRatelabLauncher(LauncherTestSuite):
    """Hydra's own tests for launchers, unchanged."""


@quietly
@pytest.mark.usefixtures("oldest_version_base")
@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("ratelab", ["hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"])],
)
class TestRatelabSweeper(BatchedSweeperTestSuite):
    """Hydra's own test for sweepers that work in batches, unchanged."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder where a Hydra program that is not ours ran three jobs under our launcher; how it ended."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "app.py").write_text(PLAIN)
    (folder / "config.yaml").write_text("x: 0\n")
    plugins = ["hydra/launcher=ratelab", "hydra/sweeper=ratelab"]
    command = [sys.executable, "app.py", "-m", *plugins, "hydra.sweep.dir=jobs", "x=1,2,3"]
    done = subprocess.run(command, cwd=folder, env=WITH_PLUGINS, capture_output=True, text=True, timeout=60)
    return folder, done


def test_each_job_of_another_program_sees_its_number_and_its_overrides(plain):
    folder, _ = plain
    seen = [json.loads((folder / "jobs" / f"{number}" / "seen.json").read_text()) for number in range(3)]
    expected = [
        {"name": "app", "num": number, "overrides": [f"x={number + 1}"], "x": number + 1}
        for number in range(3)
    ]
    assert seen == expected


def test_a_failing_job_of_another_program_keeps_none_from_running_and_is_told(plain):
    _, done = plain
    assert done.returncode == 1
    assert done.stderr.count("RuntimeError: two is too much") == 1


def test_another_program_has_its_job_folders_and_nothing_of_ours(plain):
    folder, _ = plain
    assert {path.name for path in folder.iterdir()} == {"app.py", "config.yaml", "jobs"}
    assert {path.name for path in (folder / "jobs").iterdir()} == {"0", "1", "2", "multirun.yaml"}
    for number in range(3):
        files = {path.name for path in (folder / "jobs" / f"{number}").iterdir()}
        assert files == {".hydra", "app.log", "seen.json"}


def test_our_program_runs_under_the_basic_launcher(train_py, tmp_path):
    basic = ["hydra/launcher=basic", "hydra/sweeper=basic", "hydra.sweep.dir=jobs"]
    job = ["experiment=quick", "tracking=none", "schedule=fixed,exponential"]
    command = [*train_py, "-m", *basic, *job]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("test accuracy ") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"jobs"}
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {"0", "1", "multirun.yaml"}
