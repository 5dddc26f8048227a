"""What a program does before its first import that takes time; this module imports next to nothing."""

import gc
import signal

_NEW_OBJECTS = 100_000  # between two collections; Python's own 700 make hundreds of them in the first second


def prepare_to_import() -> None:
    """Let Ctrl-C end the program as it ends any other one, until `plain_endings` begins; collect less often.

    Python would print the traceback of some import. What was ignored at the start stays ignored.

    A program that starts makes half a million objects, nearly all of which stay; to look through them again
    and again for garbage takes a tenth of the time.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
