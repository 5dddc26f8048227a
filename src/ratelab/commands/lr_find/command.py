"""The command. What it needs is imported when it runs: the other commands do not wait for it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ratelab.commands.figure_files import check_path
from ratelab.commands.options import HomePath, add_configuration_options
from ratelab.runtime.checkout import name_training
from ratelab.runtime.outlets import outlive_readers
from ratelab.validation import UserError

if TYPE_CHECKING:
    from ratelab.commands.lr_find.finding import Answer, Question
    from ratelab.commands.lr_find.suggestions import Suggestion

SCHEDULES = "schedule=fixed,exponential"
SMALLEST, LARGEST = 1e-37, 1e38


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--lowest", default=1e-5, show_default=True, help="Rate of the first step.")
@click.option("--highest", default=100.0, show_default=True, help="Rate of the last step.")
@click.option(
    "--steps",
    default=500,
    show_default=True,
    type=click.IntRange(min=50),
    help="Updates of each run, one run a seed. 100 and two seeds do for a first look at a slow model.",
)
@click.option(
    "--output",
    default="lr_find.png",
    show_default=True,
    type=HomePath(path_type=Path),
    callback=check_path,
    help="The figure, a .png or .svg file.",
)
@add_configuration_options
def lr_find(
    overrides: tuple[str, ...],
    lowest: float,
    highest: float,
    steps: int,
    output: Path,
    config_dir: str | None,
    config_name: str,
) -> None:
    """Let the rate rise from step to step, and suggest base rates from the losses.

    OVERRIDES are those of training, but for the schedule; seeds 0 to 4 are used unless others are given.

    \b
    ratelab lr-find
    ratelab lr-find model=mlp optimizer=adam seed='range(0,10)' --output adam.svg
    """  # noqa: D301 - click looks for the character itself
    if not 0 < lowest < highest < float("inf"):
        raise UserError(f"--lowest must be above 0 and below --highest, got {lowest:g} and {highest:g}")
    # Rates are float32: there, too, the lowest must be above 0, the highest finite, and both apart.
    if lowest < SMALLEST or not 2 * lowest <= highest <= LARGEST:
        raise UserError(
            f"--lowest must be at least {SMALLEST:g}, --highest at least twice as much and at most "
            f"{LARGEST:g}, got {lowest} and {highest}"
        )
    from ratelab.commands.lr_find.finding import Question, find, record
    from ratelab.commands.lr_find.image import save

    outlive_readers()  # what is found is recorded, whoever reads
    console = Console(highlight=False)
    question = Question(overrides, lowest, highest, steps, config_dir, config_name)
    answer = find(question, console)
    save(answer.test, answer.curve, answer.suggested, answer.title, output)
    console.print(_make_table(answer))
    if not answer.curve.diverged:
        console.print(f"The loss did not break up to {highest:g}: raise --highest to see where it does.")
    console.print(f"figure: {output}", soft_wrap=True, markup=False)
    console.print(f"Next: {next_command(answer.suggested, question)}", soft_wrap=True, markup=False)
    record(answer, question, output, console)


def _make_table(answer: "Answer") -> Table:
    """Return a row for each suggestion."""
    table = Table(box=None, padding=(0, 2, 0, 0), title=answer.title, title_justify="left")
    for heading in ("suggestion", "rate", "without one seed", ""):
        table.add_column(heading, justify="right" if heading == "rate" else "left")
    for one in answer.suggested:
        known = one.lowest is not None and one.highest is not None
        spread = f"{one.lowest:.3g} to {one.highest:.3g}" if known else "-"
        table.add_row(one.name, f"{one.rate:.3g}", spread, one.rule)
    return table


def next_command(suggested: "Sequence[Suggestion]", question: "Question") -> str:
    """Return the command that tries base rates around the suggestions, as one can give it to a shell.

    It compares two schedules, but where an experiment of the words has arguments that only its own takes.
    """
    from ratelab.config import read_words
    from ratelab.config.composing import compose_jobs, read_composed

    words = _write_tuning(question.overrides)
    # Hydra alone knows what an experiment sets, so the command is composed as `train.py` would compose it.
    try:
        for job in compose_jobs([SCHEDULES, *words], question.config_dir, question.config_name):
            read_composed(job)
        words.insert(1, SCHEDULES)
    except UserError:
        pass
    words += _write_grid([one.rate for one in suggested])
    named = [] if question.config_name == "config" else ["--config-name", question.config_name]
    placed = [] if question.config_dir is None else ["--config-dir", question.config_dir]
    return shlex.join([*name_training().split(), *placed, *named, *read_words(words)])


def _write_tuning(overrides: Sequence[str]) -> list[str]:
    """Return the words of training with `experiment=tuned`; what else is chosen there comes before it."""
    from ratelab.config.sweeping import override_key

    kept = [word for word in overrides if override_key(word) not in {"seed", "experiment"}]
    given = [word.partition("=")[2] for word in overrides if override_key(word) == "experiment"]
    names = [name.strip() for text in given for name in text.strip("[]").split(",")]
    chosen = [name for name in names if name not in {"tuned", "null"}]
    experiment = f"experiment=[{','.join([*chosen, 'tuned'])}]" if chosen else "experiment=tuned"
    return [experiment, *kept]


def _write_grid(rates: Sequence[float]) -> list[str]:
    grid = {"lowest": min(rates) / 3, "highest": max(rates) * 3}
    return [f"hydra.sweeper.tuning.{key}={rate:.1g}" for key, rate in grid.items()]
