"""Of which runs the store lacks metrics: noted as each run ends, told when the program does.

Hydra hands what a run returns to the sweeper alone, which may be anybody's and may need it to go on. So the
run does not fail because of them, nor is it left to sweepers and launchers to look.
"""

import contextlib
from collections.abc import Iterator

from ratelab.validation import UserError

_lacking: dict[str, bool] = {}  # by id: what another process has recorded is noted where its result arrives


def note_run(run_id: str, is_lacking: bool) -> None:
    """Keep of a run that has ended whether the store lacks some of its metrics."""
    _lacking[run_id] = is_lacking


@contextlib.contextmanager
def told_at_the_end() -> Iterator[None]:
    """Raise at the end of the block, if it succeeds, that the store lacks metrics of runs that ended in it.

    Raises:
        UserError: of how many, and what to do; status 0 would hide that data are lost.
    """
    _lacking.clear()
    yield
    if number := sum(_lacking.values()):
        runs = "this run" if len(_lacking) == 1 else f"{number} of {len(_lacking)} runs"
        raise UserError(
            f"the store lacks metrics of {runs}, which `ratelab compare` leaves out. Mend the store, then "
            "give it what the journal has, with `ratelab resume`; docs/reliability.md says of which runs."
        )
