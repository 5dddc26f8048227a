"""What the command line refuses, called in this process: no job starts and nothing is written."""

import sys

import pytest

from support.in_process import train
from support.programs import HINT

BAD = {
    "unknown schedule": (["schedule=daily"], "schedule/daily"),
    "decay_steps of 0": (["schedule.decay_steps=0"], "decay_steps must be greater than 0, got 0"),
    "negative rate": (["learning_rate=-1"], "learning_rate must be greater than or equal to 0, got -1"),
    "truncated data": (["data=mnist", "data.dir=given"], "given/train-images-idx3-ubyte is not the genuine"),
    "store that cannot be made": (
        ["tracking=local", "tracking.uri=sqlite:///file/mlflow.db"],
        "tracking.uri: {folder}/file/mlflow.db cannot be made",
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
    "own schedule that breaks": (
        ["schedule=fixed", "schedule._target_=own_rates.broken", "allow_targets=[own_rates]"],
        "own_rates.broken(learning_rate=0.1) raised SystemExit: 0 (own_rates.py:3)",
    ),
    "callback of Hydra's": (
        ["+hydra.callbacks.x={_target_: os.mkdir, path: made}"],
        "hydra.callbacks.x._target_: a configuration runs nothing but Hydra's own and ratelab's, got 'os.m",
    ),
    "handler of Hydra's log": (
        [
            "hydra/hydra_logging=default",
            "+hydra.hydra_logging.handlers.x={class: os.mkdir, path: made}",
            "-m",
        ],
        "hydra.hydra_logging.handlers.x.class: a configuration runs nothing but",
    ),
    "target in a launcher": (
        ["+hydra.launcher.x={_target_: os.mkdir, path: made}", "-m"],
        "hydra.launcher.x._target_: a configuration runs nothing but",
    ),
    "hostile target": (
        ["model._target_=os.system"],
        "model._target_ must start with one of ratelab.",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with what some cases need: a file `file`, a truncated IDX file, a module."""
    (tmp_path / "file").touch()
    (tmp_path / "own_rates.py").write_text("import sys\ndef broken(learning_rate):\n    sys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + bytes(1000))
    yield tmp_path
    sys.modules.pop("own_rates", None)


@pytest.mark.parametrize(("overrides", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_short_message_and_nothing_is_written(folder, overrides, message):
    before = sorted(folder.rglob("*"))
    done = train(folder, "data=digits", "tracking=none", *overrides)
    said = done.err.removesuffix(HINT)
    assert (done.status, done.out) == (1, "")
    assert said.count(message.format(folder=folder)) == 1
    assert len(said) < 700
    assert "Traceback" not in said
    assert "Error executing job" not in said
    assert sorted(folder.rglob("*")) == before
