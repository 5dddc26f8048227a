"""What a wheel installs works in an empty folder, with nothing of the repository on any path."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from support import ROOT
from support.wheels import RELEASED, WITHOUT, build_sdist, build_wheel, install

COMMANDS = [
    "compare",
    "doctor",
    "init",
    "lr-find",
    "plan",
    "preview",
    "replay",
    "report",
    "resume",
    "sync",
    "train",
    "ui",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a release, or of what is here."""
    return Path(RELEASED) if RELEASED else build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` of a virtual environment with ratelab's wheel."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "env")


@pytest.fixture
def call(installed, tmp_path):
    """Call a program of the environment in an empty folder, or one inside of it."""

    def run(*words, folder=""):
        environment = {key: value for key, value in os.environ.items() if key not in WITHOUT}
        return subprocess.run(
            [installed / words[0], *words[1:]],
            cwd=tmp_path / folder,
            env=environment | {"PYTHONWARNINGS": "ignore", "COLUMNS": "80"},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_nothing_of_the_repository_is_on_a_path(call):
    done = call("python", "-c", "import ratelab, sys; print(ratelab.__file__, *sys.path, sep='\\n')")
    assert done.returncode == 0, done.stderr
    own, *paths = done.stdout.split()
    assert "site-packages" in own
    assert not [path for path in paths if Path(path).is_relative_to(ROOT) and not path.endswith("-packages")]


def test_it_says_which_version_it_is_and_finds_nothing_amiss(call, wheel):
    version = wheel.name.split("-")[1]
    asked = call("ratelab", "--version")
    assert (asked.returncode, asked.stdout) == (0, f"ratelab, version {version}\n")
    done = call("ratelab", "doctor", "experiment=quick")
    assert done.returncode == 0, done.stdout
    assert f"ratelab: {version}," in done.stdout


def test_a_sweep_is_trained_compared_reported_and_drawn(call, tmp_path):
    words = ["-m", "experiment=quick", "schedule=fixed,exponential", "seed=0,1", "hydra.launcher.workers=1"]
    done = call("ratelab", "train", *words)
    assert done.returncode == 0, done.stderr
    assert "exponential and fixed: no conclusion is possible from 2 seeds" in done.stdout
    assert (tmp_path / "mlruns" / "mlflow.db").exists()
    [report] = (tmp_path / "multirun").glob("*/*/report.html")
    assert "ratelab train -m experiment=quick" in report.read_text()
    compared = call("ratelab", "compare", "--format", "csv")
    assert compared.returncode == 0, compared.stderr
    assert "exponential" in compared.stdout
    searched = call("ratelab", "lr-find", "experiment=quick", "seed=0", "--steps", "60")
    assert searched.returncode == 0, searched.stderr
    assert "Next: ratelab train 'experiment=[quick,tuned]' schedule=fixed,exponential" in searched.stdout
    drawn = call("ratelab", "preview", "schedule=cosine,wsd", "--output", "curves.svg")
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "curves.svg").exists()


def test_a_sweep_is_called_from_python(call, tmp_path):
    code = (
        "import ratelab; words = ['experiment=quick', 'epochs=1'];"
        "study = ratelab.sweep(words, schedule=['fixed', 'cosine'], seed=[0, 1]);"
        "print(study.report.exists(), 'table' in study._repr_html_(), study.verdicts)"
    )
    done = call("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True True ['cosine and fixed: no conclusion is possible from 2 seeds")
    assert (tmp_path / "mlruns" / "mlflow.db").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(call, command):
    done = call("ratelab", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ratelab {command}" in done.stdout


def test_all_commands_are_tried_here(call):
    done = call("ratelab", "--help")
    listed = done.stdout.partition("Commands:\n")[2].splitlines()
    assert sorted(line.split()[0] for line in listed if line.strip()) == COMMANDS


def test_a_project_is_written_swept_and_tested(call, tmp_path):
    done = call("ratelab", "init", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    words = [
        "train.py",
        "-m",
        "schedule=fixed,exponential,half_way",
        "seed=range(0,2)",
        "experiment=long",
        "epochs=5",
    ]
    swept = call("python", *words, folder="demo")
    assert swept.returncode == 0, swept.stderr
    assert "half_way and fixed: no conclusion is possible from 2 seeds" in swept.stdout
    assert (tmp_path / "demo" / "mlruns" / "mlflow.db").exists()
    tested = call("python", "-m", "unittest", folder="demo")
    assert tested.returncode == 0, tested.stderr
    assert "Ran 3 tests" in tested.stderr


@pytest.mark.parametrize("name", ["full", "full/file"])
def test_what_is_there_is_not_written_over(call, tmp_path, name):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    done = call("ratelab", "init", name)
    assert done.returncode == 1
    assert (
        done.stderr == f"init: {name} is there already, and nothing is written over it; give another name.\n"
    )
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["file"]


def test_what_was_saved_runs_again(call, tmp_path):
    assert call("ratelab", "train", "experiment=quick", "seed=3", "tracking=none").returncode == 0
    [saved] = (tmp_path / "multirun").glob("*/*/.hydra")
    done = call("ratelab", "train", "--config-dir", str(saved), "--config-name", "config", "seed=4")
    assert done.returncode == 0, done.stderr
    assert "seed=4" in done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The folder that an sdist unpacks."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build_sdist(folder)) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def test_the_sdist_has_every_file_of_the_repository(sdist):
    if not (ROOT / ".git").exists():
        pytest.skip("a clone of the repository would run it: git says which files are its own")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    packed = {str(path.relative_to(sdist)) for path in sdist.rglob("*") if path.is_file()}
    assert packed - {"PKG-INFO"} == there


def test_the_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    assert build_wheel(tmp_path, sdist).read_bytes() == wheel.read_bytes()
