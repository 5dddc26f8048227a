"""Cores and memory: what this process may take of them, beside what training would."""

import os
from collections.abc import Iterator
from pathlib import Path

from ratelab.commands.doctor.findings import OK, WARNING, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.sweeps.resources import GIB, PROCESS, free_memory

CGROUP = Path("/sys/fs/cgroup")  # of the container


def check_cores(setup: Setup) -> Iterator[Finding]:
    """Compare the cores that this process may use with `device.threads`, and with what a container allows."""
    cores, limit = len(os.sched_getaffinity(0)), _read_limit()
    usable = cores if limit is None else min(cores, max(1, int(limit)))
    threads = max(config.device.threads for config in setup.configs)
    seen = f"{cores} of {os.cpu_count()} for this program, device.threads={threads}"
    if usable < cores:
        seen += f"; the container may use {limit:g}"
    if threads > usable:
        yield Finding(WARNING, "cores", seen, f"More threads than cores wait: device.threads={usable}.")
    elif usable < cores:
        # a sweep counts the cores; a container that may use half of each stops its processes again and again
        advice = f"Give sweeps fewer processes: hydra.launcher.workers={usable // threads}."
        yield Finding(WARNING, "cores", seen, advice)
    else:
        yield Finding(OK, "cores", seen)


def _read_limit() -> float | None:
    """Return how many cores' time the container allows; None if it does not say."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # there is none, or it says "max"
        pass
    try:  # as it was before cgroups had one tree
        quota, period = ((CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    except OSError:
        return None
    return int(quota) / int(period) if int(quota) > 0 else None


def check_memory(_: Setup) -> Iterator[Finding]:
    """Say how much memory is free, beside what one process that trains takes."""
    free = free_memory()
    seen = f"{free / GIB:.1f} GiB free"
    if free >= 2 * PROCESS:
        yield Finding(OK, "memory", seen)
    else:
        advice = f"Training takes {PROCESS / GIB:g} GiB a process, recording as much: end other programs."
        yield Finding(WARNING, "memory", seen, advice)
