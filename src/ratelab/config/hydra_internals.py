"""Hydra's private parts that are used here: the one place to mend when Hydra moves one.

Hydra publishes no way to compose the jobs of a sweep, nor its basic sweeper; pyproject.toml therefore bounds
hydra-core from above, and tests/unit/test_hydra_internals.py says which part has moved.
"""

from collections.abc import Sequence
from typing import Any

from hydra._internal import hydra as program
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from ratelab.config.hydra_part import refuse_actions

__all__ = ["Callbacks", "ConfigLoaderImpl", "get_overrides_dirname", "guard_composition", "split_overrides"]


class _GuardedLoader(ConfigLoaderImpl):
    """Refuses a configuration before anybody has seen it."""

    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Compose as Hydra does; raise UserError for what `refuse_actions` does not let pass."""
        config = super().load_configuration(*args, **kwargs)
        refuse_actions(config, BasicSweeper.__module__.rpartition(".")[0])
        return config


def guard_composition() -> None:
    """Let Hydra look at every configuration with `refuse_actions`, before it makes anything of it.

    Hydra's callbacks come too late for that: by then all of them are made, and logging is set.
    """
    program.ConfigLoaderImpl = _GuardedLoader  # type: ignore[attr-defined] # where Hydra looks


def split_overrides(loader: ConfigLoader, words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job that `words` make: the product of all comma lists, ranges and globs.

    Raises:
        HydraException: for a word that is no override, or sweeps over what has no list of values.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return jobs
