"""The command. What it needs is imported when it runs: the other commands do not wait for it."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratelab.tracking.links import STORE
from ratelab.validation import UserError

if TYPE_CHECKING:
    from ratelab.commands.replay.comparing import Comparison, Difference
    from ratelab.commands.replay.reading import Recording


@click.command()
@click.argument("run_id")
@click.option("--uri", default=STORE, show_default=True, help="The store, as in tracking.uri.")
@click.option(
    "--tolerance",
    default=0.0,
    help="A relative difference up to which values count as equal, for another machine; by default none.",
)
@click.option(
    "--allow-targets",
    "targets",
    metavar="PREFIX",
    multiple=True,
    help="A package of your own that the run's configuration may name; once for each.",
)
@click.option(
    "--allow-env",
    "variables",
    metavar="NAME",
    multiple=True,
    help="A variable of the environment that the run may be given as it was; once for each.",
)
def replay(
    run_id: str, uri: str, tolerance: float, targets: tuple[str, ...], variables: tuple[str, ...]
) -> None:
    """Train a recorded run again, from the store alone, and compare every step with what it has recorded.

    Nothing is written. Status 0: identical, or equal within --tolerance; 1: something differs, or the run
    cannot be replayed.

    \b
    ratelab replay 0b5c0c1bd3a54cd1a1c1f1d1d1b2e7d4
    """  # noqa: D301 - click looks for the character itself
    if not (0 <= tolerance < math.inf):
        raise UserError(f"--tolerance must be 0 or above, and finite, got {tolerance}.")
    from ratelab.commands.replay.comparing import Comparison
    from ratelab.commands.replay.reading import read_recording
    from ratelab.commands.replay.rebuilding import Permissions, rebuild_run
    from ratelab.commands.replay.replaying import check_plans, replay_run
    from ratelab.commands.replay.surroundings import restore_surroundings
    from ratelab.tracking import find_store

    recording = read_recording(find_store(uri, Path.cwd()), run_id)
    permissions = Permissions(targets, variables)
    planned = [
        rebuild_run(member, text, permissions)
        for member, text in zip(recording.members, recording.configs, strict=True)
    ]
    _say(_describe(recording), *restore_surroundings(recording, planned[recording.place]))
    check_plans(recording, planned)
    comparison = Comparison(recording.kept, tolerance)
    difference = replay_run(recording, planned, comparison)
    _say(_conclude(comparison, tolerance) if difference is None else _tell(difference))
    if difference is not None:
        sys.exit(1)


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line)


def _describe(recording: "Recording") -> str:
    run = recording.run
    how = f"{run.name} ({run.status}, {recording.kept.steps:,} steps)"
    if len(recording.members) == 1:
        return how
    return f"{how}, one of {len(recording.members)} trained as one program: jobs {run.tags['stack']}"


def _conclude(comparison: "Comparison", tolerance: float) -> str:
    """Return the line for a run without a difference that counts."""
    if (largest := comparison.largest) is None:
        return f"identical, {comparison.steps:,} steps"
    return (
        f"equal within {tolerance:g}, {comparison.steps:,} steps; the largest difference is "
        f"{largest.size:.2g}, of {largest.name} at step {largest.step:,}"
    )


def _tell(found: "Difference") -> str:
    """Return the line for the first difference that counts."""
    if found.was is None or found.now is None:
        was, now = ("nothing" if value is None else f"{value:.9g}" for value in (found.was, found.now))
        size = ""
    else:
        # nine digits tell any two float32 apart, measurements may need more
        digits = 9 if f"{found.was:.9g}" != f"{found.now:.9g}" else 17
        was, now = (f"{value:.{digits}g}" for value in (found.was, found.now))
        size = f", a relative difference of {found.size:.2g}"
    return f"different from step {found.step:,} on: {found.name} was {was}, is {now}{size}"
