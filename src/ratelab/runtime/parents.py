"""A process that is of no use without the one that started it."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def die_with_parent() -> None:
    """Let the system kill this process when the thread that started it ends, where the system is Linux.

    A pipe that closes says the same, but only to one that reads: not while it imports or is stopped.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
