"""Hydra's and OmegaConf's private parts that are used here: the one place to mend when one is moved.

Hydra publishes no way to compose the jobs of a sweep, nor its basic sweeper; pyproject.toml therefore bounds
both from above, and tests/unit/test_hydra_internals.py says which part has moved.
"""

import copy
import functools
import math
import pickle
from collections.abc import Sequence
from typing import Any, Self

from hydra._internal import hydra as program
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, base, grammar_parser

from ratelab.config.hydra_part import refuse_actions
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


class _GuardedLoader(ConfigLoaderImpl):
    """Refuses a configuration before anybody has seen it."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = _FilesReadOnce(config_search_path)

    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Compose as Hydra does; raise UserError for what `refuse_actions` does not let pass.

        Hydra has messages for most mistakes in a list of defaults, and bare errors for the others.
        """
        try:
            config = super().load_configuration(*args, **kwargs)
        except ConfigCompositionException as error:
            raise error from error.__cause__ or self._find_missing(*args, **kwargs)
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

    def _find_missing(
        self, config_name: str | None, overrides: Sequence[str], *args: Any, **kwargs: Any
    ) -> BaseException | None:
        """Return the error that names the key of a deletion that there is not, and what there is beside it.

        Hydra has it for a key that is set, so what is to be deleted is set here, among the other words.
        """
        as_set = [word[1:] if "=" in word else f"{word[1:]}=null" for word in overrides if word[0] == "~"]
        others = [word for word in overrides if word[0] not in "~+"]
        try:
            super().load_configuration(config_name, [*others, *as_set], *args, **kwargs)
        except HydraException as error:
            return error.__cause__ or error
        return None


def guard_composition() -> None:
    """Let Hydra look at every configuration with `refuse_actions`, before it makes anything of it.

    Hydra's callbacks come too late for that: by then all of them are made, and logging is set.
    """
    program.ConfigLoaderImpl = _GuardedLoader  # type: ignore[attr-defined] # where Hydra looks


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
