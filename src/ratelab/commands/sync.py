"""`ratelab sync`: give a store what journals have and it lacks, as often as one likes."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratelab.commands.options import HomePath
from ratelab.commands.resume import ROOT
from ratelab.runtime.journal_file import is_held
from ratelab.runtime.lost_metrics import StoreLacksError
from ratelab.runtime.passwords import without_password
from ratelab.tracking import resolve_store
from ratelab.validation import UserError

if TYPE_CHECKING:
    from ratelab.runs.past import Past


@click.command()
@click.argument("folder", required=False, type=HomePath(path_type=Path))
@click.option("--uri", help="The store; by default the one in which the runs were begun.")
def sync(folder: Path | None, uri: str | None) -> None:
    """Give the store what the journal in FOLDER has; without one, what it has not taken of any run here.

    FOLDER is as in multirun/, or the id of a sweep there: what the store has lost since is given as well.
    Nothing is trained, and nothing is there twice.
    """
    from ratelab.runs.resuming import find_journal, jobs_of

    store = resolve_store(uri, Path.cwd())
    if folder is None:
        missing = _sync_all(store)
    else:
        named = find_journal(folder, ROOT)
        missing = sum(_sync(found, past, store) for found, past in jobs_of(*named) or [named])
    if missing:
        runs = "1 run" if missing == 1 else f"{missing} runs"
        raise StoreLacksError(f"the store lacks something of {runs}; mend it, then call this again.")


def _sync_all(uri: str | None) -> int:
    """Give the store what is left of each journal here; return of how many runs it has not taken all."""
    from ratelab.runs.past import NAME
    from ratelab.runs.resuming import jobs_of, pasts_below
    from ratelab.runs.syncing import is_lacking, lacking

    # what a living program writes it gives to the store itself
    every = dict(one for found in pasts_below(ROOT) for one in (found, *jobs_of(*found)))
    left = [one for one in every.items() if is_lacking(one[1], uri) and not is_held(one[0] / NAME)]
    if not left:
        click.echo(f"No journal below {ROOT.absolute()} has anything that its store has not taken.")
    missing = 0
    for folder, past in left:
        try:
            missing += _sync(folder, past, uri)
        except UserError as error:  # other journals may have other stores
            click.echo(f"warning: {folder}: {without_password(str(error))}", err=True)
            missing += max(1, len(lacking(past, uri)))
    return missing


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
    if past.trouble:
        click.echo(f"Its journal ends there: {past.trouble}.")
    left = []
    if not past.is_trained:
        ended = sum(run.ended is not None for run in past.runs.values())
        left.append(f"{ended} of {len(past.runs)} runs have ended.")
    if done.models:
        what = "1 model" if done.models == 1 else f"{done.models} models"
        left.append(f"{what} not given, for that takes TensorFlow.")
    if left:
        click.echo(" ".join([*left, "Go on with:", shlex.join(["ratelab", "resume", str(folder)])]))
    return done.lacking
