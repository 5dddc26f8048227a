"""The command. What it needs is imported when it runs: the other commands do not wait for it."""

from pathlib import Path

import click
from rich.console import Console

from ratelab.commands.figure_files import check_path
from ratelab.commands.options import HomePath, add_configuration_options


@click.command()
@click.argument("overrides", nargs=-1)
@click.option(
    "--steps", type=click.IntRange(min=1), help="The length of the run; by default that of training."
)
@click.option(
    "--output",
    type=HomePath(path_type=Path),
    callback=check_path,
    help="A .png or .svg file; by default the terminal.",
)
@add_configuration_options
def preview(
    overrides: tuple[str, ...],
    steps: int | None,
    output: Path | None,
    config_dir: str | None,
    config_name: str,
) -> None:
    """Draw the rates of schedules, one curve for each job that the same OVERRIDES would train.

    \b
    ratelab preview schedule=cosine,wsd warmup=linear
    ratelab preview 'schedule=glob(*)' learning_rate=0.1 --output curves.svg
    """  # noqa: D301 - click looks for the character itself
    from ratelab.commands.preview.rates import curves

    drawn, left_out = curves(overrides, steps, config_dir, config_name)
    if output is None:
        from ratelab.commands.preview.text_plot import show

        show(drawn, Console(highlight=False))
    else:
        from ratelab.commands.preview.image import save

        save(drawn, output)
        click.echo(f"{output}: {len(drawn)} curve{'s' if len(drawn) != 1 else ''}")
    for name in left_out:
        click.echo(f"{name}: not drawn, it waits for the validation loss.")
