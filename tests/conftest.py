"""Fixtures that several test files share."""

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from ratelab.runtime import devices
from ratelab.runtime.devices import Device
from support import ROOT
from support.packages import OWN_MODELS

TIERS = Path(__file__).parent

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
settings.register_profile("untimed", deadline=None)  # a busy machine is no error
settings.register_profile("few", deadline=None, max_examples=10)  # values are the same to other Pythons
settings.load_profile("untimed")


# Of every test that trains in its own process: one process has one setting.
DEVICE = Device(kind="cpu", index=0, threads=1, precision="float32", xla=None, deterministic=False)


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow on one thread of the CPU, as every test that trains wants it."""
    devices.configure(DEVICE)
    import tensorflow as tf

    return tf


@pytest.fixture(autouse=True)
def _one_device_setting(request):
    """Find the test that sets another device in this process: all later ones that train would fail.

    Not in the first tier, where nothing trains: its tests plan runs for whatever device there is.
    """
    yield
    if request.node.get_closest_marker("unit") is None:
        assert devices._configured in (None, DEVICE)


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory):
    """The file of a SQLite store without runs; to be copied, for to make one takes a second.

    It is made once, also where several workers of pytest-xdist share a folder.
    """
    from ratelab.tracking import prepare_store

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "a fresh store"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            folder.mkdir()
            prepare_store("sqlite:///mlflow.db", folder)
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def tracker(fresh_store, tmp_path_factory):
    """A tracker over a SQLite store of its own, one for a test file."""
    from ratelab.tracking import open_tracker, prepare_store

    folder = tmp_path_factory.mktemp("a project with 100% ü")
    shutil.copy(fresh_store, folder)
    with open_tracker(prepare_store("sqlite:///mlflow.db", folder), "ratelab", folder) as tracker:
        yield tracker


@pytest.fixture
def train_py():
    """The command line up to its overrides."""
    return [sys.executable, str(ROOT / "src" / "train.py")]


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """A module of the user's, for this process and for workers."""
    (tmp_path / "own_models.py").write_text(OWN_MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, **arguments: {"_target_": f"own_models.{name}", **arguments}
    sys.modules.pop("own_models", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the garbage collector pass over what stays until the end: a twentieth of the time of all tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def tier(item):
    """The folder that a test lies in; doctests are units, but for the one that trains with Keras."""
    if item.path.is_relative_to(TIERS):
        return item.path.relative_to(TIERS).parts[0]
    return "training" if item.path.name == "in_keras.py" else "unit"


def pytest_collection_modifyitems(config, items):
    """Mark each test with its tier; leave the long ones out unless they are asked for."""
    for item in items:
        item.add_marker(tier(item))
    if "faults" not in config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("faults")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)
