"""What a program does before it imports."""

import gc
import signal

import pytest

from ratelab.runtime.starting import prepare_to_import


def own_handler(number, frame):
    """A program around ours may have one."""


@pytest.fixture(autouse=True)
def as_before():
    """Leave the process as it was."""
    handler, threshold = signal.getsignal(signal.SIGINT), gc.get_threshold()
    yield
    signal.signal(signal.SIGINT, handler)
    gc.set_threshold(*threshold)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (signal.default_int_handler, signal.SIG_DFL),
        (signal.SIG_IGN, signal.SIG_IGN),
        (own_handler, own_handler),
    ],
)
def test_ctrl_c_is_left_to_the_system_where_python_would_print_a_traceback(before, after):
    signal.signal(signal.SIGINT, before)
    prepare_to_import()
    assert signal.getsignal(signal.SIGINT) is after


def test_garbage_is_looked_for_less_often_but_looked_for():
    gc.set_threshold(700, 10, 10)
    prepare_to_import()
    assert gc.get_threshold() == (100_000, 10, 10)
    assert gc.isenabled()
