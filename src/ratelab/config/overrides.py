"""From overrides, given to another program than the one that trains, to the jobs that they make there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ratelab.config import register_resolvers
from ratelab.config.composing import Composer
from ratelab.validation import UserError

CONF = Path(__file__).parents[3] / "conf"

__all__ = ["OverriddenJob", "jobs_of", "override_key"]


@dataclass(frozen=True)
class OverriddenJob:
    """A job of a sweep that is not run.

    Attributes:
        words: its overrides.
        config: as composed, with Hydra's own part.
    """

    words: tuple[str, ...]
    config: DictConfig


def jobs_of(overrides: Sequence[str]) -> list[OverriddenJob]:
    """Compose the jobs of `overrides` as `-m` does: comma lists, range and glob give several.

    Raises:
        UserError: for whatever Hydra refuses.
    """
    with _hydra() as loader:
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        [jobs] = BasicSweeper.split_arguments([o for o in parsed if not o.is_hydra_override()], None)
        of_hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
        sweep = compose("config", overrides=of_hydra, return_hydra_config=True)
        composer = Composer(HydraContext(loader, Callbacks()), sweep)
        quick = None if of_hydra else loader
        return [OverriddenJob(tuple(words), _job(composer, quick, words)) for words in jobs]


def override_key(override: str) -> str:
    """Return the key of an override.

    >>> override_key("+schedule.power=2")
    'schedule.power'
    """
    return override.lstrip("+~").partition("=")[0]


@contextmanager
def _hydra() -> Iterator[ConfigLoaderImpl]:
    """Start Hydra with the project's configuration; turn its errors into UserError."""
    if not CONF.is_dir():
        raise UserError(f"there is no configuration at {CONF}; install ratelab from its folder with pip -e.")
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)  # noqa: S101 - the only one there is
        try:
            yield loader
        except OverrideParseException as error:
            raise UserError(f"{error.override}: {error.message.splitlines()[0]}") from None
        except HydraException as error:
            raise UserError(str(error)) from None


def _job(composer: Composer, loader: ConfigLoaderImpl | None, words: Sequence[str]) -> DictConfig:
    """Compose a job.

    If nothing else reaches into `schedule`, its file is put into the place of another: what Hydra would make
    of it, without the 50 ms that each choice takes.
    """
    keys = [override_key(word) for word in words]
    reach = [key for key in keys if key.partition(".")[0] in ("schedule", "experiment") or "@" in key]
    if loader is None or reach != ["schedule"]:
        return composer.job(words, 0)
    option = words[keys.index("schedule")].partition("=")[2]
    file = loader.repository.load_config(f"schedule/{option}")
    if file is None or file.header.get("package") or "defaults" in file.config:
        return composer.job(words, 0)
    job = composer.job([word for word, key in zip(words, keys, strict=True) if key != "schedule"], 0)
    with open_dict(job):
        job.schedule, job.hydra.runtime.choices.schedule = file.config, option
    return job
