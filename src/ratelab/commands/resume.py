"""`ratelab resume`: start once more the program whose runs died, so that it goes on where it was."""

import os
import shlex
import sys
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
    found, past = _find(folder)
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


def _find(folder: Path | None) -> "tuple[Path, Past]":
    """Return the folder that is meant and what its journal holds."""
    from ratelab.runs.past import read_past
    from ratelab.runs.resuming import journals_below

    if folder is not None and (past := read_past(folder)) is not None and past.program:
        return folder.absolute(), past
    for path in journals_below(ROOT):
        past = read_past(path)
        if past is None or not past.program:
            continue
        if folder is None and not past.has_finished:
            return path.absolute(), past
        if folder is not None and past.program["sweep_id"] == str(folder):
            return path.absolute(), past
    if folder is None:
        raise UserError(f"no run or sweep below {ROOT.absolute()} has anything left to do.")
    raise UserError(f"FOLDER: {folder} holds no journal, and no sweep below {ROOT.absolute()} has this id.")


def _quote(text: str) -> str:
    """Quote a value as Hydra reads it."""
    quoted = text.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{quoted}'"
