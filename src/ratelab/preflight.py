"""All that can be refused is refused before anything is written: config, data, device, store."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ratelab import config as configuration
from ratelab import data, devices
from ratelab.config import Config
from ratelab.tracking import prepare_store
from ratelab.validation import UserError

__all__ = ["Preflight", "prepare", "read"]


class Preflight(Callback):
    """Hydra's hook before a single run: it comes before Hydra makes the job folder."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check the run; end the program with one message if it cannot start."""
        try:
            prepare(config, Path(config.hydra.runtime.cwd))
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


def prepare(cfg: DictConfig, directory: Path) -> Config:
    """Check the configuration, load the data, set the device and open the store, in this order.

    Args:
        cfg: as Hydra composed it.
        directory: what relative paths start from.

    Returns:
        The typed configuration, its paths and the URI of the store absolute.

    Raises:
        UserError: for the first thing that stands in the way; nothing was written.
    """
    config = read(cfg)
    configuration.make_schedule(config, steps=1)
    if config.data.dir is not None:
        located = config.data.model_copy(update={"dir": str(directory / config.data.dir)})
        config = config.model_copy(update={"data": located})
    if config.device.kind == "gpu":
        devices.configure(config.device)
    data.load(config.data.name, directory=config.data.dir, validation_size=config.validation_size)
    if config.tracking.uri is None:
        return config
    store = config.tracking.model_copy(update={"uri": prepare_store(config.tracking.uri, directory)})
    return config.model_copy(update={"tracking": store})
