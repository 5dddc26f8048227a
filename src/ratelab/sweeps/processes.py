"""Worker processes on this machine: each trains one stack at a time, none is missed when it dies."""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from ratelab.runtime.devices import may_be_gpu
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Event, Stack, Started

TRIES = 2  # of a stack: the first death may be an accident of the machine, the second is the stack's
LOOK_AROUND = 0.5  # seconds between two looks for a signal
PATIENCE = 5.0  # seconds for a process to end, or to send what it has
EVENTS_AHEAD = 2000  # that the program may lag behind: memory for about 9 kB each
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)  # blocked by the parent until `serve` ignores them

__all__ = ["Processes", "serve"]


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
        self._workers = [_Worker(number, memory // workers) for number in range(workers)]

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
        for worker in self._workers:
            worker.stop()

    def __iter__(self) -> Iterator[Event]:
        """Yield what happens, until every stack is done."""
        for worker in self._workers:
            if worker.stack is None:
                self._give(worker)
        begun = [(worker.number, worker.stack) for worker in self._workers if worker.stack is not None]
        for number, stack in begun:
            yield Started(number, stack)
        while busy := [worker for worker in self._workers if worker.stack is not None]:
            ready = connection.wait([worker.pipe for worker in busy], LOOK_AROUND)
            for worker in busy:
                if worker.pipe in ready:
                    yield from self._receive(worker)

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
                while worker.pipe.poll(max(0.0, end - time.monotonic())):
                    if (event := worker.pipe.recv()) is not None:
                        yield event

    def _receive(self, worker: "_Worker") -> Iterator[Event]:
        try:
            event = worker.pipe.recv()
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
        stack, status = worker.stack, worker.status()
        worker.stack = None
        assert stack is not None  # noqa: S101 - it was busy
        if worker.left and worker.tries < TRIES:
            # In front of the queue: the runs that it has begun are open in the store.
            self._waiting.appendleft((stack, worker.tries + 1, worker.left))
            return
        message = f"its worker process died twice (exit status {status})"
        yield from (
            Broke(worker.number, number, message, "") for number in stack.numbers if number in worker.left
        )


class _Worker:
    """One process, replaced when it died or when the next stack needs another device or environment."""

    def __init__(self, number: int, memory: int) -> None:
        self.number, self._memory = number, memory
        self.stack: Stack | None = None
        self.tries = 0
        self.left: set[int] = set()
        self.pipe: Connection[Stack | None, Event | None]
        self._process: BaseProcess | None = None
        self._kind: object = None

    def begin(self, stack: Stack, tries: int, left: set[int]) -> None:
        if self._process is None or self._kind != stack.process:
            self.stop()
            self._start(stack)
        self.stack, self.tries, self.left = stack, tries, left
        with contextlib.suppress(OSError):  # a process that died shows at the next look
            self.pipe.send(stack)

    def note(self, event: Event) -> None:
        ended = isinstance(event, Ended | Broke)
        if ended or (isinstance(event, Epoch) and event.chunk.diverged_step is not None):
            self.left.discard(event.number)  # type: ignore[union-attr] # never Started

    def status(self) -> int | None:
        """Wait for the end of a process that closed its pipe; return its exit status."""
        assert self._process is not None  # noqa: S101 - it had a stack
        self._process.join(PATIENCE)
        status = self._process.exitcode
        self.stop()
        return status

    def stop(self) -> None:
        """End the process at once; nothing that counts is in it."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
            self.pipe.close()

    def _start(self, stack: Stack) -> None:
        context = _context_for(stack)
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, self.number, self._memory), name=f"ratelab worker {self.number}"
        )
        with _blocked_signals():
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
    with _blocked_signals():
        forkserver.ensure_running()


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Let processes that are started in the block begin with the terminal's signals blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(pipe: "Connection[Event | None, Stack | None]", worker: int, memory: int) -> None:
    """Train every stack that comes.

    When None comes, what has been computed is sent and the process ends, in the middle of an epoch if need
    be; also when the parent dies, which closes the pipe. A terminal's Ctrl-C is for the parent alone.
    """
    for number in TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)
    stacks: queue.Queue[Stack] = queue.Queue()
    outbox = _Outbox(pipe)
    for work in (lambda: _receive(pipe, stacks, outbox), outbox.send_all):
        threading.Thread(target=work, daemon=True).start()
    from ratelab.sweeps.worker import StackTrainer  # which a spawned process imports only now

    trainer = StackTrainer(worker, memory)
    while True:
        stack = stacks.get()
        os.environ.update(stack.runs[0].environment)
        for event in trainer.train(stack):
            outbox.put(event)
        outbox.put(None)


class _Outbox:
    """Sends from a thread, so that training does not wait while the parent is busy."""

    def __init__(self, pipe: "Connection[Event | None, Stack | None]") -> None:
        self._pipe, self._closed = pipe, threading.Event()
        self._events: queue.Queue[Event | None] = queue.Queue(EVENTS_AHEAD)

    def put(self, event: Event | None) -> None:
        """Hand over an event; those that come after the closing are dropped."""
        if not self._closed.is_set():
            self._events.put(event)

    def send_all(self) -> None:
        """Send what comes, for ever."""
        try:
            while True:
                self._pipe.send(self._events.get())
                self._events.task_done()
        finally:  # nobody listens, or it cannot be sent: the parent sees the end of this process
            os._exit(1)

    def close(self) -> None:
        """Return when all has been sent."""
        self._closed.set()
        self._events.join()


def _receive(
    pipe: "Connection[Event | None, Stack | None]", stacks: "queue.Queue[Stack]", outbox: _Outbox
) -> None:
    try:
        while (stack := pipe.recv()) is not None:
            stacks.put(stack)
        outbox.close()
    finally:
        os._exit(0)
