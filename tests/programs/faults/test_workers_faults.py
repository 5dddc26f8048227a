"""Workers that are killed, stopped, hung or told to stop, in real processes."""

import contextlib
import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import forkserver

import pytest

from ratelab.sweeps import silence
from ratelab.sweeps.processes import PATIENCE, Processes
from ratelab.sweeps.stacks import Started
from support.configs import planned_run
from support.stacks import GIB, bits, kinds, process_of, rates, stack, trained

pytestmark = pytest.mark.usefixtures("patience", "no_worker_is_left")


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


def test_a_stack_whose_process_is_killed_is_trained_again_to_the_same_bits(half_done, gate, capfd):
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
    assert re.fullmatch(
        r"Worker process \d+ died \(SIGKILL: by hand, or for want of memory, see `dmesg`; .*\); "
        r"once more is trained: fixed seed=0\.\n",
        capfd.readouterr().err,
    )
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
    assert events[10].message.startswith("its worker process died twice (SIGKILL: ")


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


def test_what_is_sent_to_all_processes_at_once_is_for_the_parent_alone(half_done, gate):
    events = []
    with Processes([half_done], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0.":
                with gate.accept()[0]:
                    gate.close()
                    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
                        os.kill(process_of(0).pid, number)
    assert kinds(events) == "* 0 0 0 0. 1 1 1 1."


@pytest.mark.parametrize(
    ("stop", "what"),
    [
        ([signal.SIGSTOP], "is stopped (`kill -CONT {0}` lets it go on) and has reported nothing"),
        ([], "has neither computed nor reported anything"),
    ],
)
def test_a_worker_that_hangs_is_told_and_goes_on(half_done, gate, monkeypatch, capfd, stop, what):
    """The second run waits at the gate, as for a network that does not answer."""
    for limit in ("STOPPED", "IDLE"):
        monkeypatch.setattr(silence, limit, 1.0)
    events, told = [], ""
    with Processes([half_done], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds([event]) == "0.":
                pid, look = process_of(0).pid, processes._workers[0].look
                with gate.accept()[0]:
                    gate.close()
                    for number in stop:
                        os.kill(pid, number)
                    while not told:
                        time.sleep(0.1)
                        look()
                        told = capfd.readouterr().err
                    os.kill(pid, signal.SIGCONT)
    assert kinds(events) == "* 0 0 0 0. 1 1 1 1."
    assert told.startswith(f"Worker process {pid} {what.format(pid)} since ")
    assert told.endswith(
        f"; for it wait: fixed seed=0, fixed seed=0. "
        f"`kill -KILL {pid}` lets another process train them anew.\n"
    )
    assert capfd.readouterr().err == f"Worker process {pid} goes on.\n"


def test_a_worker_that_is_stopped_is_not_waited_for_at_the_end(half_done, gate):
    with Processes([half_done], 1, 0) as processes:
        next(iter(processes))
        with gate.accept()[0]:
            process = process_of(0)
            os.kill(process.pid, signal.SIGSTOP)
            wait_for_stop(process.pid)
            begin = time.monotonic()
            list(processes.stop())
            assert time.monotonic() - begin < PATIENCE / 2
    assert process.exitcode == -signal.SIGKILL


def test_a_worker_that_is_stopped_while_it_sends_is_told_and_not_waited_for(gated, gate, monkeypatch, capfd):
    """Its epochs of 43 kB fill the pipe, with a part of one at its end: Linux cuts what is above 36 kB."""
    monkeypatch.setattr(silence, "STOPPED", 1.0)
    columns = {
        "_target_": "ratelab.batch_sizes.growing",
        "decay_rate": 0.5,
        "decay_steps": 140000,
        "largest": 2,
    }
    single = {"batch_size": 1, "batch": columns, "validation_size": 10}
    long = stack(*rates(0, epochs=100, **single), *rates(1, model=gated))
    with Processes([long], 1, 0) as processes:
        events = iter(processes)
        assert kinds(itertools.islice(events, 2)) == "* 0"
        worker = process_of(0)
        with gate.accept()[0]:  # all of the first run has been computed
            os.kill(worker.pid, signal.SIGSTOP)
            wait_for_stop(worker.pid)
            monkeypatch.setattr("ratelab.sweeps.processes.say", tell_and_stop)
            with pytest.raises(KeyboardInterrupt):
                list(events)
            begin = time.monotonic()
            assert list(processes.stop()) == []
            assert time.monotonic() - begin < PATIENCE / 2
    assert f"Worker process {worker.pid} is stopped" in capfd.readouterr().err


def tell_and_stop(message):
    """Say what there is to say, then end as a signal does."""
    silence.say(message)
    if message is not None:
        raise KeyboardInterrupt


def wait_for_stop(pid):
    while not silence.is_stopped(pid):
        time.sleep(0.01)


def test_the_fork_server_may_die_while_its_workers_train(half_done, gate):
    """Its workers die with it; what they had is trained once more, from a new server."""
    events = []
    with Processes([half_done, stack(planned_run(2))], 1, 0) as processes:
        for event in processes:
            events.append(event)
            if kinds(events) == "* 0 0 0 0.":
                with gate.accept()[0]:
                    gate.close()
                    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    assert kinds(events) == "* 0 0 0 0. * 0 0 0 0. 1 1 1 1. * 2 2 2 2."


def test_leaving_in_the_middle_ends_the_processes(half_done, gate):
    with contextlib.suppress(KeyError), Processes([half_done], 1, 0) as processes:
        next(iter(processes))
        with gate.accept()[0]:
            process = process_of(0)
            raise KeyError
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


PARENT = """
import multiprocessing, os, signal, sys
from multiprocessing import forkserver
sys.path[:0] = {path!r}
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.stacks import Epoch
from support.stacks import GIB, rates, stack
with Processes([stack(*rates(number, epochs=2000)) for number in (0, 1)], 2, GIB) as processes:
    busy = set()
    for event in processes:
        busy |= {{event.worker}} if isinstance(event, Epoch) else set()
        if len(busy) == 2:
            workers = [process.pid for process in multiprocessing.active_children()]
            os.kill(workers[0], signal.SIGSTOP)
            print(*workers, forkserver._forkserver._forkserver_pid, flush=True)
            sys.stdin.read()
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    """Also one that is stopped, and the server that they were forked from."""
    script = PARENT.format(path=[p for p in sys.path if p])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        workers = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    try:
        assert len(workers) == 3
        for worker in workers:
            assert select.select([worker], [], [], 60)[0] == [worker]  # readable once the process has ended
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(worker, signal.SIGKILL)
            os.close(worker)
