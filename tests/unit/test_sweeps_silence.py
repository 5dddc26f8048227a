"""What is said of a worker that is silent: the clock and the process are fakes."""

import os
import signal
from types import SimpleNamespace

import pytest

from ratelab.sweeps import silence
from ratelab.sweeps.silence import BUSY, IDLE, STOPPED, Watch, count_of_oom_kills, death_of, is_stopped

PID = 4321
LOOK = 0.5


class Worker:
    """A process that computes as much of the time as `share` says; `watched` lets time pass."""

    def __init__(self, monkeypatch):
        self.now, self.cpu, self.share, self.is_stopped = 100.0, 7.0, 1.0, False
        monkeypatch.setattr(silence, "time", self)
        monkeypatch.setattr(silence, "_cpu_seconds", lambda pid: self.cpu)
        monkeypatch.setattr(silence, "is_stopped", lambda pid: self.is_stopped)
        self.watch = Watch(PID, ["fixed seed=0", "cosine seed=0"])

    def monotonic(self):
        return self.now

    def localtime(self):
        return self.now

    def strftime(self, form, moment):
        return f"second {moment:.0f}"

    def watched(self, seconds):
        """All that is said in these seconds."""
        said = []
        for _ in range(int(seconds / LOOK)):
            self.now += LOOK
            self.cpu += LOOK * self.share
            said.append(self.watch.look())
        return [one for one in said if one is not None]


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


def test_a_stopped_worker_is_told_once_with_what_to_do(worker):
    worker.share, worker.is_stopped = 0.0, True
    assert worker.watched(STOPPED - 1) == []
    assert worker.watched(1000) == [
        "Worker process 4321 is stopped (`kill -CONT 4321` lets it go on) and has reported nothing since "
        "second 100; for it wait: fixed seed=0, cosine seed=0. "
        "`kill -KILL 4321` lets another process train them anew."
    ]


def test_a_worker_that_does_nothing_is_told_later(worker):
    worker.share = 0.01
    assert worker.watched(IDLE - 1) == []
    [said] = worker.watched(2)
    assert said.startswith(
        "Worker process 4321 has neither computed nor reported anything since second 100; "
    )


def test_a_worker_that_computes_has_time_for_its_epoch(worker):
    assert worker.watched(BUSY - 1) == []
    [said] = worker.watched(2)
    assert " computes and has not reported the end of an epoch since second 100; " in said


def test_a_worker_that_computed_in_between_was_not_idle_all_the_time(worker):
    worker.share = 0.0
    assert worker.watched(IDLE - 1) == []
    worker.share = 1.0
    assert worker.watched(1) == []
    worker.share = 0.0
    assert worker.watched(IDLE - 1) == []


def test_what_it_reports_ends_the_silence_and_is_told_if_that_was(worker):
    assert worker.watch.hear() is None
    worker.share, worker.is_stopped = 0.0, True
    assert len(worker.watched(STOPPED)) == 1
    worker.is_stopped = False
    assert worker.watch.hear() == "Worker process 4321 goes on."
    assert worker.watch.hear() is None
    worker.is_stopped = True
    [said] = worker.watched(STOPPED + 1)
    assert " since second 110; " in said


def test_time_in_which_this_program_itself_did_not_run_is_no_silence(worker):
    """As after Ctrl-Z and `fg`, which stop and wake all processes together."""
    worker.share, worker.is_stopped = 0.0, True
    for _ in range(3):
        worker.now += 3600.0
        assert worker.watch.look() is None


def test_looks_that_come_thick_and_fast_do_not_ask_the_system(worker):
    worker.share = 0.0
    assert worker.watched(IDLE - 1) == []
    for _ in range(1000):
        worker.now += 0.001
        worker.cpu += 0.001
        worker.watch.look()
    assert worker.watched(IDLE - 1) == []  # the second in which it computed was seen, in four looks


def test_a_process_that_is_gone_is_not_stopped_and_has_computed_nothing():
    assert not is_stopped(2**22 + 1)
    assert silence._cpu_seconds(2**22 + 1) == 0.0
    assert not is_stopped(os.getpid())
    assert silence._cpu_seconds(os.getpid()) > 0.0


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (3, 3, "SIGKILL: by hand, or for want of memory, see `dmesg`; "),
        (3, 4, "SIGKILL: the system had no memory left; "),
    ],
)
def test_a_worker_that_was_killed_may_have_been_so_for_want_of_memory(monkeypatch, before, now, said):
    monkeypatch.setattr(silence, "count_of_oom_kills", lambda: now)
    assert death_of(-signal.SIGKILL, before) == (
        said + "hydra.launcher.workers=1 takes less, or a smaller hydra.launcher.largest_stack"
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [("oom_kill_disable 5\noom_kill 12\nother 3\n", 12), ("other 3\n", 0)],
)
def test_the_system_says_how_many_it_has_killed(monkeypatch, text, count):
    monkeypatch.setattr(silence, "Path", lambda name: SimpleNamespace(read_text=lambda: text))
    assert count_of_oom_kills() == count
