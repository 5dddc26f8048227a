"""Which options of groups can be put in the place of others in a configuration that Hydra has composed.

An option is a file with the keys of its group. Where nothing else has keys in that group, what Hydra makes of
another option differs in this part alone: its file, whole, in the place of the other one.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ratelab.config.hydra_internals import ConfigLoaderImpl


class Options:
    """The options of all groups, each file read once.

    Args:
        loader: Hydra's, of a program.
        config: the configuration of a sweep.
    """

    def __init__(self, loader: ConfigLoaderImpl, config: DictConfig) -> None:
        self._loader, self._config = loader, config
        self._own: Any = OmegaConf.to_container(config.hydra.overrides.hydra)
        self._groups: dict[str, bool] = {}
        self._files: dict[str, DictConfig | None] = {}
        self._reached: dict[tuple[str, ...], frozenset[str]] = {}

    def is_group(self, key: str) -> bool:
        """Say whether a key is a group, of whatever there are options; subgroups count as well."""
        if key not in self._groups:
            self._groups[key] = bool(self._loader.repository.get_group_options(key, results_filter=None))
        return self._groups[key]

    def choose(self, parsed: Sequence[Override]) -> list[Override]:
        """Return those overrides that choose an option which can be put in the place of another.

        Args:
            parsed: the overrides of a job, but for those that only set values, which count after all
                others; where others of them are wrong, none is returned.
        """
        if any(override.is_hydra_override() for override in parsed):
            return []  # the search path may be another one
        chosen = [override for override in parsed if self._chooses_keys(override)]
        if not chosen:
            return []
        others = [override for override in parsed if override not in chosen]
        choices = (str(override.input_line) for override in others if self.is_group(override.key_or_group))
        try:
            files_reach = self._find_reached(tuple(choices))
        except Exception:  # whoever composes with all overrides says what is wrong
            return []
        reached = files_reach | {_first(override.key_or_group) for override in others}
        keys = [override.key_or_group for override in chosen]
        free = {key for key in keys if keys.count(key) == 1} - reached
        return [override for override in chosen if override.key_or_group in free]

    def read(self, override: Override) -> DictConfig | None:
        """Return the keys of the option that an override chooses; None if its file says more, or is none."""
        return self._read_plain(f"{override.key_or_group}/{override.value()}")

    def _chooses_keys(self, override: Override) -> bool:
        return (
            is_change(override)
            and isinstance(override.value(), str)
            and self.is_group(override.key_or_group)
            and self.read(override) is not None
        )

    def _read_plain(self, path: str) -> DictConfig | None:
        """Return what a file holds; None if there is none, or it says where that goes or what it extends."""
        if path not in self._files:
            file = self._loader.repository.load_config(path)
            is_plain = file is not None and not file.header.get("package") and not file.defaults_list
            keys = file.config if file is not None and is_plain else None
            self._files[path] = keys if isinstance(keys, DictConfig) else None
        return self._files[path]

    def _find_reached(self, choices: tuple[str, ...]) -> frozenset[str]:
        """Return the keys of the top into which more reaches than one plain file of their group."""
        if choices not in self._reached:
            name, words = self._config.hydra.job.config_name, [*self._own, *choices]
            files = self._loader.compute_defaults_list(name, words, RunMode.RUN).defaults
            sets = [self._keys_reached(str(file.config_path), file.package or "") for file in files]
            self._reached[choices] = frozenset(itertools.chain(*sets))
        return self._reached[choices]

    def _keys_reached(self, path: str, package: str) -> set[str]:
        """Return the keys of the top into which one file of a composition reaches from outside."""
        if _first(package) == "hydra":
            return set()
        if package and path.rpartition("/")[0] == package and self._read_plain(path) is not None:
            return set()
        file = self._loader.repository.load_config(path)
        return {_first(package)} if package or file is None else set(map(str, file.config))


def is_change(override: Override) -> bool:
    """Say whether it changes what is there, in the program's own part, to something that is not computed."""
    return (
        override.type == OverrideType.CHANGE
        and override.package is None
        and not override.is_hydra_override()
        and "$" not in str(override.input_line)
    )


def _first(key: str) -> str:
    return re.split(r"[./@]", key)[0]
