"""The side of the worker: a process that trains every stack that comes through its pipe."""

import os
import queue
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from ratelab.runtime.outlets import outlive_readers
from ratelab.runtime.parents import die_with_parent
from ratelab.runtime.signals import STOPS
from ratelab.sweeps.stacks import Event, Stack

EVENTS_AHEAD = 2000  # that the program may lag behind: memory for about 9 kB each
# Sent to all processes at once by a terminal, `timeout` or a service manager, and meant for the parent alone,
# which blocks them until `serve` ignores them. A limit on CPU time is of each process.
SENT_TO_ALL = tuple(number for number in STOPS if number != signal.SIGXCPU)


def serve(pipe: "Connection[Event | None, Stack | None]", worker: int, memory: int) -> None:
    """Train every stack that comes.

    When None comes, what has been computed is sent and the process ends, in the middle of an epoch if need
    be; also when the parent dies, which closes the pipe. A terminal's Ctrl-C is for the parent alone.
    """
    die_with_parent()
    outlive_readers()
    for number in SENT_TO_ALL:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SENT_TO_ALL)
    stacks: queue.Queue[Stack] = queue.Queue()
    outbox = _Outbox(pipe)
    for work in (lambda: _receive(pipe, stacks, outbox), outbox.send_all):
        threading.Thread(target=work, daemon=True).start()
    from ratelab.sweeps.worker import StackTrainer  # which a spawned process imports only now

    trainer = StackTrainer(worker, memory)
    outbox.save = trainer.save
    while True:
        stack = stacks.get()
        os.environ.update(stack.runs[0].environment)
        for event in trainer.train(stack):
            outbox.put(event)
        outbox.put(None)


class _Outbox:
    """Sends from a thread, so that training does not wait while the parent is busy.

    Attributes:
        save: what is asked for the last event.
    """

    def __init__(self, pipe: "Connection[Event | None, Stack | None]") -> None:
        self._pipe, self._closed = pipe, threading.Event()
        self._events: queue.Queue[Event | None] = queue.Queue(EVENTS_AHEAD)
        self.save: Callable[[], Event | None] = lambda: None

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
        """Return when all has been sent, and at last what the runs in training need to go on."""
        self._closed.set()
        if (saved := self.save()) is not None:
            self._events.put(saved)
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
