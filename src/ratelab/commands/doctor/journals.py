"""Runs and sweeps that died, or that others train now: by their journals."""

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

    past = read_past(folder)
    if past is None or not past.program or past.has_finished:
        return None
    ended = sum(run.ended is not None for run in past.runs.values())
    seen = f"{folder}: {ended} of {len(past.runs)} runs have ended"
    if is_held(folder / NAME):
        return Finding(OK, "journals", f"{seen}, a program trains the rest")
    damaged = f" ({past.trouble})" if past.trouble else ""
    advice = f"Go on with: {shlex.join(['ratelab', 'resume', str(folder)])}"
    return Finding(WARNING, "journals", f"{seen}, nobody trains the rest{damaged}", advice)
