"""What identifies a sweep: an id that nobody chose, and a folder that no other sweep has, in every job."""

import hashlib
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ratelab.config.schema import RESUMING
from ratelab.runs.past import read_past
from ratelab.validation import UserError

_PLACE = "callbacks.preflight.sweep_id"
# The same date and digits as in the default folder: resolvers answer once a configuration.
_ID = "${now:%Y-%m-%d}-${now:%H-%M-%S}-${ratelab.unique:}"
_LEFT_BY_A_SWEEP = ("multirun.yaml", "report.html")


def identify_sweep(config: DictConfig, resumed: Path | None = None) -> str:
    """Give a sweep its id, and a folder within its own where that holds a sweep already; nothing is written.

    Both become overrides of Hydra's: of these every job is composed, whoever launches it, on any machine.

    Args:
        config: of the sweep, before Hydra makes its sweeper; it is changed.
        resumed: the folder of the sweep that is to go on, whose id it keeps; None for a new one.

    Returns:
        What to tell the user; empty if there is nothing to tell.

    Raises:
        UserError: the folder that was given cannot be resolved.
    """
    with open_dict(config.hydra):
        if resumed is not None:
            past = read_past(resumed)
            assert past is not None  # noqa: S101 - it was found by its journal
            _override(config, _PLACE, str(past.program["sweep_id"]))
            _override(config, "sweep.dir", str(resumed))
            _keep_names(config)
            return ""
        OmegaConf.update(config.hydra, _PLACE, _ID)
        sweep_id = str(OmegaConf.select(config.hydra, _PLACE))
        _override(config, _PLACE, sweep_id)
        folder = _read_folder(config)
        # unlike Path.exists it says no of a name that cannot be one: of that the error comes when it is made
        if not any(os.path.exists(folder / name) for name in _LEFT_BY_A_SWEEP):  # noqa: PTH110
            return ""
        _override(config, "sweep.dir", str(folder / sweep_id))
    return f"{folder} holds a sweep already; this one goes to {folder / sweep_id}."


def _read_folder(config: DictConfig) -> Path:
    try:
        return Path(str(config.hydra.sweep.dir))
    except OmegaConfBaseException as error:
        raise UserError(f"hydra.sweep.dir: {str(error).splitlines()[0]}; give another one.") from None


def sweep_id_of(hydra: Any) -> str:
    """Return the id of the sweep that a configuration of Hydra's belongs to.

    Args:
        hydra: Hydra's own part, of the sweep or of one of its jobs.
    """
    sweep_id = OmegaConf.select(hydra, _PLACE)
    if sweep_id is not None:
        return str(sweep_id)
    # Without our hook, in a configuration that leaves it out, the folder is all that its jobs share.
    folder = str(Path(str(hydra.sweep.dir)).absolute())
    return f"sweep-{hashlib.sha256(folder.encode()).hexdigest()[:8]}"


def _keep_names(config: DictConfig) -> None:
    """Let a job be named as before it went on: its folder, where its journal is, may be called so."""
    key = "job.config.override_dirname.exclude_keys"
    keys = [*OmegaConf.select(config.hydra, key), *RESUMING]
    OmegaConf.update(config.hydra, key, keys)
    config.hydra.overrides.hydra.append(f"hydra.{key}=[{','.join(keys)}]")


def _override(config: DictConfig, key: str, value: str) -> None:
    """Set a key of Hydra's own, here and in every job that is composed from here."""
    OmegaConf.update(config.hydra, key, value)
    quoted = value.replace("\\'", "\\\\'").replace("'", "\\'")
    config.hydra.overrides.hydra.append(f"hydra.{key}='{quoted}'")
