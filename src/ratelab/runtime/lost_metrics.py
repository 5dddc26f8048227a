"""Of which runs the store lacks metrics: noted as each run ends, told when the program does.

Hydra hands what a run returns to the sweeper alone, which may be anybody's and may need it to go on. So the
run does not fail because of them, nor is it left to sweepers and launchers to look.
"""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from ratelab.validation import UserError

# by id: whether it lacks some, and the folder of its journal; what another process has recorded is noted
# where its result arrives
_runs: dict[str, tuple[bool, Path | None]] = {}


class StoreLacksError(UserError):
    """Everything was trained and is in a journal, but a store has not taken all of it.

    The exit status is that of sysexits.h for a failure that may pass: 75, EX_TEMPFAIL.
    """

    status = 75


def note_run(run_id: str, is_lacking: bool, folder: Path | None) -> None:
    """Keep of a run that has ended whether the store lacks some of its metrics.

    Args:
        run_id: the store's.
        is_lacking: whether it does.
        folder: of its journal; None: another process has recorded it, in a folder of its own.
    """
    _runs[run_id] = is_lacking, folder


@contextlib.contextmanager
def told_at_the_end() -> Iterator[None]:
    """Raise at the end of the block, if it succeeds, that the store lacks metrics of runs that ended in it.

    Raises:
        StoreLacksError: of how many, and what to do; status 0 would hide it.
    """
    _runs.clear()
    yield
    lacking = [folder for is_lacking, folder in _runs.values() if is_lacking]
    if lacking:
        runs = "this run" if len(_runs) == 1 else f"{len(lacking)} of {len(_runs)} runs"
        folders = dict.fromkeys(lacking)
        folder = next(iter(folders)) if len(folders) == 1 else None
        command = (
            shlex.join(["ratelab", "sync", str(folder)])
            if folder
            else "ratelab sync FOLDER, for each of them"
        )
        raise StoreLacksError(
            f"the store lacks metrics of {runs}, which `ratelab compare` leaves out. Give it what "
            f"the journal has as soon as it takes that: {command}"
        )
