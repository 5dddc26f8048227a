"""Standard output and error, which may go away: a pipe that nobody reads, a terminal that was closed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from ratelab.validation import UserError


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """End the program as soon as what the block prints cannot be printed: it is all that is asked for.

    A reader who has seen enough, as `head`, is no mistake: status 0, and not a word.

    Raises:
        UserError: standard output takes nothing for another reason, as on a full disk.
        SystemExit: nobody reads.
    """
    before = sys.stdout
    sys.stdout = _outlet(before, 1, _Answer)
    try:
        yield
    finally:
        # Also after SystemExit, by which click ends every command.
        try:
            sys.stdout.flush()
        finally:
            sys.stdout = before


def open_closed() -> None:
    """Open the standard descriptors that were closed by `>&-`, to nowhere.

    The next file or pipe to be opened would get their number, and what is printed, here or in a process that
    is started.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def outlive_readers() -> None:
    """Let this process print for ever, also when nobody reads its standard output or error any more.

    What is printed is for eyes, what counts is in the store: hours of training must not end because of a
    `| head`, a closed terminal, a log on a full disk. That nothing more is printed is said on standard error.
    """
    open_closed()
    sys.stdout, sys.stderr = _outlet(sys.stdout, 1, _Outlet), _outlet(sys.stderr, 2, _Outlet)


def _outlet(stream: TextIO | None, number: int, kind: type["_Outlet"]) -> TextIO:
    """Return a stream like this one over a file of this kind; None stands for a closed one."""
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(kind(number)))
    if not isinstance(stream, io.TextIOWrapper):  # one of Python's alone
        return stream
    stream.flush()
    file = kind(stream.fileno())
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
        if not len(data):  # click tries so of which kind a stream is, and hears no error
            return 0
        try:
            return super().write(data)
        except OSError as error:
            prints, self._prints = self._prints, False
            if prints:
                self._tell(error)
            return len(data)

    def _tell(self, _error: OSError) -> None:
        """Say, once, that nothing more can be printed."""
        if self.fileno() == 1:
            # As bytes, past every layer: this is the inside of a write.
            with contextlib.suppress(OSError):
                os.write(2, b"Nothing more can be printed; training goes on and is recorded.\n")


class _Answer(_Outlet):
    """A descriptor whose first refusal ends the program; what is flushed on the way out it takes."""

    def _tell(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            # Not as an error: rich and click would make a status of their own of it.
            raise SystemExit(0)
        raise UserError(f"standard output: {error.strerror}; the answer is not whole.") from None
