"""What Ctrl-C does while a program imports."""

import signal

import pytest

from ratelab.runtime.starting import let_ctrl_c_end_imports


def own_handler(number, frame):
    """A program around ours may have one."""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (signal.default_int_handler, signal.SIG_DFL),
        (signal.SIG_IGN, signal.SIG_IGN),
        (own_handler, own_handler),
    ],
)
def test_ctrl_c_is_left_to_the_system_where_python_would_print_a_traceback(before, after):
    outside = signal.signal(signal.SIGINT, before)
    try:
        let_ctrl_c_end_imports()
        assert signal.getsignal(signal.SIGINT) is after
    finally:
        signal.signal(signal.SIGINT, outside)
