"""Worker processes on this machine: each trains one stack at a time, none is missed when it dies."""

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from ratelab.sweeps.process import TERMINAL_SIGNALS, serve
from ratelab.sweeps.stacks import Broke, Ended, Epoch, Event, Stack, Started

TRIES = 2
LOOK_AROUND = 0.5  # seconds between two looks for a signal
PATIENCE = 5.0  # seconds for a process to end, or to send what it has

__all__ = ["Processes"]


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
        for worker in self._workers:  # they import while this process does other things
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
            if worker.stack is not None:
                yield Started(worker.number, worker.stack)
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
        if worker.tries < TRIES:
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
            self._start(stack.process)
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

    def _start(self, kind: object) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, self.number, self._memory), name=f"ratelab worker {self.number}"
        )
        before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._kind = kind
