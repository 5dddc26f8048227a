"""Workers on a Ray cluster: a task for each stack, begun again elsewhere when its machine is lost."""

import contextlib
import hashlib
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from ratelab.runs.planned import PlannedRun
from ratelab.runtime.signals import raise_if_told_to_stop
from ratelab.sweeps.resources import GIB, PROCESS, Resources
from ratelab.sweeps.stacks import Broke, Event, Stack, Started, seen_as
from ratelab.validation import UserError

LOOK_EVERY = 5.0  # seconds between two looks for machines that hang
PATIENCE = 5.0  # seconds for a connection
SECONDS_AN_ITEM = 0.5  # of training: each item that Ray carries costs about a millisecond


class RayResources(Resources):
    """The options of the launcher `ray`.

    Attributes:
        address: host:port of the cluster; None starts one on this machine.
        cpus: cores that a stack occupies; None: the threads of its device.
        gpus: GPUs that a stack occupies, may be a fraction.
        retries: how often a stack begins again after its machine or its process was lost.
    """

    address: str | None = None
    cpus: float | None = Field(None, gt=0, allow_inf_nan=False)
    gpus: float = Field(0.0, ge=0, allow_inf_nan=False)
    retries: int = Field(3, ge=0)

    def start(self, stacks: Sequence[Stack]) -> "RayTasks":
        """Return the tasks; the cluster is connected when their context is entered.

        Raises:
            UserError: if Ray is not installed.
        """
        try:
            import ray  # noqa: F401 - is it there?
        except ImportError:
            raise UserError("hydra/launcher=ray needs Ray; install it with: pip install '.[ray]'") from None
        return RayTasks(stacks, self)

    def count_workers(self, runs: Sequence[PlannedRun]) -> int:  # noqa: ARG002 - the cluster is not known yet
        """Return `workers`: how many stacks there should be at least."""
        return self.workers or 1


class RayTasks:
    """Trains stacks as Ray tasks; used as `Processes` is.

    Ray repeats nothing by itself: a stack whose process or machine is lost is begun again by this program,
    and its events come again. A machine that hangs is noticed when Ray gives it up.

    Args:
        stacks: what to train.
        resources: the options.
    """

    def __init__(self, stacks: Sequence[Stack], resources: RayResources) -> None:
        self._stacks, self._resources = stacks, resources
        self._running: dict[Any, int] = {}  # generator of a task -> place of its stack
        self._nodes: dict[Any, str] = {}
        self._tries: Counter[int] = Counter()
        self._workers: dict[str, int] = {}
        self._context = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._context.enter_context(_connect(self._resources.address))
        for place in range(len(self._stacks)):
            self._begin(place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        for generator in self._running:
            ray.cancel(generator)
        self._context.close()

    def __iter__(self) -> Iterator[Event]:
        """Yield what happens, until every stack is done."""
        import ray

        looked = time.monotonic()
        while self._running:
            raise_if_told_to_stop()
            with _own_signals():
                ready, _ = ray.wait(list(self._running), num_returns=1, timeout=1.0)
            for generator in ready:
                yield from self._take(generator)
            if time.monotonic() - looked > LOOK_EVERY:
                looked = time.monotonic()
                yield from self._leave_dead_nodes()

    def stop(self) -> Iterator[Event]:
        """Stop training; yield what has arrived and not been taken."""
        import ray

        while ready := ray.wait(list(self._running), num_returns=1, timeout=0)[0] if self._running else []:
            yield from self._take(ready[0])

    def _begin(self, place: int) -> None:
        import ray

        stack, resources = self._stacks[place], self._resources
        device = stack.runs[0].config.device
        options = {
            "num_cpus": resources.cpus or device.threads,
            "num_gpus": resources.gpus,
            "max_retries": 0,  # Ray would repeat in silence, and not notice a machine that hangs
            "runtime_env": {"env_vars": _environment(stack)},
        }
        memory = int(resources.memory * GIB) - PROCESS if resources.memory else GIB
        self._tries[place] += 1
        self._running[ray.remote(**options)(_train).remote(stack, memory)] = place

    def _take(self, generator: Any) -> Iterator[Event]:
        import ray

        try:
            with _own_signals():
                item = ray.get(next(generator))
        except StopIteration:
            del self._running[generator]
        except ray.exceptions.RayError as error:
            yield from self._again(generator, str(error).partition("\n")[0] or type(error).__name__)
        else:
            worker = self._workers.setdefault(item[0], len(self._workers))
            if generator not in self._nodes:
                self._nodes[generator] = item[1]
                yield Started(worker, self._stacks[self._running[generator]])
            yield from (seen_as(event, worker) for event in item[2])

    def _again(self, generator: Any, reason: str) -> Iterator[Event]:
        """Begin with a lost stack again, or report its runs as broken."""
        place = self._running.pop(generator)
        if self._tries[place] <= self._resources.retries:
            self._begin(place)
            return
        message = f"lost {self._tries[place]} times on the cluster, the last time: {reason}"
        yield from (Broke(0, number, message, "") for number in self._stacks[place].numbers)

    def _leave_dead_nodes(self) -> Iterator[Event]:
        import ray

        dead = {node["NodeID"] for node in ray.nodes() if not node["Alive"]}
        for generator in [g for g in self._running if self._nodes.get(g) in dead]:
            yield from self._again(generator, "its machine does not answer")


def _train(stack: Stack, memory: int) -> Iterator[tuple[str, str, list[Event]]]:
    """Be the task: yield the worker, its node and what happened, about twice a second."""
    import ray

    from ratelab.sweeps.worker import trainer_of_process

    context = ray.get_runtime_context()
    place = context.get_worker_id(), context.get_node_id()
    yield (*place, [])
    events: list[Event] = []
    sent = time.monotonic()
    for event in trainer_of_process(memory).train(stack):
        events.append(event)
        if time.monotonic() - sent > SECONDS_AN_ITEM:
            yield (*place, events)
            events, sent = [], time.monotonic()
    yield (*place, events)


def _environment(stack: Stack) -> dict[str, str]:
    """Return the variables of the task; tasks whose variables differ get processes of their own."""
    source = str(Path(__file__).parents[2])
    paths = [source, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = hashlib.sha256(repr(stack.process).encode()).hexdigest()[:16]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, dict.fromkeys(paths))), "RATELAB_PROCESS": process}
    return dict(stack.runs[0].environment) | own


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Raise `Terminated` for a signal: Ray makes a bare KeyboardInterrupt of it while it waits."""
    try:
        yield
    except KeyboardInterrupt:
        raise_if_told_to_stop()
        raise


@contextlib.contextmanager
def _connect(address: str | None) -> Iterator[None]:
    """Connect to the cluster at host:port, or start one on this machine; quietly.

    Raises:
        UserError: if nothing answers there, or asks for a token that this program does not give.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    import ray

    if address is not None:
        _check_address(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _join(address)
        signal.signal(signal.SIGTERM, handler)  # ray.init sets its own
        yield
    finally:
        ray.shutdown()


def _join(address: str | None) -> None:
    import ray

    options = {} if address else {"include_dashboard": False}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, ray.exceptions.RayError) as error:
        said = str(error).partition(". ")[0]
        raise UserError(
            f"hydra.launcher.address: {said}. If the cluster asks for a token, have a copy of its first "
            "machine's ~/.ray/auth_token here, and set RAY_AUTH_MODE=token."
        ) from error


def _check_address(address: str) -> None:
    """Raise UserError unless something listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"hydra.launcher.address must be host:port of a Ray cluster, got {address!r} ({error}); "
            "start one with: ray start --head"
        ) from None
