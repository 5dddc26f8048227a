"""The command. What it needs is imported when it runs: the other commands do not wait for it."""

import sys

import click
from rich.console import Console

from ratelab.commands.options import add_configuration_options
from ratelab.validation import UserError


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--uri", help="The store, as in tracking.uri; by default that of the configuration.")
@add_configuration_options
def doctor(overrides: tuple[str, ...], uri: str | None, config_dir: str | None, config_name: str) -> None:
    """Look whether training with the same OVERRIDES could begin here, and be recorded.

    Installation, machine, store, disks, data and environment; a line each, with what to do where it is not
    ok. Nothing is written or fetched. The status is 0 if there is no problem, else 1.

    \b
    ratelab doctor
    ratelab doctor data=mnist,fashion_mnist --uri http://127.0.0.1:5000
    """  # noqa: D301 - click looks for the character itself
    try:
        from ratelab.commands.doctor.checks import CHECKS
        from ratelab.commands.doctor.display import print_findings
        from ratelab.commands.doctor.examining import examine
        from ratelab.commands.doctor.setup import read_setup
    except ImportError as error:
        advice = f"Run: {sys.executable} -m pip install --force-reinstall ratelab"
        raise UserError(f"ratelab cannot be imported here: {error}. {advice}") from None
    setup = read_setup(overrides, uri, config_dir, config_name)
    sys.exit(print_findings(Console(highlight=False), examine(CHECKS, setup)))
