"""Our plugins serve any Hydra program, and our program runs under Hydra's own."""

import json
import os
import subprocess
import sys

import pytest
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.version import VersionBase
from omegaconf import OmegaConf
from packaging.version import Version

from support import ROOT
from support.programs import HINT
from support.searching import write_searching_sweeper

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


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=ratelab"])])
class TestRatelabLauncherIntegration(IntegrationTestSuite):
    """Hydra's own tests of whole programs under a launcher, unchanged."""

    @pytest.fixture(autouse=True)
    def with_plugins(self, monkeypatch):
        """Let the programs find our plugins, installed or not."""
        monkeypatch.setenv("PYTHONPATH", WITH_PLUGINS["PYTHONPATH"])


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


def test_a_wrong_option_of_the_launcher_ends_with_one_message_before_anything_is_written(train_py, tmp_path):
    job = ["experiment=quick", "tracking=none", "schedule=fixed,exponential"]
    command = [*train_py, "-m", *job, "hydra.launcher.largest_stack=0", "hydra.launcher.workers=-1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.removesuffix(HINT) == (
        "hydra.launcher.largest_stack must be greater than 0, got 0; "
        "hydra.launcher.workers must be greater than 0, got -1\n"
    )
    assert list(tmp_path.iterdir()) == []


NOTES = """
import json
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback

class Notes(Callback):
    def __init__(self, path):
        self.path = path

    def note(self, when, config):
        job, seen = HydraConfig.get().job, config.hydra.job
        line = [when, job.num, seen.num, job.override_dirname, seen.override_dirname, config.seed]
        with Path(self.path).open("a") as file:
            file.write(json.dumps(line) + "\\n")

    def on_job_start(self, config, **_):
        self.note("start", config)

    def on_job_end(self, config, job_return, **_):
        assert job_return.cfg.seed == config.seed
        self.note(job_return.status.name, config)
"""


GIVEN = ["experiment=quick", "tracking=none", "allow_targets=[own_callbacks]"]


@pytest.fixture(scope="module")
def named_folders(tmp_path_factory):
    """A sweep of ours whose folders are called after the overrides, with a callback that takes notes."""
    folder = tmp_path_factory.mktemp("named folders")
    (folder / "own_callbacks.py").write_text(NOTES)
    callback = f"+hydra.callbacks.notes={{_target_: own_callbacks.Notes, path: '{folder}/notes'}}"
    names = ["hydra.sweep.dir=jobs", "hydra.sweep.subdir=${hydra.job.override_dirname}"]
    brief = "hydra.job.config.override_dirname.exclude_keys=[experiment,tracking,allow_targets]"
    job = [*GIVEN, "schedule=fixed,exponential", "seed=0,1"]
    command = [sys.executable, str(ROOT / "src" / "train.py"), "-m", callback, *names, brief, *job]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


NAMED = [f"schedule={schedule},seed={seed}" for schedule in ("fixed", "exponential") for seed in (0, 1)]


def test_the_folders_of_a_sweep_of_ours_may_be_called_after_the_overrides(named_folders):
    assert {path.name for path in (named_folders / "jobs").iterdir()} == {*NAMED, "journal", "multirun.yaml"}


@pytest.mark.parametrize(("number", "name"), list(enumerate(NAMED)))
def test_each_folder_holds_the_configuration_of_its_own_job(named_folders, number, name):
    schedule, seed = (text.partition("=")[2] for text in name.split(","))
    files = named_folders / "jobs" / name / ".hydra"
    config, hydra, overrides = (
        OmegaConf.load(files / f"{part}.yaml") for part in ("config", "hydra", "overrides")
    )
    assert (hydra.hydra.job.num, hydra.hydra.job.id) == (number, f"train_{number}")
    assert hydra.hydra.job.override_dirname == name
    assert hydra.hydra.runtime.choices.schedule == schedule
    assert hydra.hydra.runtime.output_dir == str(files.parent)
    assert overrides == [*GIVEN, f"schedule={schedule}", f"seed={seed}"]
    assert hydra.hydra.overrides.task == overrides
    assert config.seed == int(seed)
    assert config.schedule._target_ == f"ratelab.schedules.{schedule}"
    assert "hydra" not in config


def test_callbacks_see_the_job_that_they_are_called_for(named_folders):
    notes = [json.loads(line) for line in (named_folders / "notes").read_text().splitlines()]
    expected = [[number, number, name, name, int(name[-1])] for number, name in enumerate(NAMED)]
    assert sorted(seen for when, *seen in notes if when == "start") == expected
    assert sorted(seen for when, *seen in notes if when == "COMPLETED") == expected
    assert len(notes) == 8
    assert all(first[1:] == second[1:] for first, second in zip(notes[::2], notes[1::2], strict=True))


SEARCHED = """
import hydra

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    print(sorted(cfg.opt.items()))

if __name__ == "__main__":
    main()
"""


def test_a_group_that_only_the_search_path_knows_is_a_group(tmp_path):
    (tmp_path / "app.py").write_text(SEARCHED)
    defaults = "defaults: [opt: a, _self_]"
    (tmp_path / "config.yaml").write_text(f"{defaults}\nhydra: {{searchpath: ['file://{tmp_path}/extra']}}\n")
    (tmp_path / "extra" / "opt").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "extra" / "opt" / f"{name}.yaml").write_text(f"name: {name}\n")
    command = [sys.executable, "app.py", "-m", "hydra/launcher=ratelab", "opt=a,b", "hydra.sweep.dir=jobs"]
    done = subprocess.run(command, cwd=tmp_path, env=WITH_PLUGINS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "[('name', 'a')]" in done.stdout
    assert "[('name', 'b')]" in done.stdout


def test_a_sweeper_that_searches_gets_a_number_of_each_run_and_no_comparison_is_printed(train_py, tmp_path):
    write_searching_sweeper(tmp_path)
    words = ["experiment=quick", "tracking=none", "epochs=2", "schedule=fixed", "hydra.launcher.workers=1"]
    command = [*train_py, "-m", "hydra/sweeper=searching", "hydra.sweep.dir=jobs", *words]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("validation accuracy 0.") == 2
    assert done.stdout.endswith("best 0.5\n")
    assert "Paired differences" not in done.stdout
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {"0", "1", "journal", "multirun.yaml"}
