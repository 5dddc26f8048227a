"""Worker processes on this machine: each trains one stack at a time, none is missed when it dies."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType
from typing import Self

from ratelab.runtime.devices import may_be_gpu
from ratelab.runtime.signals import held_back, raise_if_told_to_stop
from ratelab.sweeps.serving import SENT_TO_ALL, serve
from ratelab.sweeps.silence import Watch, count_of_oom_kills, death_of, is_stopped, say
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Event, Stack, Started

TRIES = 2  # of a stack: the first death may be an accident of the machine, the second is the stack's
LOOK_AROUND = 0.5  # seconds between two looks for a signal
PATIENCE = 5.0  # seconds for a process to end, or to send what it has


class Processes:
    """Trains stacks in processes of this machine; use it as a context manager, iterate for the events.

    A stack whose process dies is trained once more from its beginning, in a new process: its events come
    again, and those of the same epoch are equal. After the second time its runs are broken.

    Args:
        stacks: in the order in which they shall begin.
        workers: processes at a time.
        memory: bytes that the runs of all workers together may take.
    """

    def __init__(self, stacks: Sequence[Stack], workers: int, memory: int) -> None:
        self._waiting = deque((stack, 1, set(stack.numbers)) for stack in stacks)
        # A worker that is stopped in the middle of a long message keeps whoever reads it: a thread, not us.
        self._readers = ThreadPoolExecutor(workers, "reader")
        self._workers = [_Worker(number, memory // workers, self._readers) for number in range(workers)]

    def __enter__(self) -> Self:
        """Begin to import TensorFlow, in the fork server or in the processes, while the caller goes on."""
        for worker in self._workers:
            if self._waiting and _is_forked(self._waiting[0][0]):
                _start_server()  # a process forked from it would be waited for until it has imported all
                break
            self._give(worker)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with held_back():
            for worker in self._workers:
                worker.stop()
            self._readers.shutdown()

    def __iter__(self) -> Iterator[Event]:
        """Yield what happens, until every stack is done."""
        for worker in self._workers:
            if worker.stack is None:
                self._give(worker)
        begun = [(worker.number, worker.stack) for worker in self._workers if worker.stack is not None]
        for number, stack in begun:
            yield Started(number, stack)
        while busy := [worker for worker in self._workers if worker.stack is not None]:
            raise_if_told_to_stop()
            messages = [worker.next_message() for worker in busy]
            ready, _ = wait(messages, LOOK_AROUND, FIRST_COMPLETED)
            for worker, message in zip(busy, messages, strict=True):
                if message in ready:
                    yield from self._receive(worker)
                else:
                    worker.look()

    def stop(self) -> Iterator[Event]:
        """Stop training; yield what has been computed and not been taken."""
        end = time.monotonic() + PATIENCE
        busy = [worker for worker in self._workers if worker.stack is not None]
        self._waiting.clear()
        for worker in busy:
            worker.stack = None
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
        for worker in busy:
            with contextlib.suppress(EOFError, OSError):
                while worker.await_message(end):
                    if (event := worker.take()) is not None:
                        yield event

    def _receive(self, worker: "_Worker") -> Iterator[Event]:
        try:
            event = worker.take()
        except (EOFError, OSError):
            yield from self._bury(worker)
        else:
            if event is not None:
                worker.note(event)
                yield event
                return
            worker.stack = None
        if stack := self._give(worker):
            yield Started(worker.number, stack)

    def _give(self, worker: "_Worker") -> Stack | None:
        """Let a worker begin with the next stack and return it, if there is one."""
        if not self._waiting:
            worker.stop()
            return None
        stack, tries, left = self._waiting.popleft()
        worker.begin(stack, tries, left)
        return stack

    def _bury(self, worker: "_Worker") -> Iterator[Event]:
        """Let the stack of a dead process be trained again, or report its runs as broken."""
        stack, pid, death = worker.stack, worker.pid, worker.death()
        worker.stack = None
        assert stack is not None  # noqa: S101 - it was busy
        if worker.left and worker.tries < TRIES:
            # In front of the queue: the runs that it has begun are open in the store.
            self._waiting.appendleft((stack, worker.tries + 1, worker.left))
            names = ", ".join(run.name for run in stack.runs if run.number in worker.left)
            say(f"Worker process {pid} died ({death}); once more is trained: {names}.")
            return
        message = f"its worker process died twice ({death})"
        yield from (
            Broke(worker.number, number, message, "") for number in stack.numbers if number in worker.left
        )


class _Worker:
    """One process, replaced when it died or when the next stack needs another device or environment."""

    def __init__(self, number: int, memory: int, readers: ThreadPoolExecutor) -> None:
        self.number, self._memory, self._readers = number, memory, readers
        self.stack: Stack | None = None
        self.tries = 0
        self.left: set[int] = set()
        self.pipe: Connection[Stack | None, Event | None]
        self._message: Future[Event | None] | None = None
        self._process: BaseProcess | None = None
        self._kind: object = None
        self._watch: Watch | None = None
        self._oom_kills = count_of_oom_kills()

    @property
    def pid(self) -> int:
        """The id of its process, which has begun."""
        assert self._process is not None  # noqa: S101 - the caller knows
        assert self._process.pid is not None  # noqa: S101 - it was started
        return self._process.pid

    def begin(self, stack: Stack, tries: int, left: set[int]) -> None:
        if self._process is None or self._kind != stack.process:
            self.stop()
            self._start(stack)
        self.stack, self.tries, self.left = stack, tries, left
        self._watch = Watch(self.pid, [run.name for run in stack.runs])
        with contextlib.suppress(OSError):  # a process that died shows at the next look
            self.pipe.send(stack)

    def look(self) -> None:
        """Say what there is to say about its silence."""
        assert self._watch is not None  # noqa: S101 - it is busy
        say(self._watch.look())

    def next_message(self) -> "Future[Event | None]":
        """Return what is done when its next message has come whole, or will not come: EOFError, OSError."""
        if self._message is None:
            self._message = self._readers.submit(self.pipe.recv)
        return self._message

    def await_message(self, end: float) -> bool:
        """Wait until its next message has come; say False when none will by `end`, or while it is stopped."""
        message = self.next_message()
        while not wait([message], LOOK_AROUND).done:
            if time.monotonic() > end or is_stopped(self.pid):
                return False
        return True

    def take(self) -> Event | None:
        """Return the message that has come, or raise why none will."""
        message, self._message = self.next_message(), None
        return message.result()

    def note(self, event: Event) -> None:
        """Take note of what it has sent."""
        assert self._watch is not None  # noqa: S101 - it is busy
        say(self._watch.hear())
        ended = isinstance(event, Ended | Broke)
        if ended or (isinstance(event, Epoch) and event.chunk.diverged_step is not None):
            self.left.discard(event.number)  # type: ignore[union-attr] # never Started

    def death(self) -> str:
        """Wait for the end of a process that closed its pipe; say how it ended."""
        assert self._process is not None  # noqa: S101 - it had a stack
        self._process.join(PATIENCE)
        status = self._process.exitcode
        self.stop()
        return death_of(status, self._oom_kills)

    def stop(self) -> None:
        """End the process at once; nothing that counts is in it."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
            self._end_reading()
            self.pipe.close()

    def _end_reading(self) -> None:
        """Let the thread that reads, if there is one, come to the end, also in the middle of a message."""
        # A process that the user's code has forked may hold the other end, and outlive the worker.
        with socket.socket(fileno=os.dup(self.pipe.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)
        if self._message is not None:
            wait([self._message])
            self._message = None

    def _start(self, stack: Stack) -> None:
        context = _context_for(stack)
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, self.number, self._memory), name=f"ratelab worker {self.number}"
        )
        with _block_signals(), _hide_main():
            self._process.start()
        theirs.close()
        self._kind = stack.process


