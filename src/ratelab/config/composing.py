"""Configurations as Hydra composes them: of a sweep's jobs, or of overrides without a program around them."""

import itertools
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from ratelab.config.command_line import read_words
from ratelab.config.hydra_internals import Callbacks, ConfigLoaderImpl, get_overrides_dirname
from ratelab.config.options import Options, is_change
from ratelab.config.schema import Config, read, register_resolvers
from ratelab.config.search_path import CONF, OF_THE_USER, search_first
from ratelab.config.suggestions import suggest
from ratelab.config.sweeping import refuse_repeated, split_jobs
from ratelab.runtime.provenance import flatten
from ratelab.validation import UserError


class Composer:
    """Composes the jobs of a sweep as Hydra's `load_sweep_config` does, in a fifth of its time or less.

    Jobs that differ only in values, and in options of groups that nothing else reaches into, start from
    a copy of one composition.

    Args:
        context: what Hydra hands to sweepers and launchers.
        config: the configuration of the sweep.
    """

    def __init__(self, context: HydraContext, config: DictConfig) -> None:
        assert isinstance(context.config_loader, ConfigLoaderImpl)  # noqa: S101 - the only one there is
        self._loader, self._config = context.config_loader, config
        OmegaConf.select(config, "hydra.sweep.dir")  # resolved once, here: all jobs share its date and digits
        self._options = Options(self._loader, config)
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._parsed: dict[str, Override] = {}
        self._pickled: dict[tuple[str, ...], bytes] = {}
        if not config.hydra.overrides.task:
            self._pickled[()] = pickle.dumps(config)

    def job(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Return the configuration of job `number`.

        Raises:
            HydraException: for an override that Hydra refuses.
        """
        job = self._quickly(overrides)
        if job is None:
            job = self._loader.load_sweep_config(self._config, list(overrides))
        with open_dict(job):
            job.hydra.job.id = f"{self._config.hydra.job.name}_{number}"
            job.hydra.job.num = number
        return job

    def _quickly(self, overrides: Sequence[str]) -> DictConfig | None:
        """Set options and values in a copy of the composition without them; None where that could differ."""
        if self._config.hydra.searchpath:  # the loader's own files are not all that there are
            return None
        parsed = [self._parse(override) for override in overrides]
        plain = [override for override in parsed if self._is_plain(override)]
        options = self._options.choose([override for override in parsed if override not in plain])
        others = [override for override in parsed if override not in options and override not in plain]
        if not _apart([override.key_or_group for override in parsed if override not in options]):
            return None
        job = self._compose(tuple(str(override.input_line) for override in others))
        with open_dict(job):
            for override in options:
                job[override.key_or_group] = self._options.read(override)
                job.hydra.runtime.choices[override.key_or_group] = override.value()
        try:
            for override in plain:
                OmegaConf.update(job, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:  # Hydra has the better message
            return None
        _name_overrides(job, parsed)
        return job

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        """Return a composition of Hydra's, of one's own."""
        if overrides not in self._pickled:
            job = self._loader.load_sweep_config(self._config, list(overrides))
            self._pickled[overrides] = pickle.dumps(job)
        # Composing reads and merges a dozen files, 60 ms; loading takes 1, `copy.deepcopy` 3.
        job = pickle.loads(self._pickled[overrides])  # noqa: S301 - made above
        assert isinstance(job, DictConfig)  # noqa: S101 - what was pickled
        return job

    def _parse(self, override: str) -> Override:
        if override not in self._parsed:
            self._parsed[override] = self._parser.parse_overrides([override])[0]
        return self._parsed[override]

    def _is_plain(self, override: Override) -> bool:
        """Say whether it only sets a value of the program's own, which Hydra does after all else."""
        return (
            is_change(override)
            and not override.is_sweep_override()
            and override.key_or_group != "allow_targets"  # which decides what Hydra may compose
            and not self._options.is_group(override.key_or_group)
        )


def _apart(keys: Sequence[str]) -> bool:
    """Say whether no key is another one, or a part of it: then their order does not matter."""
    ordered = sorted(f"{key}." for key in keys)
    return not any(b.startswith(a) for a, b in itertools.pairwise(ordered))


def _name_overrides(job: DictConfig, parsed: Sequence[Override]) -> None:
    """Say in Hydra's own part of the configuration which overrides made it."""
    own = [override for override in parsed if not override.is_hydra_override()]
    names = job.hydra.job.config.override_dirname
    with open_dict(job.hydra):
        job.hydra.overrides.task = [override.input_line for override in own]
        job.hydra.job.override_dirname = get_overrides_dirname(
            overrides=own,
            kv_sep=names.kv_sep,
            item_sep=names.item_sep,
            exclude_keys=names.exclude_keys,
        )


def compose_jobs(
    overrides: Sequence[str], config_dir: str | None = None, config_name: str = "config"
) -> list[DictConfig]:
    """Compose the jobs of `overrides` as `-m` does, without a program of Hydra's around them.

    Args:
        overrides: as on the command line; comma lists, range and glob give several jobs.
        config_dir: a folder that is looked into before the project's.
        config_name: of the primary configuration.

    Returns:
        The configuration of each job, with Hydra's own part.

    Raises:
        UserError: for whatever Hydra refuses.
    """
    overrides = read_words(overrides)
    with start_hydra(config_dir) as loader:
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
        of_hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
        refuse_repeated(overrides)
        jobs = split_jobs(loader, [word for word in overrides if word not in of_hydra])
        # what is given to Hydra may be about keys that an experiment brings
        whole = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
        sweep = compose(config_name, overrides=whole if of_hydra else [], return_hydra_config=True)
        composer = Composer(HydraContext(loader, Callbacks()), sweep)
        return [composer.job(words, 0) for words in jobs]


def read_composed(cfg: DictConfig) -> Config:
    """Resolve and check a composed configuration; Hydra's own part is left aside.

    Raises:
        UserError: naming what is wrong.
    """
    try:
        values = {str(key): _resolve(cfg, key) for key in cfg if key != "hydra"}
    except MissingMandatoryValue as error:
        key = error.full_key
        raise UserError(f"{key} has no default and must be given: {key}=...") from None
    except OmegaConfBaseException as error:
        raise UserError(str(error).partition("\n")[0]) from None
    try:
        return read(values)
    except UserError as error:
        raise UserError(f"{error}{_explain_text(cfg, str(error))}") from None


def overrides_of(hydra: Any) -> tuple[str, ...]:
    """Return the overrides that made a job as they were given, from Hydra's part of its configuration."""
    # Not resolved: what an override takes from the environment may be a secret.
    words = OmegaConf.to_container(hydra.overrides.task)
    assert isinstance(words, list)  # noqa: S101 - by Hydra's schema
    return tuple(map(str, words))


def _resolve(cfg: DictConfig, key: Any) -> Any:
    """Return the plain value of a key; a file may have numbers for keys."""
    value = cfg[key]
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)


