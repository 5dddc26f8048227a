"""Each case is a process of its own: signals and exit statuses cannot be tried inside pytest."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from support import SRC
from support.programs import HANGS

WAITS = """
import time
from ratelab.runtime.signals import plain_endings
with plain_endings():
    try:
        print("ready", flush=True)
        for _ in range(600):  # one long sleep would not end by a signal that comes just before it begins
            time.sleep(0.1)
    finally:
        print("stored", flush=True)
"""

RAISES = """
from ratelab.runtime.signals import plain_endings
from ratelab.validation import UserError
with plain_endings():
    raise {error}
"""


STOPPED = "Stopped by {}.\n"
WITH_RUNS = "Stopped by {0}. A run that had begun is KILLED, with what it had computed.\n"
STOPPING = "Stopping, as {0} asked: what was computed is being stored. Ctrl-C (SIGINT) ends at once.\n"


def start(script, *before):
    return subprocess.Popen(
        [*before, sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )


def run(script, *before):
    process = start(script, *before)
    out, err = process.communicate(timeout=HANGS)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGUSR1, 138),
        (signal.SIGXCPU, 152),
    ],
)
def test_a_signal_ends_the_program_with_a_message_and_its_status(number, status):
    process = start(WAITS)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == status
    assert out == "stored\n"
    assert err == STOPPED.format(number.name)


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


def test_a_signal_that_was_swallowed_to_the_end_is_told_by_the_status():
    status, out, err = run(SWALLOWS.replace("    raise_if_told_to_stop()\n    print", "    print"))
    assert (status, out, err) == (143, "went on\n", STOPPED.format("SIGTERM"))


BEGINS = """
import signal, threading
from ratelab.runtime.signals import plain_endings
from ratelab.runtime.starting import prepare_to_import
prepare_to_import()
def start_late(thread):
    signal.raise_signal({number})
    start(thread)
start, threading.Thread.start = threading.Thread.start, start_late
with plain_endings():
    print("begun")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_program_begins_to_listen_leaves_no_traceback(number):
    assert run(BEGINS.format(number=int(number))) == (-number, "", "")


def test_a_signal_that_python_itself_must_swallow_leaves_no_traceback():
    script = """
import os, signal
from ratelab.runtime.signals import plain_endings
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
with plain_endings():
    Last()
"""
    assert run(script) == (143, "", STOPPED.format("SIGTERM"))


def test_an_error_that_a_signal_led_to_is_one_line_after_it():
    script = """
import os, signal
from ratelab.runtime.signals import plain_endings
with plain_endings():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:
        raise ImportError("half\\nof it")
"""
    status, _, err = run(script)
    assert (status, err) == (143, STOPPED.format("SIGTERM") + "On the way out: ImportError: half\n")


CLEANS_UP = """
import contextlib, time
from ratelab.runtime import signals
signals.SECONDS_OF_SILENCE = {patience}
with signals.plain_endings():
    try:
        with {block}:
            print("ready", flush=True)
            for _ in range(600):
                time.sleep(0.1)
    finally:
        print("storing", flush=True)
        time.sleep(2)
        print("stored", flush=True)
"""


OF_A_RUN = "signals.at_once(lambda: None)"


def test_more_signals_do_not_break_off_what_is_being_stored():
    """A SIGINT right behind the first is the same one, handed on by whoever started the program."""
    process = start(CLEANS_UP.format(patience=60, block=OF_A_RUN))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "storing\n"
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        process.send_signal(number)
        time.sleep(0.1)  # the system makes one of two equal signals that wait
    out, err = process.communicate(timeout=HANGS)
    assert (process.returncode, out) == (130, "stored\n")
    assert err == STOPPING.format("SIGINT") + WITH_RUNS.format("SIGINT")


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (OF_A_RUN, STOPPING + WITH_RUNS),
        (
            "contextlib.nullcontext()",
            "Stopping, as {0} asked. Ctrl-C (SIGINT) ends at once.\nStopped by {0}.\n",
        ),
    ],
    ids=["a run", "what only reads"],
)
def test_who_waits_long_for_the_end_is_told_why(block, told):
    """And of runs only where one had begun."""
    process = start(CLEANS_UP.format(patience=0.1, block=block))
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    _, err = process.communicate(timeout=HANGS)
    assert (process.returncode, err) == (143, told.format("SIGTERM"))


