"""The guard of this tier, in conftest.py."""

import multiprocessing
import os
import subprocess
import sys

import pytest

PROCESS = "a test in tests/unit starts no process: move it to tests/programs"


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run([sys.executable, "-c", ""]),
        lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
        lambda: os.fork(),
    ],
    ids=["a program", "a worker", "a fork"],
)
def test_a_process_is_refused(start):
    with pytest.raises(pytest.fail.Exception, match=PROCESS):
        start()


def test_tensorflow_is_refused(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(pytest.fail.Exception, match="imports no TensorFlow: move it to tests/training"):
        import tensorflow  # noqa: F401 - which fails


def test_git_may_be_asked():
    assert subprocess.run(["git", "--version"], capture_output=True).returncode == 0
