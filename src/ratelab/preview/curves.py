"""From the overrides of a sweep to the rates of its jobs: no data is loaded, no TensorFlow imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ratelab.composition import Composer
from ratelab.config import Config, make_schedule, register_resolvers
from ratelab.data import training_examples
from ratelab.preflight import read
from ratelab.schedules import tabulate
from ratelab.validation import UserError

CONF = Path(__file__).parents[3] / "conf"


@dataclass(frozen=True, eq=False)
class Curve:
    """The rates of one job.

    Attributes:
        name: the schedule, and whatever else differs between the jobs.
        rates: float32[steps].
    """

    name: str
    rates: npt.NDArray[np.float32]


def curves(overrides: Sequence[str], steps: int | None = None) -> tuple[list[Curve], list[str]]:
    """Compose the jobs of `overrides` as `-m` does and tabulate their schedules.

    Args:
        overrides: as for training; comma lists, range and glob give several jobs.
        steps: the length of the run; by default what epochs, batch size and data make of it.

    Returns:
        The curves, and the names of the jobs whose schedule depends on more than the step.

    Raises:
        UserError: for whatever Hydra or the schema refuses.
    """
    drawn: list[Curve] = []
    left_out: list[str] = []
    for name, config in _jobs(overrides):
        length = _steps(config) if steps is None else steps
        schedule = make_schedule(config, length)
        if callable(schedule):
            drawn.append(Curve(name, tabulate(schedule, length)))
        else:
            left_out.append(name)
    return drawn, left_out


def _jobs(overrides: Sequence[str]) -> list[tuple[str, Config]]:
    """Return the name and the configuration of each job."""
    if not CONF.is_dir():
        raise UserError(f"there is no configuration at {CONF}; install ratelab from its folder with pip -e.")
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return _composed(overrides)
        except OverrideParseException as error:
            raise UserError(f"{error.override}: {error.message.splitlines()[0]}") from None
        except HydraException as error:
            raise UserError(str(error)) from None


def _composed(overrides: Sequence[str]) -> list[tuple[str, Config]]:
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)  # noqa: S101 - the only one there is
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    [jobs] = BasicSweeper.split_arguments([o for o in parsed if not o.is_hydra_override()], None)
    of_hydra = [str(override.input_line) for override in parsed if override.is_hydra_override()]
    sweep = compose("config", overrides=of_hydra, return_hydra_config=True)
    composer = Composer(HydraContext(loader, Callbacks()), sweep)
    composed = [_job(composer, None if of_hydra else loader, words) for words in jobs]
    return [(_name(cfg, words, jobs), read(cfg)) for cfg, words in zip(composed, jobs, strict=True)]


def _job(composer: Composer, loader: ConfigLoaderImpl | None, words: Sequence[str]) -> DictConfig:
    """Compose a job.

    If nothing else reaches into `schedule`, its file is put into the place of another: what Hydra would make
    of it, without the 50 ms that each choice takes.
    """
    keys = [word.lstrip("+~").partition("=")[0] for word in words]
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


def _name(cfg: DictConfig, words: Sequence[str], jobs: Sequence[Sequence[str]]) -> str:
    """Name a job after its schedule and the other words that not all jobs have."""
    others = [
        word
        for word in words
        if not word.startswith("schedule=") and any(word not in other_words for other_words in jobs)
    ]
    return " ".join([str(cfg.hydra.runtime.choices["schedule"]), *others])


def _steps(config: Config) -> int:
    """Return the number of updates of the run."""
    examples = training_examples(config.data.name) - config.data.validation_size
    if not 1 <= config.batch_size <= examples:
        raise UserError(
            f"batch_size must be at most {examples}, the training examples, got {config.batch_size}."
        )
    return config.epochs * (examples // config.batch_size)
