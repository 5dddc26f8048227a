"""The parent's side of the worker processes: who gets what, who begins again, what is left at the end.

The pipes are real, the processes behind them are fakes: each test says itself what a process sends.
"""

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest

from ratelab.sweeps import processes
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.serving import SENT_TO_ALL, serve
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Stack, Started
from support.configs import VALUES, planned_run
from support.fakes import chunk, diverged_chunk
from support.stacks import kinds, rates

GPU = {**VALUES["device"], "kind": "gpu"}
AUTO = {**VALUES["device"], "kind": "auto"}
TWO_THREADS = {**VALUES["device"], "threads": 2}


def stacks_of(*sizes, **changes):
    """Stacks of so many runs, numbered on."""
    numbers = iter(range(100))
    return [Stack(tuple(rates(*(next(numbers) for _ in range(size)), **changes))) for size in sizes]


class FakeContext:
    """Makes pipes and no processes; `ends` are the ends of the pipes that the processes would have."""

    def __init__(self):
        self.ends, self.made, self.masks = [], [], []

    def Pipe(self):  # noqa: N802 - as in multiprocessing
        ours, theirs = multiprocessing.Pipe()
        self.ends.append(theirs)
        return ours, SimpleNamespace(close=lambda: None)  # a real process has a copy of it

    def Process(self, **options):  # noqa: N802 - the same
        process = create_autospec(BaseProcess, instance=True)
        process.exitcode, process.options, process.pid = -9, options, os.getpid()
        process.start.side_effect = lambda: self.masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        self.made.append(process)
        return process

    def send(self, place, *events):
        for event in events:
            self.ends[place].send(event)

    def send_half(self, place, event):
        """Send the first half of what `send` sends; return the rest."""
        ours, theirs = multiprocessing.Pipe()
        with ours, theirs:
            theirs.send(event)
            data = os.read(ours.fileno(), 1_000_000)
        half = len(data) // 2
        os.write(self.ends[place].fileno(), data[:half])
        return data[half:]

    def die(self, place, *events):
        """Let a process end after these events."""
        self.send(place, *events)
        self.ends[place].close()


@pytest.fixture
def context(monkeypatch):
    fake = FakeContext()
    monkeypatch.setattr(processes, "_context_for", lambda _: fake)
    monkeypatch.setattr(processes, "_is_forked", lambda _: False)
    monkeypatch.setattr(processes, "death_of", lambda status, _: {-9: "SIGKILL: want of memory"}[status])
    yield fake
    for end in fake.ends:
        with contextlib.suppress(OSError):
            end.close()


def ended(number):
    return Ended(0, number, {"loss": 0.5, "accuracy": 0.5}, None)


@pytest.fixture
def server(monkeypatch):
    """The fork server, never started: the modules that it would import, and how it was started."""
    fake = create_autospec(processes.forkserver)
    monkeypatch.setattr(processes, "forkserver", fake)
    return fake


def test_a_process_is_forked_from_a_server_that_has_imported_tensorflow(server):
    found = processes._context_for(stacks_of(1)[0])
    assert found.get_start_method() == "forkserver"
    server.set_forkserver_preload.assert_called_once_with(["ratelab.sweeps.preload"])
    server.ensure_running.assert_called_once_with()


def test_processes_are_forked_only_when_the_server_may_have_imported(context, server, monkeypatch):
    monkeypatch.setattr(processes, "_is_forked", lambda _: True)
    with Processes(stacks_of(1, 1), 2, 1000) as started:
        server.ensure_running.assert_called_once_with()
        assert context.made == []
        assert isinstance(next(iter(started)), Started)
        assert len(context.made) == 2


