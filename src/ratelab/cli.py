"""The command `ratelab`: what is done before runs and after them. Training is `python src/train.py`."""

import os
import socket
import sys
from pathlib import Path

import click
from rich.console import Console

from ratelab.interruption import plain_endings
from ratelab.preview import preview
from ratelab.validation import UserError

__all__ = ["main"]

STORE = "sqlite:///mlruns/mlflow.db"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Look at recorded runs and at schedules. To train: python src/train.py --help."""


commands.add_command(preview)


@commands.command()
@click.option("--uri", default=STORE, show_default=True, help="The store, as in tracking.uri.")
@click.option(
    "--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Where to listen."
)
@click.option("--sweep", "sweep_id", help="The sweep to link to; by default the newest.")
def ui(uri: str, port: int, sweep_id: str | None) -> None:
    """Start MLflow's UI on this machine only, and print the links that open the comparison."""
    from ratelab.tracking import comparison_links, prepare_store, recorded

    _refuse_taken(port)
    _refuse_absent(uri)
    store = prepare_store(uri, Path.cwd())
    runs = recorded(store, sweep_id)
    console = Console()
    console.print(f"{runs.title}, {len(runs.run_ids)} runs:", highlight=False)
    ui = f"http://127.0.0.1:{port}"
    for link in comparison_links(ui, runs.experiment_id, runs.run_ids, runs.sweep_id):
        console.print(f"  {link}", soft_wrap=True, highlight=False, markup=False)
    console.print("Ctrl-C ends the server.")
    sys.stdout.flush()
    _serve(store, port)


def main() -> None:
    """Run the command line; a mistake of the user's ends with one message and status 1."""
    with plain_endings():
        commands(prog_name="ratelab")


def _refuse_taken(port: int) -> None:
    """Raise UsageError if something already listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise click.UsageError(f"--port: {port} is in use on this machine; give another one.")


def _refuse_absent(uri: str) -> None:
    """Raise UserError if there is no SQLite store yet: to look is not to make one."""
    from ratelab.tracking.store import sqlite_path

    if uri.startswith("sqlite:") and not (path := sqlite_path(uri, Path.cwd())).exists():
        raise UserError(f"there is no store at {path}; run `python src/train.py` here first, or give --uri.")


def _serve(store: str, port: int) -> None:
    """Become MLflow's server, on loopback, for no other host name."""
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # for traces and judges, which are not ours
    hosts = f"127.0.0.1:{port},localhost:{port}"
    words = ["server", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", *words, "--allowed-hosts", hosts, "--workers", "1"]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, fixed words
