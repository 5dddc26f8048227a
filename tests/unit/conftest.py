"""The fast tier: whatever starts a process or imports TensorFlow fails here, for it belongs to another."""

import gc
import os
import shutil
import subprocess
import sys
from importlib.abc import MetaPathFinder
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from support.damaged import write_runs

# MLflow and the provenance of a run ask these, each once a process; they answer in milliseconds
QUESTIONS = {"git", "uname"}
start_process = subprocess.Popen.__init__


def refuse(*_, **__):
    pytest.fail("a test in tests/unit starts no process: move it to tests/programs")


def ask_or_refuse(process, command, *arguments, **options):
    name = command if isinstance(command, str) else command[0]
    if Path(name).name not in QUESTIONS:
        refuse()
    start_process(process, command, *arguments, **options)


class WithoutTensorflow(MetaPathFinder):
    """Fail a test that imports TensorFlow, unless a test of another tier has done so before."""

    def find_spec(self, name, path=None, target=None):
        """Leave all other modules to the finders after this one."""
        if name == "tensorflow":
            pytest.fail("a test in tests/unit imports no TensorFlow: move it to tests/training")


OFTEN = gc.get_threshold()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Guard a test of this tier and all of its fixtures, also those that other tests share."""
    if item.get_closest_marker("unit") is None:
        return (yield)
    # units make and drop the nodes of thousands of configurations, each in a cycle with its parent; in the
    # other tiers a cycle may hold a whole model
    gc.set_threshold(50_000, 20, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", ask_or_refuse)
        patch.setattr(BaseProcess, "start", refuse)
        patch.setattr(os, "fork", refuse)
        finder = WithoutTensorflow()
        sys.meta_path.insert(0, finder)  # in place: what a test imports may add a finder that has to stay
        try:
            return (yield)
        finally:
            sys.meta_path.remove(finder)
            if nextitem is None or nextitem.get_closest_marker("unit") is None:
                gc.set_threshold(*OFTEN)  # a collection begins at once


@pytest.fixture
def store(fresh_store, tmp_path):
    """Make a store that holds these runs."""

    def make(*runs):
        path = tmp_path / "mlflow.db"
        shutil.copy(fresh_store, path)
        write_runs(path, runs)
        return f"sqlite:///{path}"

    return make


@pytest.fixture
def judged_by_loss(monkeypatch):
    """Every run that is planned in the test is judged by its loss, of which less is better."""
    from ratelab.comparison import Outcomes
    from ratelab.runs import description
    from ratelab.tasks import ACCURACY, LOSS, Outcome

    outcomes = Outcomes(LOSS, {LOSS: Outcome(LOSS, higher_is_better=False), "accuracy": ACCURACY})
    monkeypatch.setattr(description, "outcomes_of", lambda planned: outcomes)
    return outcomes