def test_signals_after_the_end_leave_the_status_as_it_is():
    script = """
import atexit, os, signal
from ratelab.runtime.signals import plain_endings
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
with plain_endings():
    os.kill(os.getpid(), signal.SIGTERM)
"""
    assert run(script)[0] == 143


STORE_IS_LOCKED = """
import contextlib, sqlite3, sys, time
from ratelab.runtime import signals
signals.SECONDS_AT_ONCE = 0.5
with signals.plain_endings(), signals.at_once(lambda: {word}), signals.held_back():
    print("ready", flush=True)
    sqlite3.connect({path!r}, timeout=60).execute("CREATE TABLE a (b)")
"""


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("print('KILLED', flush=True)", "KILLED"),
        ("time.sleep(60)", "left RUNNING, for the store did not answer"),
        ("1 / 0", "left RUNNING, for the store did not answer"),
    ],
)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGQUIT),
    ],
)
def test_ctrl_c_once_more_and_sigquit_end_at_once_but_for_the_last_words(tmp_path, word, said, first, second):
    """Wherever the main thread is: here it waits in C for a lock, and hears nothing."""
    path = tmp_path / "locked.db"
    with closing(sqlite3.connect(path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        process = start(STORE_IS_LOCKED.format(path=str(path), word=word))
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        time.sleep(1)  # so that a second SIGINT is one of its own
        process.send_signal(second)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + second, "KILLED\n" if said == "KILLED" else "")
    assert err == (
        f"Ended at once by {second.name}. A run that had begun is {said}; what waited to be stored is in its "
        "journal.\n"
    )


HOLDS = """
import os, signal
from ratelab.runtime.signals import held_back, plain_endings, raise_if_told_to_stop
with plain_endings():
    with held_back(), held_back():
        os.kill(os.getpid(), signal.SIGTERM)
        print("whole", flush=True)
        {look}
        print("done", flush=True)
    print("went on")
"""


@pytest.mark.parametrize(("look", "out"), [("raise_if_told_to_stop()", "whole\n"), ("", "whole\ndone\n")])
def test_a_signal_that_is_held_back_is_raised_where_the_block_looks_or_ends(look, out):
    assert run(HOLDS.format(look=look)) == (143, out, STOPPED.format("SIGTERM"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_what_was_ignored_at_the_start_stays_ignored(number):
    """As by `nohup`, and the last two in a job that a script runs in the background."""
    script = f"""
import os
from ratelab.runtime.signals import plain_endings
with plain_endings():
    os.kill(os.getpid(), {number.value})
    print("went on")
"""
    ignoring = ["sh", "-c", f'trap "" {number.value}; exec "$@"', "sh"]
    assert run(script, *ignoring) == (0, "went on\n", "")


NAMES = """
import os, signal
from ratelab.runtime.signals import plain_endings

class Attribute:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGTERM)

with plain_endings():
    class Owner:
        one = Attribute()
"""


def test_of_a_signal_that_python_wraps_into_another_error_nothing_more_is_said():
    assert run(NAMES) == (143, "", STOPPED.format("SIGTERM"))


LOADS = """
import builtins, os, signal
import numpy
from ratelab.runtime.signals import plain_endings

plain, left = builtins.__import__, [{time}]

def tell(name, *others):
    if name == "numpy._core._multiarray_umath":  # by its extensions, and by those that use its C interface
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGTERM)
    return plain(name, *others)

with plain_endings():
    builtins.__import__ = tell
    import sklearn.datasets
    while True:  # the signal ends it: a program that lost it would hang
        sum(range(1000))
"""


@pytest.mark.parametrize("time", [1, 2, 8, 10, 12])
def test_a_signal_waits_until_an_extension_module_is_loaded(time):
    """C code prints a traceback of what is raised there, or makes an ImportError of it."""
    assert run(LOADS.format(time=time)) == (143, "", STOPPED.format("SIGTERM"))
