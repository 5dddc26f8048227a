"""Hydra's and OmegaConf's private parts that are used here: the one place to mend when one is moved.

Hydra publishes no way to compose the jobs of a sweep, nor its basic sweeper; pyproject.toml therefore bounds
both from above, and tests/unit/test_hydra_internals.py says which part has moved.
"""

import copy
import functools
import math
import os
import pickle
from collections.abc import Sequence
from typing import Any, Self

from hydra._internal import defaults_list
from hydra._internal import hydra as program
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.defaults_list import Overrides
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import GroupDefault, ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf, base, grammar_parser

from ratelab.config.hydra_part import refuse_actions
from ratelab.config.search_path import SCHEME, search_first
from ratelab.validation import UserError

MOST_RUNS = 10_000  # to plan them takes a minute, and a gigabyte
SECONDS_A_RUN = 10  # of a short one

__all__ = [
    "Callbacks",
    "ConfigLoaderImpl",
    "FileConfigSource",
    "asks_only",
    "count_values",
    "get_overrides_dirname",
    "guard_composition",
    "put_options_first",
    "refuse_missing_folder",
    "refuse_number",
    "remember_interpolations",
    "split_overrides",
]


class _FilesReadOnce(ConfigRepository):
    """Reads a file once for all compositions of a program, of which a sweep has three or more."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Look into other folders from now on."""
        super().initialize_sources(config_search_path)
        self._pickled: dict[str, bytes] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return what a file holds, in a copy of one's own: who composes may change it."""
        if config_path not in self._pickled:
            self._pickled[config_path] = pickle.dumps(super().load_config(config_path))
        loaded: ConfigResult | None = pickle.loads(self._pickled[config_path])  # noqa: S301 - made above
        return loaded

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return one that shares what was read; Hydra takes a copy for each composition."""
        return copy.copy(self)


class _Overrides(Overrides):
    """Lets an option of the command line, such as an experiment, choose others before any file does.

    To Hydra the outer file comes first: in a primary one that extends ours, experiments are inside of ours.
    """

    def add_override(self, parent_config_path: str, default: GroupDefault) -> None:
        """Note an `override` of a file's list of defaults; Hydra passes over all but the first of a group."""
        key = default.get_override_key()
        earlier = self.override_metadata.get(key)
        if earlier and self._rank(earlier.containing_config_path) < self._rank(parent_config_path):
            del self.override_choices[key]
        super().add_override(parent_config_path, default)

    def _rank(self, path: str | None) -> int:
        """Say how much the choice of a file counts; of files that count the same it is the outer one's."""
        given = [key for key, one in self.override_metadata.items() if one.external_override]
        added = [one.group for one in self.append_group_defaults]
        if path is None:
            return 3  # the command line itself
        if any(path.startswith(f"{group}/") for group in given + added):
            return 2
        return 0 if path == "config" else 1  # ours is what others extend


def _is_experiment(path: str | None) -> bool:
    return path is not None and path.startswith("experiment/")


def _is_of_experiment(default: ResultDefault) -> bool:
    """Say whether a file is an experiment, or one that an experiment includes."""
    return _is_experiment(default.config_path) or _is_experiment(default.parent)


