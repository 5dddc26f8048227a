"""One recorded sweep for all tests that only look at one; what tests of worker processes share."""

import json
import multiprocessing
import os
import signal

import pytest
from filelock import FileLock

from support.programs import QUICK, Done, train


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """Six runs on the digits, every step recorded. To be read only: other tests read it at the same time."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker of pytest-xdist has a folder of its own in there
        shared = shared.parent
    folder, ended = shared / "quick", shared / "quick.json"
    with FileLock(shared / "quick.lock"):
        if not ended.exists():
            folder.mkdir()
            done = train(folder, *QUICK)
            ended.write_text(json.dumps([done.status, done.out, done.err]))
    done = Done(folder, *json.loads(ended.read_text()))
    assert (done.status, done.err) == (0, "")
    return done


@pytest.fixture(scope="module")
def patience():
    """Tests that wait for a process for ever end after a quarter of an hour."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(900)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def no_worker_is_left():
    """Whatever a test does with workers, none outlives their context."""
    yield
    assert multiprocessing.active_children() == []
