"""How many workers there are and how much each takes on, from cores and memory, before they start."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Protocol, Self

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratelab.runs.planned import PlannedRun
from ratelab.runtime.devices import may_be_gpu
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.stacks import Event, Stack, cut
from ratelab.validation import Count, UserError, explain

GIB = 2**30
PROCESS = GIB  # TensorFlow, its compiler and the data in one process
PART_OF_FREE = 0.75  # the rest is for this process and for whatever else runs here


class Workers(Protocol):
    """Those who train stacks, wherever they are; used as a context manager, iterated over for the events."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[Event]: ...

    def stop(self) -> Iterator[Event]:
        """Stop training; yield what has been computed and not been taken."""


class Resources(BaseModel):
    """The options of the launcher `ratelab`, and what follows from them.

    Attributes:
        stack: train runs of one seed together; false trains each by itself.
        largest_stack: runs in a stack.
        workers: processes; None: as many as there are cores for their threads, one for a GPU.
        memory: GiB for all workers together; None: three quarters of what is free.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    stack: bool = True
    largest_stack: Count = 4
    workers: Count | None = None
    memory: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None

    @classmethod
    def read(cls, launcher: Mapping[str, Any]) -> Self:
        """Check `hydra.launcher` of a configuration.

        Raises:
            UserError: naming the option that is wrong.
        """
        options = {str(key): value for key, value in launcher.items() if key != "_target_"}
        try:
            return cls(**options)
        except ValidationError as error:
            raise UserError(explain(error, "hydra.launcher", cls.model_fields)) from None

    def cut(self, runs: Sequence[PlannedRun]) -> list[Stack]:
        """Cut runs into stacks that leave no worker idle."""
        if not runs:
            return []
        return cut(runs, self.largest_stack if self.stack else 1, self.count_workers(runs))

    def start(self, stacks: Sequence[Stack]) -> Workers:
        """Return the workers; they begin when their context is entered.

        As many as have room for TensorFlow, at least one; what is left is for the runs of their stacks.
        """
        runs = [run for stack in stacks for run in stack.runs]
        budget = int(self.memory * GIB) if self.memory else int(free_memory() * PART_OF_FREE)
        workers = max(1, min(self.count_workers(runs), len(stacks), budget // PROCESS))
        return Processes(stacks, workers, max(0, budget - workers * PROCESS))

    def count_workers(self, runs: Sequence[PlannedRun]) -> int:
        """Return how many workers there are to be, if memory allows."""
        if self.workers is not None:
            return self.workers
        devices = {run.config.device for run in runs}
        if any(may_be_gpu(device) for device in devices):
            return 1  # two processes would take the memory of one GPU from each other
        # Two threads in one small step are slower than one: cores are for processes first.
        threads = max((device.threads for device in devices), default=1)
        return max(1, len(os.sched_getaffinity(0)) // threads)


def free_memory() -> int:
    """Return the bytes that may still be taken, of the machine or of the container."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = int(kept["inactive_file"])  # the kernel gives it back
    except (OSError, ValueError, KeyError):  # no such files, or "max"
        return free
    return min(free, limit - used + cached)
