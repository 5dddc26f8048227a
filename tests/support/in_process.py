"""Command lines in this process: for mistakes, which the same code refuses as in a program of its own."""

import contextlib
import io
import logging
import runpy
import signal
import sys
from dataclasses import dataclass
from functools import partial

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from ratelab.runtime.signals import STOPS, plain_endings
from support import SRC

SIGNALS = (*STOPS, signal.SIGQUIT)


@dataclass(frozen=True)
class Ended:
    """How a command line ended: the status of its program, and what it printed."""

    status: int
    out: str
    err: str


def call(main, folder):
    """Call `main` in `folder` as a program would; signals, logging and Hydra are left as they were."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    loggers = logging.root.handlers[:], logging.root.level
    # Hydra configures logging, which closes every handler that it knows of. One of absl's, where a test has
    # imported TensorFlow, would then close the stream that it was made with: pytest's.
    known, logging._handlerList[:] = logging._handlerList[:], []
    out, err, status = io.StringIO(), io.StringIO(), 0
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = end.code or 0
        if isinstance(status, str):  # Python prints such a code and ends with status 1
            err.write(f"{status}\n")
            status = 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        logging.root.handlers[:], logging.root.level = loggers
        logging._handlerList[:] = known
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
    return Ended(status, out.getvalue(), err.getvalue())


def ratelab(folder, *words):
    """Call the command `ratelab`."""
    from ratelab.commands.cli import commands

    def main():
        with plain_endings():
            commands(words, prog_name="ratelab")

    return call(main, folder)


def train(folder, *words):
    """Call `train.py`."""
    before, sys.argv = sys.argv, ["train.py", *words]
    try:
        return call(partial(runpy.run_path, str(SRC / "train.py"), run_name="__main__"), folder)
    finally:
        sys.argv = before
