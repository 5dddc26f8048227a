"""The command. What it needs is imported when it runs: the other commands do not wait for it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ratelab.commands.figure_files import checked_path
from ratelab.validation import UserError

if TYPE_CHECKING:
    from ratelab.commands.lr_find.finding import Answer
    from ratelab.commands.lr_find.suggestions import Suggestion


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--lowest", default=1e-5, show_default=True, help="Rate of the first step.")
@click.option("--highest", default=100.0, show_default=True, help="Rate of the last step.")
@click.option(
    "--steps", default=500, show_default=True, type=click.IntRange(min=50), help="Updates of each run."
)
@click.option(
    "--output",
    default="lr_find.png",
    show_default=True,
    type=click.Path(path_type=Path),
    callback=checked_path,
    help="The figure, a .png or .svg file.",
)
def lr_find(overrides: tuple[str, ...], lowest: float, highest: float, steps: int, output: Path) -> None:
    """Let the rate rise from step to step, and suggest base rates from the losses.

    OVERRIDES are those of training, but for the schedule; seeds 0 to 4 are used unless others are given.

    \b
    ratelab lr-find
    ratelab lr-find model=mlp optimizer=adam seed='range(0,10)' --output adam.svg
    """  # noqa: D301 - click looks for the character itself
    if not 0 < lowest < highest < float("inf"):
        raise UserError(f"--lowest must be above 0 and below --highest, got {lowest:g} and {highest:g}")
    from ratelab.commands.lr_find.finding import Question, find, record
    from ratelab.commands.lr_find.image import save

    console, question = Console(highlight=False), Question(overrides, lowest, highest, steps)
    answer = find(question, console)
    save(answer.test, answer.curve, answer.suggested, answer.title, output)
    console.print(_table(answer))
    if not answer.curve.diverged:
        console.print(f"The loss did not break up to {highest:g}: raise --highest to see where it does.")
    console.print(f"figure: {output}", soft_wrap=True, markup=False)
    console.print(f"Next: {next_command(answer.suggested, overrides)}", soft_wrap=True, markup=False)
    record(answer, question, output, console)


def _table(answer: "Answer") -> Table:
    """Return a row for each suggestion."""
    table = Table(box=None, padding=(0, 2, 0, 0), title=answer.title, title_justify="left")
    for heading in ("suggestion", "rate", "without one seed", ""):
        table.add_column(heading, justify="right" if heading == "rate" else "left")
    for one in answer.suggested:
        known = one.lowest is not None and one.highest is not None
        spread = f"{one.lowest:.3g} to {one.highest:.3g}" if known else "-"
        table.add_row(one.name, f"{one.rate:.3g}", spread, one.rule)
    return table


def next_command(suggested: "Sequence[Suggestion]", overrides: Sequence[str]) -> str:
    """Return the command that tries base rates around the suggestions."""
    from ratelab.config import read_words
    from ratelab.config.composing import override_key

    rates = [one.rate for one in suggested]
    grid = {"lowest": min(rates) / 3, "highest": max(rates) * 3}
    words = [f"hydra.sweeper.tuning.{key}={rate:.1g}" for key, rate in grid.items()]
    kept = [word for word in read_words(overrides) if override_key(word) != "seed"]
    return shlex.join(
        ["python", "src/train.py", "experiment=tuned", "schedule=fixed,exponential", *kept, *words]
    )
