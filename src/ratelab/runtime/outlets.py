"""Standard output and error, which may go away: a pipe that nobody reads, a terminal that was closed."""

import contextlib
import io
import os
import sys
from typing import Any, TextIO

__all__ = ["outlive_readers"]


def outlive_readers() -> None:
    """Let this process print for ever, also when nobody reads its standard output or error any more.

    What is printed is for eyes, what counts is in the store: hours of training must not end because of a
    `| head`, a closed terminal, a log on a full disk. That nothing more is printed is said on standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Closed by `>&-`: the next file or pipe to be opened would get this number, and what is printed,
            # here or in a process that is started.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout, sys.stderr = _outlet(sys.stdout, 1), _outlet(sys.stderr, 2)


def _outlet(stream: TextIO | None, number: int) -> TextIO:
    """Return a stream like this one over a file that takes everything; None stands for a closed one."""
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(_Outlet(number)))
    if not isinstance(stream, io.TextIOWrapper):  # one of Python's alone
        return stream
    stream.flush()
    file = _Outlet(stream.fileno())
    return io.TextIOWrapper(
        file if stream.write_through else io.BufferedWriter(file),  # the first under `python -u`
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Outlet(io.FileIO):
    """A descriptor that takes what is written, whether it can be printed or not."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._prints = True

    def write(self, data: Any) -> int:
        """Write all or some of it; return how much of it is done with."""
        with contextlib.suppress(OSError):
            return super().write(data)
        if self._prints and self.fileno() == 1:
            # As bytes, past every layer: this is the inside of a write.
            with contextlib.suppress(OSError):
                os.write(2, b"Nothing more can be printed; training goes on and is recorded.\n")
        self._prints = False
        return len(data)