def _is_forked(stack: Stack) -> bool:
    """Say whether the process of a stack is forked from the server that has imported TensorFlow.

    The server imports it once for all workers, which share the memory of the import. What it has imported has
    read the environment already, so a run with variables of its own begins anew; so does one on a GPU, whose
    driver may not survive a fork.
    """
    first = stack.runs[0]
    return not first.environment and not may_be_gpu(first.config.device)


def _context_for(stack: Stack) -> ForkServerContext | SpawnContext:
    """Return how the process of a stack begins; the fork server runs where it is needed."""
    if not _is_forked(stack):
        return multiprocessing.get_context("spawn")
    _start_server()
    return multiprocessing.get_context("forkserver")


def _start_server() -> None:
    """Start the fork server if it does not run; return at once, while it imports."""
    forkserver.set_forkserver_preload(["ratelab.sweeps.preload"])
    with _block_signals():
        forkserver.ensure_running()


@contextlib.contextmanager
def _hide_main() -> Iterator[None]:
    """Let processes that are started in the block not run the file of the program, as Python has them do.

    That file may be a script that starts a sweep, again and again. What runs need of it travels with them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _block_signals() -> Iterator[None]:
    """Let processes that are started in the block begin with the terminal's signals blocked."""
    resource_tracker.ensure_running()  # started in the block it would unblock SIGINT and SIGTERM
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SENT_TO_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
