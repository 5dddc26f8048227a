"""What is said of a worker process that is silent for long, and of one that died."""

import contextlib
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

# Seconds until it is said: an epoch of a large model may well take minutes, but not without computing.
STOPPED, IDLE, BUSY = 10.0, 60.0, 900.0
IDLE_SHARE = 0.02  # of a core, which the threads of an idle process take
# Seconds from one look to the next: while others report, looks come thick and fast, and each asks the system;
# what passes while this program itself sleeps is no silence.
SHORTEST_LOOK, LONGEST_LOOK = 0.25, 2.0


class Watch:
    """Watches one worker process while it trains a stack; to be looked at twice a second or more often.

    Args:
        pid: of the process.
        names: of the runs in its stack.
    """

    def __init__(self, pid: int, names: Sequence[str]) -> None:
        self._pid, self._names = pid, ", ".join(names)
        self._looked, self._cpu = time.monotonic(), _cpu_seconds(pid)
        self._said = False
        self._silent = self._idle = 0.0
        self._since = time.localtime()

    def look(self) -> str | None:
        """Return what there is to say about its silence, once for each."""
        now = time.monotonic()
        if now - self._looked < SHORTEST_LOOK:
            return None
        seconds = min(now - self._looked, LONGEST_LOOK)
        self._looked = now
        self._silent += seconds
        cpu = _cpu_seconds(self._pid)
        self._idle = self._idle + seconds if cpu - self._cpu < IDLE_SHARE * seconds else 0.0
        self._cpu = cpu
        if self._said or (what := self._describe()) is None:
            return None
        self._said = True
        return (
            f"Worker process {self._pid} {what} since {time.strftime('%X', self._since)}; for it wait: "
            f"{self._names}. `kill -KILL {self._pid}` lets another process train them anew."
        )

    def hear(self) -> str | None:
        """Take note that it reported something; return what there is to say about that."""
        was_said, self._said = self._said, False
        self._silent = self._idle = 0.0
        self._since = time.localtime()
        return f"Worker process {self._pid} goes on." if was_said else None

    def _describe(self) -> str | None:
        if self._idle >= STOPPED and is_stopped(self._pid):
            return f"is stopped (`kill -CONT {self._pid}` lets it go on) and has reported nothing"
        if self._idle >= IDLE:
            return "has neither computed nor reported anything"
        if self._silent >= BUSY:
            return "computes and has not reported the end of an epoch"
        return None


def is_stopped(pid: int) -> bool:
    """Say whether a process is stopped, as by SIGSTOP or a debugger."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    return False


def death_of(status: int | None, oom_kills: int) -> str:
    """Say how a process ended.

    Args:
        status: its exit status; minus the number of the signal that ended it.
        oom_kills: `count_of_oom_kills()` before it began.

    >>> death_of(1, 0), death_of(-11, 0)
    ('exit status 1', 'SIGSEGV')
    """
    if status is None or status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    if -status != signal.SIGKILL:
        return name
    advice = "hydra.launcher.workers=1 takes less, or a smaller hydra.launcher.largest_stack"
    if count_of_oom_kills() > oom_kills:
        return f"{name}: the system had no memory left; {advice}"
    return f"{name}: by hand, or for want of memory, see `dmesg`; {advice}"


def count_of_oom_kills() -> int:
    """Return how many processes this system has killed to have memory; 0 where it does not say."""
    with contextlib.suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def say(message: str | None) -> None:
    """Print a message above the bars, if there is one."""
    if message is not None:
        sys.stderr.write(f"{message}\n")


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0
