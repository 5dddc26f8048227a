"""`ratelab resume`: start once more the program whose runs died, so that it goes on where it was."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratelab.commands.options import HomePath
from ratelab.validation import UserError

if TYPE_CHECKING:
    from ratelab.runs.past import Past

ROOT = Path("multirun")


@click.command()
@click.argument("folder", required=False, type=HomePath(path_type=Path))
@click.option("--anyway", is_flag=True, help="Also if configuration, data or versions have changed since.")
def resume(folder: Path | None, anyway: bool) -> None:
    """Go on with the run or sweep in FOLDER; without one, with the newest that is not done.

    FOLDER is as in multirun/, or the id of a sweep there. What has ended is kept.
    """
    from ratelab.runs.resuming import find_journal, pasts_below, sweep_of

    if folder is not None:
        left: Iterator[tuple[Path, Past]] = iter([find_journal(folder, ROOT)])
    else:
        left = (one for one in pasts_below(ROOT) if not one[1].has_finished)
    one = next(left, None)
    if one is None:
        raise UserError(f"no run or sweep below {ROOT.absolute()} has anything left to do.")
    found, past = sweep_of(*one)
    if past.program["command"] is None:
        raise UserError(
            f"{found} was begun from Python: call it there again, with 'resume={found}' among its overrides."
        )
    command = [*past.program["command"], f"resume={_quote(str(found))}"]
    if anyway:
        command.append("resume_anyway=true")
    click.echo(f"In {past.program['directory']}: {shlex.join(command[1:])}")
    sys.stdout.flush()
    try:
        os.chdir(past.program["directory"])
        os.execv(sys.executable, [sys.executable, *command[1:]])  # noqa: S606 - what the user has started before
    except OSError as error:
        raise UserError(
            f"it cannot be started again: {error}; start it by hand, with the words above."
        ) from None


def _quote(text: str) -> str:
    """Quote a value as Hydra reads it."""
    quoted = text.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{quoted}'"
