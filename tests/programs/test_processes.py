"""Stacks are trained in real processes."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ratelab.sweeps import resources
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.stacks import Started
from support import SRC
from support.configs import VALUES, planned_run
from support.packages import OWN_MODELS
from support.stacks import GIB, bits, kinds, process_of, rates, stack, trained

pytestmark = pytest.mark.usefixtures("patience", "no_worker_is_left")


@pytest.fixture(scope="module")
def session():
    """One worker with four stacks that need three processes: events, and the processes at each start."""
    xla = {**VALUES["device"], "xla": False}
    word = {"_target_": "own_models.word"}
    stacks = [
        stack(*rates(0, 1)),
        stack(*rates(2, 3, seed=1)),
        stack(*rates(4, 5, device=xla)),
        stack(planned_run(6, (("RATELAB_WORD", "a secret of this environment"),), device=xla, model=word)),
    ]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "own_models.py").write_text(OWN_MODELS)
        patch.syspath_prepend(folder)
        with Processes(stacks, 1, GIB) as processes:
            seen = [(event, process_of(0).pid) for event in processes]
    return stacks, seen


def test_all_events_of_all_stacks_arrive_each_in_its_order(session):
    stacks, seen = session
    events = [event for event, _ in seen]
    pairs = ["{0} {1} {0} {1} {0} {1} {0}. {1}.".format(*numbers) for numbers in ((0, 1), (2, 3), (4, 5))]
    assert kinds(events) == f"* {pairs[0]} * {pairs[1]} * {pairs[2]} * 6!"
    assert [event.stack for event in events if isinstance(event, Started)] == stacks


def test_a_process_serves_one_device_setting_and_one_environment_only(session):
    _, seen = session
    first, second, third, fourth = [pid for event, pid in seen if isinstance(event, Started)]
    assert first == second
    assert len({second, third, fourth, os.getpid()}) == 4


def test_the_environment_of_a_run_is_that_of_its_process(session):
    _, seen = session
    assert "RuntimeError: a secret of this environment (" in seen[-1][0].message
    assert "own_models.py:12)" in seen[-1][0].message


def test_a_process_computes_the_bits_that_this_one_computes(session, tensorflow):
    stacks, seen = session
    here = trained(*stacks[1].runs)
    for number in (2, 3):
        assert bits([event for event, _ in seen], number) == bits(here, number)


def test_workers_told_to_stop_before_their_first_epoch_have_nothing(tensorflow):
    with Processes([stack(planned_run(0)), stack(planned_run(1))], 2, 0) as processes:
        assert list(processes.stop()) == []


def test_the_fork_server_blocks_what_is_sent_to_all_processes():
    """In a new program: what Python starts before its first process unblocks SIGINT and SIGTERM."""
    script = (
        "import os, signal, time; from multiprocessing import forkserver;"
        "from ratelab.sweeps import processes;"
        "processes._start_server(); server = forkserver._forkserver._forkserver_pid;"
        "[os.kill(server, number) for number in processes.SENT_TO_ALL]; time.sleep(1);"
        "print(os.waitpid(server, os.WNOHANG))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(0, 0)\n", "")


@pytest.mark.parametrize(
    ("options", "stacks", "number"),
    [
        ({"workers": 4, "memory": 9}, 2, 2),
        ({"workers": 2, "memory": 9}, 3, 2),
        ({"workers": 3, "memory": 2.5}, 3, 2),
        ({"workers": 3, "memory": 0.1}, 3, 1),
        ({"workers": 3}, 3, 3),
        ({"workers": 3}, 0, 0),
    ],
)
def test_no_more_workers_begin_than_there_are_stacks_and_room(monkeypatch, options, stacks, number):
    monkeypatch.setattr(resources, "free_memory", lambda: 4 * GIB)
    with Resources(**options).start([stack(one) for one in rates(*range(stacks))]) as workers:
        next(iter(workers), None)
        assert len(multiprocessing.active_children()) == number
