"""The options that name a configuration of the user's own, as those of train.py do."""

from collections.abc import Callable
from typing import Any

import click

__all__ = ["configuration_options"]


def configuration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config-dir` and `--config-name`; the command gets `config_dir` and `config_name`."""
    folder = click.Path(file_okay=False, exists=True)
    named = click.option(
        "--config-name",
        default="config",
        show_default=True,
        help="The primary configuration, as of train.py.",
    )
    placed = click.option("--config-dir", type=folder, help="A folder of configurations, as of train.py.")
    return placed(named(command))
