"""Which program this is, as others can check it later: whether it lives, or is dead beyond doubt."""

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ratelab.runtime.journal_file import is_held

_DEAD_STATES = {"Z", "X", "x"}  # of proc(5): what has ended and was not waited for
_LARGEST_PID = 2**22  # of Linux


@dataclass(frozen=True)
class Program:
    """A process of some machine, told apart from all others that there were and will be.

    Attributes:
        host: the name of the machine.
        machine: a digest of its id and of the address of its network card; "" unless both are known. Copies
            of a disk image share the first, containers on different machines may share the second.
        boot: the id that the kernel gave itself when it started; "" where there is none.
        namespaces: in which its pid and its start count; "" where they are not known.
        pid: of the process.
        started: in ticks since the kernel started, which no clock changes; 0 where it is not known.
        journal: the absolute path of the journal that it holds while it records; None: it writes none.
    """

    host: str
    machine: str
    boot: str
    namespaces: str
    pid: int
    started: int
    journal: str | None = None

    def write(self) -> str:
        """Return it as the text of a tag."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the program that `write` wrote; None if the text is anything else."""
        try:
            program = cls(**json.loads(text))
        except (ValueError, TypeError):
            return None
        texts = (program.host, program.machine, program.boot, program.namespaces, program.journal or "")
        numbers = (program.pid, program.started)
        is_sound = all(isinstance(one, str) for one in texts) and all(type(one) is int for one in numbers)
        return program if is_sound and 0 < program.pid <= _LARGEST_PID else None


def this_program(journal: Path | None = None) -> Program:
    """Return what identifies this process.

    Args:
        journal: that it holds open, if any.

    >>> program = this_program()
    >>> Program.read(program.write()) == program, is_dead(program)
    (True, False)
    """
    stat = _read_stat("self")
    return Program(
        host=platform.node(),
        machine=_identify_machine(),
        boot=_read_line(Path("/proc/sys/kernel/random/boot_id")),
        namespaces=_identify_namespaces(),
        pid=os.getpid(),
        started=stat[1] if stat else 0,
        journal=None if journal is None else str(journal.absolute()),
    )


def is_dead(program: Program) -> bool:
    """Say whether a program has certainly ended; no: it lives, or that cannot be known here."""
    here = this_program()
    if program.boot and program.boot == here.boot:
        counts_as_here = (program.host, program.namespaces) == (here.host, here.namespaces)
        if counts_as_here and program.namespaces and program.started:
            ended = _has_ended(program)
            if ended is not None:
                return ended
        return _has_let_go(program)
    if program.boot and here.boot and program.machine:
        return (program.host, program.machine) == (here.host, here.machine)  # it was restarted
    # where no kernel says when it started, the name is all there is, and a journal that is held protects
    return not program.boot and not here.boot and program.host == here.host and _has_let_go(program)


def _has_ended(program: Program) -> bool | None:
    """Say of a process that counts where this one does whether it has ended; None: that cannot be seen."""
    try:
        os.kill(program.pid, 0)  # nothing is sent
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's, which /proc may hide
        pass
    if _read_link("/proc/self") != str(os.getpid()):  # /proc is that of another namespace
        return None
    stat = _read_stat(str(program.pid))
    return None if stat is None else stat[0] in _DEAD_STATES or stat[1] != program.started


def _has_let_go(program: Program) -> bool:
    """Say whether there is a journal of the program's that nobody holds; on another host it may seem so."""
    if program.journal is None:
        return False
    path = Path(program.journal)
    with suppress(OSError, ValueError):
        return path.is_file() and not is_held(path)
    return False


def _identify_namespaces() -> str:
    pids, times = (_read_link(f"/proc/self/ns/{kind}") for kind in ("pid", "time"))
    return pids and f"{pids} {times}"


def _identify_machine() -> str:
    devices = Path("/sys/class/net").glob("*/device")  # cards that are somewhere, not those made by software
    card = min((_read_line(device.parent / "address") for device in devices), default="")
    identity = _read_line(Path("/etc/machine-id"))
    # digested: to know both is of use to whoever attacks the machine, and a store may be read by many
    return hashlib.sha256(f"ratelab {identity} {card}".encode()).hexdigest() if identity and card else ""


def _read_stat(pid: str) -> tuple[str, int] | None:
    """Return state and start of a process, in ticks since the kernel started; None if they cannot be read."""
    # behind the name, in which there may be anything, parentheses also
    words = _read_line(Path("/proc") / pid / "stat").rpartition(")")[2].split()
    return (words[0], int(words[19])) if len(words) > 19 else None


def _read_line(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


def _read_link(path: str) -> str:
    with suppress(OSError):
        return str(Path(path).readlink())
    return ""