def _explain_text(cfg: DictConfig, refusal: str) -> str:
    """Say how a number comes from the environment, where the refusal is about a text that came from there."""
    written = flatten(cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False)))
    for key, value in written.items():
        name = key.rpartition(".")[2]
        if f"{name} must be" in refusal and str(value).startswith("${oc.env:"):
            word = f"'{key}=\"${{oc.decode:{value}}}\"'"
            return f"; {value} is a text, for a number write {word}"
    return ""


@contextmanager
def start_hydra(config_dir: str | None) -> Iterator[ConfigLoaderImpl]:
    """Start Hydra with the project's configuration, and the user's; turn its errors into UserError.

    Whatever else uses Hydra in this process has it back after the block.
    """
    if config_dir is not None and not os.path.isdir(config_dir):  # noqa: PTH112 - see `refuse_missing_folder`
        raise UserError(f"config_dir must be a folder, got {config_dir!r:.200}, which is none.")
    register_resolvers()
    with initialize_config_dir(str(CONF), job_name="ratelab", version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)  # noqa: S101 - the only one there is
        if config_dir is not None:
            loader.config_search_path.append(OF_THE_USER, str(Path(config_dir).absolute()))
            search_first(loader.config_search_path)
            loader.repository.initialize_sources(loader.config_search_path)
        try:
            yield loader
        except UserError:
            raise
        except OverrideParseException as error:
            raise UserError(f"{error.override}: {error.message.splitlines()[0]}") from None
        except HydraException as error:
            raise UserError(f"{error}\n{suggest(error)}".rstrip()) from None
