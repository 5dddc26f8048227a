"""Hydra's private parts that are used here: the one place to mend when Hydra moves one.

Hydra publishes no way to compose the jobs of a sweep, nor its basic sweeper; pyproject.toml therefore bounds
hydra-core from above, and tests/unit/test_hydra_internals.py says which part has moved.
"""

from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser

__all__ = ["Callbacks", "ConfigLoaderImpl", "FileConfigSource", "get_overrides_dirname", "split_overrides"]


def split_overrides(loader: ConfigLoader, words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job that `words` make: the product of all comma lists, ranges and globs.

    Raises:
        HydraException: for a word that is no override, or sweeps over what has no list of values.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return jobs
