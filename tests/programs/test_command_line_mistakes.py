"""What the command line refuses, called in this process: no job starts and nothing is written."""

import sys

import pytest

from support.in_process import train
from support.programs import HINT, unless_given

LONG = ",".join(["8"] * 130)
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
    "an override before -m": (["seed=-1", "-m", "schedule=fixed,cosine"], "seed must be"),
    "two stores in a sweep": (
        ["tracking=local,none", "-m"],
        "tracking: all runs of a sweep are recorded in one",
    ),
    "folder without data": (["data=mnist", "data.dir=empty"], "data.dir: {folder}/empty does not exist. Put"),
    "folder for the digits": (
        ["data.dir=given"],
        "Key 'dir' is not in struct",
    ),
    "range without a number": (["seed=range(0,0)", "-m"], "seed=range(0,0) has no value"),
    "range backwards": (["seed=range(3,0)", "-m"], "seed=range(3,0) has no value"),
    "glob without an option": (["schedule=glob(zzz*)", "-m"], "schedule=glob(zzz*) has no value"),
    "a run twice": (["seed=1,2,1", "-m"], "seed=1,2,1 has the value 1 2 times: the same run again"),
    "a number written twice": (["learning_rate=0.1,1e-1", "-m"], "has the value 0.1 2 times"),
    "an option twice, once in quotes": (["schedule=fixed,'fixed'", "-m"], "has the value 'fixed' 2 times"),
    "a list twice": (["model=mlp", "model.hidden=[8],[8]", "-m"], "has the value [8] 2 times"),
    "interval": (
        ["learning_rate=interval(0.01,1)", "-m"],
        "learning_rate=interval(0.01,1): hydra/sweeper=ratelab tries values that are listed",
    ),
    "a key twice": (["seed=1", "seed=2"], "seed is given twice, as 'seed=1' and 'seed=2'; give it once"),
    "an option twice": (
        ["schedule=fixed", "schedule=cosine"],
        "schedule is given twice, as 'schedule=fixed'",
    ),
    "a key twice in a sweep": (["seed=1,2", "seed=3", "-m"], "seed is given twice"),
    "a key of Hydra's twice": (["hydra.job.name=a", "hydra.job.name=b"], "hydra.job.name is given twice"),
    "a key under two names": (
        ["validation_size=3", "data.validation_size=4"],
        "validation_size is given twice",
    ),
    "option of the launcher in a single run": (
        ["hydra.launcher.workers=2"],
        "is for sweeps and this is a single",
    ),
    "launcher of a single run": (["hydra/launcher=basic"], "hydra/launcher=basic is for sweeps"),
    "tuning with a seed twice": (
        ["experiment=tuned", "hydra.sweeper.tuning.seeds=[7,8,7]"],
        "hydra.sweeper.tuning.seeds must differ from each other, got [7, 8, 7]",
    ),
    "unknown key of the launcher": (["hydra.launcher.worker=1", "-m"], "Key 'worker' not in"),
    "added key of the launcher": (["+hydra.launcher.worker=1", "-m"], "hydra.launcher.worker"),
    "added key of the sweeper": (["+hydra.sweeper.batch=1", "-m"], "hydra.sweeper"),
    "a list without -m": (["seed=1,2"], "add --multirun"),
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
    "~ in the folder of a run": (["hydra.run.dir='~/runs'"], "hydra.run.dir: ~ is not expanded here"),
    "~ in the folder of a sweep": (
        ["hydra.sweep.dir='~/runs'", "-m"],
        "hydra.sweep.dir: ~ is not expanded here",
    ),
    "home of nobody for the data": (
        ["data=mnist", "data.dir='~nobody9/x'"],
        "data.dir: there is no home folder for '~nobody9/x'",
    ),
    "home of nobody for the store": (
        ["tracking=local", "tracking.uri='sqlite:///~nobody9/x.db'"],
        "tracking.uri: there is no home folder for '~nobody9/x.db'",
    ),
    "folder of a job named too long": (
        ["model=mlp", f"model.hidden=[{LONG}]", "hydra.sweep.subdir=${hydra.job.override_dirname}", "-m"],
        "hydra.sweep.subdir: a folder's name may have 255 bytes, not ",
    ),
    "folder of a run named too long": (
        [f"hydra.run.dir='runs/{'ü' * 128}'"],
        "hydra.run.dir holds a name of more than 255 bytes, got ",
    ),
    "text of the environment for a number": (
        ["seed=${oc.env:RATELAB_TEST_SEED}"],
        """for a number write 'seed="${{oc.decode:${{oc.env:RATELAB_TEST_SEED}}}}"'""",
    ),
    "text of the environment for an argument": (
        ["schedule.decay_steps=${oc.env:RATELAB_TEST_SEED}"],
        """for a number write 'schedule.decay_steps="${{oc.decode:${{oc.env:RATELAB_TEST_SEED}}}}"'""",
    ),
    "hostile target": (
        ["model._target_=os.system"],
        "model._target_ must start with one of ratelab.",
    ),
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("RATELAB_TEST_SEED", "3")


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
    done = train(folder, *unless_given(["data=digits", "tracking=none"], overrides), *overrides)
    said = done.err.removesuffix(HINT)
    assert (done.status, done.out) == (1, "")
    assert said.count(message.format(folder=folder)) == 1
    assert len(said) < 700
    assert "Traceback" not in said
    assert "Error executing job" not in said
    assert sorted(folder.rglob("*")) == before