@pytest.mark.parametrize(
    ("run", "has_driver", "method"),
    [
        (planned_run(0, environment=(("A", "1"),)), False, "spawn"),
        (planned_run(0, device=GPU), False, "spawn"),
        (planned_run(0, device=AUTO), True, "spawn"),
        (planned_run(0, device=AUTO), False, "forkserver"),
        (planned_run(0), True, "forkserver"),
    ],
)
def test_a_process_begins_anew_for_a_gpu_and_for_variables_of_its_own(
    monkeypatch, server, run, has_driver, method
):
    monkeypatch.setattr(
        processes, "may_be_gpu", lambda device: device.kind == "gpu" or (device.kind == "auto" and has_driver)
    )
    assert processes._context_for(Stack((run,))).get_start_method() == method


def test_each_worker_begins_with_a_stack_of_its_own_and_its_part_of_the_memory(context):
    first, second, third = stacks_of(2, 1, 1)
    with Processes([first, second, third], 2, 1000):
        assert [end.recv() for end in context.ends] == [first, second]
        for number, process in enumerate(context.made):
            assert process.options["target"] is serve
            assert process.options["args"][1:] == (number, 500)
            assert process.options["name"] == f"ratelab worker {number}"
            process.start.assert_called_once()
    for process in context.made:
        process.kill.assert_called_once()
        process.join.assert_called_once()


def test_signals_of_the_terminal_are_blocked_only_while_a_process_starts(context):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with Processes(stacks_of(1), 1, 0):
        assert context.masks[0] >= set(SENT_TO_ALL)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_events_come_as_they_are_sent_until_every_stack_is_done(context):
    with Processes(stacks_of(2, 1), 1, 0) as workers:
        context.send(0, Epoch(0, 0, chunk(), (0, 1, 2)), ended(0), ended(1), None, ended(2), None)
        assert kinds(workers) == "* 0 0. 1. * 2."
    assert len(context.made) == 1  # one process for both


def test_a_stack_for_another_device_gets_another_process(context):
    others = [Stack((planned_run(1, device=TWO_THREADS),))]
    with Processes(stacks_of(1) + others, 1, 0) as workers:
        context.send(0, ended(0), None)
        events = iter(workers)
        assert kinds([next(events), next(events), next(events)]) == "* 0. *"
        context.made[0].kill.assert_called_once()
        context.send(1, ended(1), None)
        assert kinds(events) == "1."
    assert len(context.made) == 2


def train_with_a_death(context):
    """Train two stacks; the only process dies when it has ended the first of their runs."""
    with Processes(stacks_of(2), 1, 0) as workers:
        context.die(0, Epoch(0, 0, chunk(), (0, 1, 2)), ended(0))
        events = iter(workers)
        assert kinds([next(events) for _ in range(4)]) == "* 0 0. *"
        context.send(1, ended(1), None)
        assert kinds(events) == "1."


def test_a_stack_whose_process_died_is_trained_once_more_in_a_new_one(context):
    train_with_a_death(context)
    assert len(context.made) == 2
    context.made[0].kill.assert_called_once()


def test_after_the_second_time_those_that_have_not_ended_are_broken(context):
    with Processes(stacks_of(4, 1), 1, 0) as workers:
        context.die(0, ended(0), Epoch(0, 1, diverged_chunk(), (0, 1, 2)), Epoch(0, 2, chunk(), (0, 1, 2)))
        events = iter(workers)
        assert kinds([next(events) for _ in range(5)]) == "* 0. 1 2 *"
        context.die(1, Broke(0, 3, "no memory left", ""))
        assert next(events) == Broke(0, 3, "no memory left", "")
        assert next(events) == Broke(0, 2, "its worker process died twice (SIGKILL: want of memory)", "")
        assert isinstance(next(events), Started)
        context.send(2, ended(4), None)
        assert kinds(events) == "4."


def test_a_worker_without_a_stack_has_no_process(context):
    with Processes(stacks_of(1), 3, 0) as workers:
        assert len(context.made) == 1
        context.send(0, ended(0), None)
        assert kinds(workers) == "* 0."
        context.made[0].kill.assert_called_once()


