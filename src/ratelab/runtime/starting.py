"""What a program does before its first import that takes time; this module imports next to nothing."""

import signal


def let_ctrl_c_end_imports() -> None:
    """Let Ctrl-C end the program as it ends any other one, until `plain_endings` begins.

    Python would print the traceback of some import. What was ignored at the start stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
