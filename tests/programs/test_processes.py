"""Stacks are trained in real processes, some of which are killed."""

import contextlib
import itertools
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ratelab.sweeps import resources
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.stacks import Started
from support.configs import VALUES, planned_run
from support.packages import OWN_MODELS
from support.stacks import GIB, bits, kinds, rates, stack, trained


def process_of(worker):
    [process] = [p for p in multiprocessing.active_children() if p.name == f"ratelab worker {worker}"]
    return process


@pytest.fixture(autouse=True, scope="module")
def patience():
    """Tests that wait for a process for ever end after a quarter of an hour."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(900)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def no_worker_is_left():
    """Whatever a test does with workers, none outlives their context."""
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def gate():
    """A port at which the model `gated` waits; hands over the connection that keeps it waiting."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        yield server


@pytest.fixture
def gated(own_models, gate):
    return own_models("gated", gate=gate.getsockname()[1])


@pytest.fixture
def half_done(gated):
    """Two runs trained one after the other; the second begins when the gate says so."""
    return stack(*rates(0), *rates(1, model=gated))


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
    assert seen[-1][0].message == "a secret of this environment"
    assert "own_models.py" in seen[-1][0].traceback


def test_a_process_computes_the_bits_that_this_one_computes(session, tensorflow):
    stacks, seen = session
    here = trained(*stacks[1].runs)
    for number in (2, 3):
        assert bits([event for event, _ in seen], number) == bits(here, number)


def test_a_stack_whose_process_is_killed_is_trained_again_to_the_same_bits(half_done, gate):
    events, again = [], False
    with Processes([half_done], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0." and not again:
                again = True
                with gate.accept()[0]:
                    gate.close()  # for the next process the way is free
                    process_of(0).kill()
    assert kinds(events) == "* 0 0 0 0. * 0 0 0 0. 1 1 1 1."
    assert bits(events[:5], 0) == bits(events[5:], 0)
    assert bits(events, 1) == bits(trained(half_done.runs[1]), 1)


def test_only_runs_without_a_result_break_when_their_process_dies_twice(half_done, gate):
    events = []
    with Processes([half_done, stack(planned_run(2))], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0.":
                with gate.accept()[0]:
                    process_of(0).kill()
    assert kinds(events) == "* 0 0 0 0. * 0 0 0 0. 1! * 2 2 2 2."
    assert events[10].message == "its worker process died twice (exit status -9)"


def test_a_stack_whose_processes_all_die_leaves_the_other_worker_alone(tensorflow):
    doomed = stack(*rates(0, 1))
    events = []
    with Processes([doomed, stack(planned_run(2))], 2, GIB) as processes:
        for event in processes:
            events.append(event)
            if isinstance(event, Started) and event.stack == doomed:
                process_of(event.worker).kill()
    assert kinds(events[:2]) == "* *"
    assert sorted(kinds(events).split()) == ["*", "*", "*", "0!", "1!", "2", "2", "2", "2."]
    assert bits(events, 2) == bits(trained(planned_run(2)), 2)


def test_workers_told_to_stop_hand_over_what_they_have_computed_and_nothing_more(gated, gate):
    """The first run has more epochs than fit into the pipe: the most of them wait in the worker."""
    long = stack(*rates(0, epochs=600), *rates(1, epochs=600, model=gated))
    with Processes([long, stack(planned_run(2))], 1, 0) as processes:
        events = iter(processes)
        assert kinds(itertools.islice(events, 2)) == "* 0"
        process = process_of(0)
        with gate.accept()[0]:  # the second run is about to begin: all of the first has been computed
            assert kinds(processes.stop()) == "0 " * 599 + "0."
            assert list(processes.stop()) == []
            process.join(60)
    assert process.exitcode == 0


def test_workers_told_to_stop_before_their_first_epoch_have_nothing(tensorflow):
    with Processes([stack(planned_run(0)), stack(planned_run(1))], 2, 0) as processes:
        assert list(processes.stop()) == []


def test_a_ctrl_c_in_the_terminal_is_for_the_parent_alone(half_done, gate):
    events = []
    with Processes([half_done], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0.":
                with gate.accept()[0]:
                    gate.close()
                    os.kill(process_of(0).pid, signal.SIGINT)
                    os.kill(process_of(0).pid, signal.SIGHUP)
    assert kinds(events) == "* 0 0 0 0. 1 1 1 1."


def test_leaving_in_the_middle_ends_the_processes(half_done, gate):
    with contextlib.suppress(KeyError), Processes([half_done], 1, 0) as processes:
        next(iter(processes))
        with gate.accept()[0]:
            process = process_of(0)
            raise KeyError
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


PARENT = """
import multiprocessing, sys
sys.path[:0] = {path!r}
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.stacks import Epoch
from support.stacks import GIB, rates, stack
with Processes([stack(*rates(number, epochs=2000)) for number in (0, 1)], 2, GIB) as processes:
    busy = set()
    for event in processes:
        busy |= {{event.worker}} if isinstance(event, Epoch) else set()
        if len(busy) == 2:
            print(*(process.pid for process in multiprocessing.active_children()), flush=True)
            sys.stdin.read()
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = PARENT.format(path=[p for p in sys.path if p])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        workers = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    try:
        assert len(workers) == 2
        for worker in workers:
            assert select.select([worker], [], [], 60)[0] == [worker]  # readable once the process has ended
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(worker, signal.SIGKILL)
            os.close(worker)


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
    monkeypatch.setattr(resources, "_free_memory", lambda: 4 * GIB)
    with Resources(**options).start([stack(one) for one in rates(*range(stacks))]) as workers:
        next(iter(workers), None)
        assert len(multiprocessing.active_children()) == number
