"""All that can be refused is refused before anything is written: config, data, device, store."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ratelab import config as configuration
from ratelab.config import Config
from ratelab.runs.job_of import plan
from ratelab.runtime import devices
from ratelab.tracking import prepare_store
from ratelab.validation import UserError

__all__ = ["Preflight", "check", "prepare", "read"]


class Preflight(Callback):
    """Hydra's hook before a single run: it comes before Hydra makes the job folder."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check the run; end the program with one message if it cannot start."""
        try:
            prepare(read(config), Path(config.hydra.runtime.cwd))
        except UserError as error:
            # Hydra turns an exception of a callback into a warning and goes on; this it lets pass.
            sys.exit(str(error))


def read(cfg: DictConfig) -> Config:
    """Resolve and check a composed configuration, without Hydra's own part.

    Raises:
        UserError: naming what is wrong.
    """
    try:
        own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        values = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(str(error).partition("\n")[0]) from None
    assert isinstance(values, dict)  # noqa: S101 - a DictConfig gives a dict
    return configuration.read({str(key): value for key, value in values.items()})


def prepare(config: Config, directory: Path) -> Config:
    """Check the job by itself, then open the store.

    Args:
        config: as `read` returns it.
        directory: what relative paths start from.

    Returns:
        The configuration, its paths and the URI of the store absolute.

    Raises:
        UserError: for the first thing that stands in the way; nothing was written.
    """
    config = check(config, directory)
    if config.tracking.uri is None:
        return config
    store = config.tracking.model_copy(update={"uri": prepare_store(config.tracking.uri, directory)})
    return config.model_copy(update={"tracking": store})


def check(config: Config, directory: Path) -> Config:
    """Check the device, the data and the job as a whole; return the configuration with absolute paths.

    Raises:
        UserError: for the first thing that stands in the way; nothing was written.
    """
    if config.data.dir is not None:
        located = config.data.model_copy(update={"dir": str(directory / config.data.dir)})
        config = config.model_copy(update={"data": located})
    if config.device.kind == "gpu":
        devices.configure(config.device)
    plan(config)
    return config
