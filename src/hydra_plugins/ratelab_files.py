"""Hydra's search path, for programs of ratelab's: what is in --config-dir comes before the project's own."""

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from ratelab.config.files import CheckedFiles, read_option, search_first

__all__ = ["CheckedFiles", "RatelabSearchPath"]


class RatelabSearchPath(SearchPathPlugin):
    """Hydra calls it at every start, of every program; only those of ratelab's are touched."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put what the command line names into its place; Hydra itself refuses a folder that is not there."""
        search_first(search_path, read_option(sys.argv, "--config-dir") or read_option(sys.argv, "-cd"))