class _GuardedLoader(ConfigLoaderImpl):
    """Refuses a configuration before anybody has seen it."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        search_first(config_search_path)
        super().__init__(config_search_path)
        self._primary: str | None = None
        self._puts_experiments_last = False
        self.repository = _FilesReadOnce(config_search_path)

    def load_configuration(
        self, config_name: str | None, overrides: list[str], *args: Any, **kwargs: Any
    ) -> DictConfig:
        """Compose as Hydra does; raise UserError for what `refuse_actions` does not let pass.

        Hydra has messages for most mistakes in a list of defaults, and bare errors for the others.
        """
        self._primary = config_name
        self._puts_experiments_last = any(word.startswith("experiment=") for word in overrides)
        try:
            config = super().load_configuration(config_name, overrides, *args, **kwargs)
        except MissingConfigException as error:
            raise self._explain_missing(error) from None
        except ConfigCompositionException as error:
            cause = error.__cause__ or self._find_missing(config_name, overrides, *args, **kwargs)
            if isinstance(cause, UserError):  # of the primary configuration: overrides are not what is wrong
                raise cause from None
            raise error from cause
        except HydraException:
            raise
        except RecursionError:
            raise UserError("a configuration includes itself; look at its list of defaults.") from None
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"the configuration cannot be composed: {reason}; mend its keys or its defaults."
            ) from None
        refuse_actions(config, BasicSweeper.__module__.rpartition(".")[0])
        return config

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: Any) -> DictConfig:
        """Merge the files; raise UserError for a primary one that does not extend the project's.

        An experiment of the command line comes after the keys of a primary one, see `_Overrides`. Overrides
        come after all: they may be about keys that only ours has.
        """
        if self._puts_experiments_last:
            defaults = sorted(defaults, key=_is_of_experiment)
        config: DictConfig = super()._compose_config_from_defaults_list(defaults, repo)
        is_ours = any(source.scheme() == SCHEME for source in self.get_sources())
        if is_ours and self._primary and not OmegaConf.select(config, "hydra.callbacks.preflight"):
            raise UserError(
                f"{self._primary}: the configuration lacks most of its keys; one of your own begins with "
                "`defaults: [config, _self_]`."
            )
        return config

    def _explain_missing(self, error: MissingConfigException) -> HydraException | UserError:
        """Return the error for a file that there is not; the options beside it are known afterwards."""
        missing = error.missing_cfg_file or ""
        error.options = self.repository.get_group_options(missing.rpartition("/")[0])
        if missing != self._primary:
            return error
        ours = [source for source in self.get_sources() if source.scheme() == SCHEME]
        names = {name for source in ours for name in source.list("", ObjectType.CONFIG)}
        folders = " or ".join(str(source.path) for source in ours)
        return UserError(
            f"--config-name: there is no {missing!r} in {folders}; there are {', '.join(sorted(names))}."
        )

    def _find_missing(
        self, config_name: str | None, overrides: Sequence[str], *args: Any, **kwargs: Any
    ) -> BaseException | None:
        """Return the error that names the key of a deletion that there is not, and what there is beside it.

        Hydra has it for a key that is set, so what is to be deleted is set here, among the other words. Where
        nothing is deleted, the files alone are composed: it may be them that are wrong.
        """
        as_set = [word[1:] if "=" in word else f"{word[1:]}=null" for word in overrides if word[0] == "~"]
        others = [word for word in overrides if word[0] not in "~+"]
        try:
            super().load_configuration(config_name, [*others, *as_set] if as_set else [], *args, **kwargs)
        except HydraException as error:
            return error.__cause__ or error
        return None


def guard_composition() -> None:
    """Let Hydra look at every configuration with `refuse_actions`, before it makes anything of it.

    Hydra's callbacks come too late for that: by then all of them are made, and logging is set.
    """
    program.ConfigLoaderImpl = _GuardedLoader  # type: ignore[attr-defined] # where Hydra looks
    defaults_list.Overrides = _Overrides  # type: ignore[misc]


def remember_interpolations() -> None:
    """Let OmegaConf parse a text with `${...}` once; what it stands for is found anew each time.

    Composing asks for a dozen of them again and again, and each takes most of a millisecond.
    """
    base.parse = functools.lru_cache(maxsize=1_000)(grammar_parser.parse)  # type: ignore[attr-defined]


def put_options_first(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with Hydra's options before all overrides, as argparse wants them.

    A mistake in the options ends the program with argparse's message.

    >>> put_options_first(["seed=1", "-m", "schedule=fixed,cosine"])
    ['-m', 'seed=1', 'schedule=fixed,cosine']
    """
    overrides = get_args_parser().parse_intermixed_args(list(words)).overrides
    return [*(word for word in words if word not in overrides), *overrides]


def refuse_missing_folder(words: Sequence[str]) -> None:
    """Raise UserError if `--config-dir` of a command line names no folder; Hydra does not name the option.

    >>> refuse_missing_folder(["--config-dir=nowhere"])
    Traceback (most recent call last):
    ratelab.validation.UserError: --config-dir: there is no folder 'nowhere'.
    """
    folder = get_args_parser().parse_intermixed_args(list(words)).config_dir
    if folder == "" or (folder is not None and not os.path.isdir(folder)):  # noqa: PTH112 - Path raises for long names
        raise UserError(f"--config-dir: there is no folder {folder!r}.")


def asks_only(words: Sequence[str]) -> bool:
    """Say whether a command line asks for something to be printed, and not for a run.

    >>> asks_only(["--cfg", "job", "seed=1"]), asks_only(["-m", "seed=1,2"])
    (True, False)
    """
    args = get_args_parser().parse_intermixed_args(list(words))
    # Not `--info`, which is printed by a log: that would print a traceback of what cannot be printed.
    return bool(args.help or args.hydra_help or args.cfg or args.shell_completion)


def split_overrides(loader: ConfigLoader, words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job that `words` make: the product of all comma lists, ranges and globs.

    Raises:
        UserError: for more jobs than can be planned; none has been made then.
        HydraException: for a word that is no override, or sweeps over what has no list of values.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    refuse_number(math.prod(count_values(override) for override in overrides))
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return jobs


def refuse_number(runs: int) -> None:
    """Raise UserError if a sweep has more runs than it may.

    >>> refuse_number(10**8)
    Traceback (most recent call last):
    ratelab.validation.UserError: a sweep has at most 10,000 runs, this one would have 100,000,000: with 10 s
    a run 11,574.0 days. Give fewer values, or start several sweeps.
    """
    if runs > MOST_RUNS:
        # In whole numbers: a product of ranges may be beyond float64.
        days = runs * SECONDS_A_RUN // 8640
        shown = f"{runs:,}" if runs < 10**18 else "more than 10^18"
        raise UserError(
            f"a sweep has at most {MOST_RUNS:,} runs, this one would have {shown}: with {SECONDS_A_RUN} s "
            f"a run {min(days, 10**18) // 10:,}.{days % 10} days. Give fewer values, or start several sweeps."
        )


def count_values(override: Override) -> int:
    """Return how many values an override gives, without making a list of them."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None and value.step:
        number = (float(value.stop) - float(value.start)) / float(value.step)
        if not math.isfinite(number):
            raise UserError(f"{override.input_line}: the bounds of a range must be finite.")
        return max(0, math.ceil(number))
    return 1
