"""Runs and sweeps that died, that others train now, or that a store lacks: by their journals."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from ratelab.commands.doctor.findings import OK, WARNING, Finding
from ratelab.commands.doctor.setup import Setup, keep_first
from ratelab.runtime.journal_file import is_held


def check_journals(setup: Setup) -> Iterator[Finding]:
    """Look for journals where the folders of runs are made, and say which of them can go on."""
    from ratelab.runs.resuming import journals_below

    # Hydra's pattern makes a folder of the time in one of the date
    roots = keep_first(folder.parents[1] for folder in setup.run_folders)
    left = [finding for root in roots for folder in journals_below(root) if (finding := _look(folder))]
    yield from left or [Finding(OK, "journals", "no run or sweep was left in the middle")]


def _look(folder: Path) -> Finding | None:
    """Return what there is to say of the run or sweep in a folder; None if it came to its end."""
    from ratelab.runs.past import NAME, read_past
    from ratelab.runs.resuming import ended_jobs
    from ratelab.runs.syncing import lacking

    past = read_past(folder)
    if past is None or not past.program or past.has_finished:
        return None
    seen = f"{folder}: {len(ended_jobs(folder, past))} of {len(past.runs)} runs have ended"
    if is_held(folder / NAME):
        return Finding(OK, "journals", f"{seen}, a program trains the rest")
    if past.is_trained and (missing := len(lacking(past))):
        lacks = f"{seen}, the store lacks something of {missing}"
        return Finding(WARNING, "journals", lacks, f"Mend the store, then: {_write('sync', folder)}")
    damaged = f" ({past.trouble})" if past.trouble else ""
    rest = f"{seen}, nobody trains the rest{damaged}"
    return Finding(WARNING, "journals", rest, f"Go on with: {_write('resume', folder)}")


def _write(command: str, folder: Path) -> str:
    return shlex.join(["ratelab", command, str(folder)])