def test_when_stopped_each_process_sends_what_it_has_and_no_stack_begins(context):
    with Processes(stacks_of(1, 1, 1), 2, 0) as workers:
        context.die(0, Epoch(0, 0, chunk(), (0, 1, 2)), ended(0))
        context.die(1, Epoch(1, 1, chunk(), (0, 1, 2)), None)
        assert kinds(workers.stop()) == "0 0. 1"
        assert kinds(workers) == ""


def test_a_process_that_is_told_to_stop_hears_none_after_its_stack(context, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.0)
    monkeypatch.setattr(processes, "LOOK_AROUND", 0.01)
    [first] = stacks_of(1)
    with Processes([first], 1, 0) as workers:
        assert list(workers.stop()) == []
        assert [context.ends[0].recv(), context.ends[0].recv()] == [first, None]


def test_a_process_that_does_not_answer_is_not_waited_for(context, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.05)
    monkeypatch.setattr(processes, "LOOK_AROUND", 0.01)
    with Processes(stacks_of(1), 1, 0) as workers:
        context.send(0, Epoch(0, 0, chunk(), (0, 1, 2)))
        assert kinds(workers.stop()) == "0"
    context.made[0].kill.assert_called_once()


def test_a_signal_is_raised_between_two_looks_although_nothing_comes(context, monkeypatch):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(processes, "raise_if_told_to_stop", look)
    monkeypatch.setattr(processes, "LOOK_AROUND", 0.01)
    with pytest.raises(KeyboardInterrupt), Processes(stacks_of(1), 1, 0) as workers:
        list(workers)
    context.made[0].kill.assert_called_once()


def test_a_message_that_comes_in_two_halves_does_not_keep_who_looks(context, monkeypatch):
    """As of a worker that is stopped in the middle of sending: it is watched meanwhile."""
    monkeypatch.setattr(processes, "LOOK_AROUND", 0.01)
    with Processes(stacks_of(1), 1, 0) as workers:
        rest = context.send_half(0, ended(0))
        looks = []

        def look(watch):
            looks.append(1)
            if len(looks) == 3:
                os.write(context.ends[0].fileno(), rest)
                context.send(0, None)

        monkeypatch.setattr(processes.Watch, "look", look)
        assert kinds(workers) == "* 0."
    assert len(looks) >= 3


@pytest.mark.parametrize("is_stopped", [True, False])
def test_half_a_message_is_not_waited_for_at_the_end(context, monkeypatch, is_stopped):
    """What came whole before it is taken; a process that is not stopped has its seconds to send the rest."""
    monkeypatch.setattr(processes, "PATIENCE", 60.0 if is_stopped else 0.05)
    monkeypatch.setattr(processes, "LOOK_AROUND", 0.01)
    monkeypatch.setattr(processes, "is_stopped", lambda _: is_stopped)
    with Processes(stacks_of(1), 1, 0) as workers:
        context.send(0, Epoch(0, 0, chunk(), (0, 1, 2)))
        context.send_half(0, ended(0))
        assert kinds(workers.stop()) == "0"


def test_a_death_is_told_with_the_runs_that_are_trained_once_more(context, capsys):
    train_with_a_death(context)
    assert capsys.readouterr().err == (
        f"Worker process {os.getpid()} died (SIGKILL: want of memory); once more is trained: fixed seed=0.\n"
    )


def test_what_hangs_is_told(context, monkeypatch, capsys):
    monkeypatch.setattr(processes, "LOOK_AROUND", 0.01)
    monkeypatch.setattr(processes.Watch, "look", lambda watch: context.send(0, ended(0), None) or "It hangs.")
    monkeypatch.setattr(processes.Watch, "hear", lambda watch: "It goes on.")
    with Processes(stacks_of(1), 1, 0) as workers:
        assert kinds(workers) == "* 0."
    assert capsys.readouterr().err == "It hangs.\nIt goes on.\n"
