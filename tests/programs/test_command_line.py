"""What the command line refuses, and what it only shows: no job starts here and nothing is written."""

import os
import re
import subprocess

import pytest
import yaml

from support import ROOT

DIGITS = ["data=digits", "tracking=none"]
HINT = "\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n"
BAD = {
    "unknown schedule": (["schedule=daily"], "schedule/daily"),
    "decay_steps of 0": (["schedule.decay_steps=0"], "decay_steps must be greater than 0, got 0"),
    "negative rate": (["learning_rate=-1"], "learning_rate must be greater than or equal to 0, got -1"),
    "no GPU": (["device=gpu"], "device=gpu: TensorFlow must see GPU number 0"),
    "truncated data": (["data=mnist", "data.dir=given"], "given/train-images-idx3-ubyte is not the genuine"),
    "store that cannot be made": (
        ["tracking=local", "tracking.uri=sqlite:///file/mlflow.db"],
        "tracking.uri: {folder}/file/mlflow.db cannot be made",
    ),
    "server that refuses": (
        ["tracking=server", "tracking.uri=http://127.0.0.1:9"],
        "tracking.uri: http://127.0.0.1:9 does not answer",
    ),
    "misspelt key": (["learning_rat=1"], "Could not override 'learning_rat'"),
    "misspelt argument": (["schedule.decay_step=1"], "Could not override 'schedule.decay_step'"),
    "added key": (["+extra=1"], "there is no 'extra'"),
    "nesterov alone": (["optimizer.nesterov=true"], "nesterov needs momentum > 0"),
    "large batch": (["batch_size=5000"], "batch_size must be at most 1200, the training examples, got 5000"),
    "one bad job of a sweep": (["schedule=fixed,exponential", "seed=0,-1", "-m"], "seed must be"),
    "two stores in a sweep": (
        ["tracking=local,none", "-m"],
        "tracking: all runs of a sweep are recorded in one",
    ),
    "hostile target": (
        ["model._target_=os.system"],
        "model._target_ must start with one of ratelab.",
    ),
}


@pytest.fixture
def folder(tmp_path):
    """A working directory with what two of the cases need: a file `file` and a truncated IDX file."""
    (tmp_path / "file").touch()
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + bytes(1000))
    return tmp_path


@pytest.fixture
def call(train_py, folder):
    """Call the command line in `folder`; say what it did and whether it wrote anything there."""

    def call(*arguments, options=()):
        before = sorted(folder.rglob("*"))
        done = subprocess.run(
            [train_py[0], *options, *train_py[1:], *arguments],
            cwd=folder,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert sorted(folder.rglob("*")) == before
        return done

    return call


@pytest.mark.parametrize(("overrides", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_short_message_and_nothing_is_written(call, folder, overrides, message):
    done = call(*DIGITS, *overrides)
    said = done.stderr.removesuffix(HINT)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said.count(message.format(folder=folder)) == 1
    assert len(said) < 700
    assert "Traceback" not in said
    assert "Error executing job" not in said


@pytest.mark.parametrize(
    "arguments", [["schedule.decay_steps=0"], ["schedule=fixed,exponential", "seed=-1", "-m"]]
)
def test_a_mistake_is_found_without_tensorflow(call, arguments):
    done = call(*DIGITS, *arguments, options=["-X", "importtime"])
    imported = re.findall(r"^import time: .*\| *(\S+)$", done.stderr, re.MULTILINE)
    assert done.returncode == 1
    assert "ratelab.config" in imported
    assert not [name for name in imported if name.partition(".")[0] in {"tensorflow", "keras", "mlflow"}]


def test_help_is_ours(call):
    done = call("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "python src/train.py -m schedule=fixed,exponential" in done.stdout
    options = ", ".join(sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml")))
    for group in ("data: digits, fashion_mnist, mnist", f"schedule: {options}", "warmup: linear, none"):
        assert f"{group}\n" in done.stdout
    assert {"model", "optimizer", "device", "tracking", "experiment"} <= set(
        re.findall(r"^(\w+): ", done.stdout, re.MULTILINE)
    )


def test_cfg_job_shows_the_configuration_as_yaml(call):
    done = call("--cfg", "job", "schedule=staircase", "seed=3")
    shown = yaml.safe_load(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert shown["seed"] == 3
    assert shown["schedule"] == {
        "_target_": "ratelab.schedules.exponential",
        "decay_steps": 1000,
        "decay_rate": 0.9,
        "staircase": True,
    }
    assert "hydra" not in shown
