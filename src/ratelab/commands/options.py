"""Options that several commands share: a configuration of the user's own, and paths."""

from collections.abc import Callable
from typing import Any

import click

from ratelab.runtime.home import expand_home


class HomePath(click.Path):
    """A path as click takes it; `~` is the home folder also in `--output=~/x`, which no shell expands."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Expand, then check and convert."""
        if not value:
            self.fail("must not be empty.", param, ctx)
        name = "path" if param is None else f"--{param.name}"
        return super().convert(str(expand_home(value, name)), param, ctx)


def add_configuration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config-dir` and `--config-name`; the command gets `config_dir` and `config_name`."""
    folder = HomePath(file_okay=False, exists=True)
    named = click.option(
        "--config-name",
        "-cn",
        default="config",
        show_default=True,
        help="The primary configuration, as of `ratelab train`.",
    )
    placed = click.option(
        "--config-dir", "-cd", type=folder, help="A folder of configurations, as of `ratelab train`."
    )
    return placed(named(command))
