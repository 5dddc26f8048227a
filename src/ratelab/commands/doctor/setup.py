"""What is to be looked at: what training would be given, here and now."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ratelab.config import Config

T = TypeVar("T")


@dataclass(frozen=True)
class Setup:
    """What training would be given.

    Attributes:
        configs: those of the jobs, one at least.
        stores: what `tracking.uri` and `tracking.experiment` name, each pair once; None: no store.
        run_folders: where the folders of runs are made; absolute.
        directory: the project's folder.
        environment: the variables as they were when the program began.
    """

    configs: tuple[Config, ...]
    stores: tuple[tuple[str | None, str], ...]
    run_folders: tuple[Path, ...]
    directory: Path
    environment: Mapping[str, str]


def read_setup(
    overrides: Sequence[str],
    uri: str | None,
    config_dir: str | None,
    config_name: str,
) -> Setup:
    """Compose the configuration that training would have.

    Args:
        overrides: as of training; several jobs may be named.
        uri: of a store to look at instead of that of the configuration.
        config_dir: a folder that is looked into before ratelab's own.
        config_name: of the primary configuration.

    Raises:
        UserError: the configuration is one that training would refuse.
    """
    environment = dict(os.environ)  # passwords that are taken out of a URI, and our own settings, go there
    from omegaconf import OmegaConf

    from ratelab.config.composing import compose_jobs, read_composed

    jobs = compose_jobs(overrides, config_dir, config_name)
    configs = [read_composed(job) for job in jobs]
    places = [OmegaConf.select(job, f"hydra.{way}.dir") for job in jobs for way in ("run", "sweep")]
    stores = [(config.tracking.uri if uri is None else uri, config.tracking.experiment) for config in configs]
    return Setup(
        configs=tuple(configs),
        stores=keep_first(stores),
        run_folders=keep_first(Path.cwd() / place for place in places),
        directory=Path.cwd(),
        environment=environment,
    )


def keep_first(values: Iterable[T]) -> tuple[T, ...]:
    """Return each of the values once, in their order.

    >>> keep_first("abcab")
    ('a', 'b', 'c')
    """
    return tuple(dict.fromkeys(values))
