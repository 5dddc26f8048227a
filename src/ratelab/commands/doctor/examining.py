"""All checks at the same time, each with an end to waiting: what is broken is a line and not the end."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ratelab.commands.doctor.findings import PROBLEM, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.validation import UserError

SECONDS = 9.0

_Findings = queue.SimpleQueue[Finding | None]


@dataclass(frozen=True)
class Check:
    """Something to look at.

    Attributes:
        subject: in a word or two.
        look: yields what it finds. It runs in a thread of its own, and changes only what dead programs left.
        seconds: how long that may take, from the beginning of the program on.
    """

    subject: str
    look: Callable[[Setup], Iterator[Finding]]
    seconds: float = SECONDS


def examine(checks: Sequence[Check], setup: Setup) -> Iterator[Finding]:
    """Yield what the checks find, in their order, each as soon as it and those before it have been found."""
    begun = time.monotonic()
    going = [(check, _begin(check, setup)) for check in checks]
    for check, found in going:
        try:
            while finding := found.get(timeout=max(0.0, begun + check.seconds - time.monotonic())):
                yield finding
        except queue.Empty:
            seen = f"no answer within {check.seconds:g} seconds"
            advice = "Look whether a disk or a server that it is on hangs, or whether the machine is busy."
            yield Finding(PROBLEM, check.subject, seen, advice)


def _begin(check: Check, setup: Setup) -> _Findings:
    """Begin a check in a thread that the end of the program does not wait for; None is its end."""
    found: _Findings = queue.SimpleQueue()
    # threads, for a dead network drive or server stops whoever asks it
    threading.Thread(target=_look, args=(check, setup, found), daemon=True).start()
    return found


def _look(check: Check, setup: Setup, found: _Findings) -> None:
    try:
        for finding in check.look(setup):
            found.put(finding)
    except UserError as error:
        found.put(Finding(PROBLEM, check.subject, str(error)))
    except Exception as error:
        seen = f"could not be looked at: {type(error).__name__}: {error}"
        found.put(Finding(PROBLEM, check.subject, seen, "Repair the installation, or report this."))
    found.put(None)
