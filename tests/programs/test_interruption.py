"""Each case is a process of its own: signals and exit statuses cannot be tried inside pytest."""

import os
import signal
import subprocess
import sys

import pytest

from support import SRC
from support.programs import HANGS

WAITS = """
import time
from ratelab.runtime.signals import plain_endings
with plain_endings():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("stored", flush=True)
"""

RAISES = """
from ratelab.runtime.signals import plain_endings
from ratelab.validation import UserError
with plain_endings():
    raise {error}
"""


def start(script):
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )


def run(script):
    process = start(script)
    out, err = process.communicate(timeout=HANGS)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_program_with_a_message_and_its_status(number, status):
    process = start(WAITS)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == status
    assert out == "stored\n"
    assert err == f"Stopped by {number.name}. A run that had begun is KILLED, with what it had computed.\n"


def test_a_signal_is_not_an_ordinary_exception():
    """What catches Exception, as Hydra and MLflow do here and there, must not swallow it."""
    script = WAITS.replace("finally:", "except Exception:")
    process = start(script)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    out, _ = process.communicate(timeout=HANGS)
    assert (process.returncode, out) == (143, "")


def test_a_mistake_of_the_users_ends_with_its_message_and_status_1():
    status, out, err = run(RAISES.format(error="UserError('epochs must be greater than 0, got 0')"))
    assert (status, out, err) == (1, "", "epochs must be greater than 0, got 0\n")


def test_an_error_of_the_program_keeps_its_traceback():
    status, _, err = run(RAISES.format(error="RuntimeError('a bug')"))
    assert status == 1
    assert err.startswith("Traceback")
    assert err.endswith("RuntimeError: a bug\n")


@pytest.mark.parametrize("status", [0, 3])
def test_an_exit_keeps_its_status(status):
    assert run(RAISES.format(error=f"SystemExit({status})")) == (status, "", "")


def test_what_ends_well_prints_nothing():
    assert run(RAISES.replace("raise {error}", "pass")) == (0, "", "")


SWALLOWS = """
import contextlib, os, signal
from ratelab.runtime.signals import plain_endings, raise_if_told_to_stop
with plain_endings():
    raise_if_told_to_stop()
    with contextlib.suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)
    raise_if_told_to_stop()
    print("went on")
"""


def test_a_signal_that_a_library_swallowed_is_raised_again():
    process = start(SWALLOWS)
    out, _ = process.communicate(timeout=HANGS)
    assert (process.returncode, out) == (143, "")
