"""`ratelab sync`: give a store what journals have and it lacks, as often as one likes."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratelab.commands.options import HomePath
from ratelab.commands.resume import ROOT
from ratelab.runtime.journal_file import is_held
from ratelab.runtime.lost_metrics import StoreLacksError
from ratelab.runtime.passwords import take_password, without_password

if TYPE_CHECKING:
    from ratelab.runs.past import Past


@click.command()
@click.argument("folder", required=False, type=HomePath(path_type=Path))
@click.option("--uri", help="The store; by default the one in which the runs were begun.")
def sync(folder: Path | None, uri: str | None) -> None:
    """Give the store all that the journal in FOLDER has; without one, those of all runs and sweeps here.

    FOLDER is as in multirun/, or the id of a sweep there. Nothing is trained, and nothing is there twice.
    """
    from ratelab.runs.past import NAME
    from ratelab.runs.resuming import find_journal, pasts_below
    from ratelab.runs.syncing import lacking

    store = take_password(uri) if uri else None
    if folder is not None:
        left = [find_journal(folder, ROOT)]
    else:  # what a living program writes it gives to the store itself
        left = [one for one in pasts_below(ROOT) if lacking(one[1]) and not is_held(one[0] / NAME)]
        if not left:
            click.echo(f"The stores have all that the journals below {ROOT.absolute()} have.")
    missing = sum(_sync(found, past, store) for found, past in left)
    if missing:
        runs = "one run" if missing == 1 else f"{missing} runs"
        raise StoreLacksError(f"not all of {runs} is in the store; mend that, then call this again.")


def _sync(folder: Path, past: "Past", uri: str | None) -> int:
    """Give the store what one journal has, and say so; return of how many runs it has not taken all."""
    from ratelab.runs import syncing

    done = syncing.sync(folder, past, uri)
    if done.runs:
        what = "1 run" if done.runs == 1 else f"{done.runs} runs"
        where = without_password(done.uri) or "tracking.uri=null, which keeps nothing"
        click.echo(f"{folder}: {what}, {done.steps:,} steps, given to {where}.")
    elif not done.lacking:
        click.echo(f"{folder}: the store has all that the journal has.")
    left = sum(run.ended is None for run in past.runs.values())
    if left:
        command = shlex.join(["ratelab", "resume", str(folder)])
        click.echo(f"{left} of {len(past.runs)} runs are not trained to their end. Go on with: {command}")
    return done.lacking
