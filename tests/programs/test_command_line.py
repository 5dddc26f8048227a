"""What the command line refuses, and what it only shows: no job starts here and nothing is written."""

import os
import re
import subprocess

import pytest
import yaml

from support import ROOT
from support.programs import HANGS, HINT, unless_given

DIGITS = ["data=digits", "tracking=none"]
BAD = {
    "no GPU": (["device=gpu"], "device=gpu: TensorFlow must see GPU number 0"),
    "server that refuses": (
        ["tracking=server", "tracking.uri=http://127.0.0.1:9"],
        "tracking.uri: http://127.0.0.1:9 does not answer",
    ),
    "misspelt key": (["learning_rat=1"], "Could not override 'learning_rat'"),
    "one bad job of a sweep": (["schedule=fixed,exponential", "seed=0,-1", "-m"], "seed must be"),
    "the same key twice": (["seed=1", "seed=2"], "seed is given twice, as 'seed=1' and 'seed=2'"),
    "nothing to run, whichever the sweeper": (
        ["hydra/sweeper=basic", "hydra/launcher=basic", "seed=range(0,0)", "-m"],
        "seed=range(0,0) has no value, so there is nothing to run",
    ),
}


@pytest.fixture
def call(train_py, tmp_path):
    """Call the command line in an empty folder; say what it did and that it wrote nothing there."""

    def call(*arguments, options=()):
        done = subprocess.run(
            [train_py[0], *options, *train_py[1:], *arguments],
            cwd=tmp_path,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            timeout=HANGS,
        )
        assert list(tmp_path.iterdir()) == []
        return done

    return call


@pytest.mark.parametrize(("overrides", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_short_message_and_nothing_is_written(call, overrides, message):
    done = call(*unless_given(DIGITS, overrides), *overrides)
    said = done.stderr.removesuffix(HINT)
    assert (done.returncode, done.stdout) == (1, "")
    assert said.count(message) == 1
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
    assert re.search(r"a sweep, .* python /.*/src/train.py -m schedule=fixed,exponential\n", done.stdout)
    options = ", ".join(sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml")))
    for group in (
        "data: arrays, digits, fashion_mnist, mnist, mnist1d, table, text",
        f"schedule: {options}",
        "task: auto, classification, next_token, regression",
        "warmup: linear, none",
    ):
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
