"""Hydra's hooks: what can be refused is refused, and a sweep is named, before anything is written."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ratelab.config.secrets import hide_passwords_in
from ratelab.config.sweeping import refuse_empty, refuse_repeated, refuse_without_sweep
from ratelab.runs.planned import prepare_run
from ratelab.runs.resuming import find_folder
from ratelab.runs.sweep_identity import identify_sweep
from ratelab.runtime import handover
from ratelab.tracking.environment import tell_what_is_not_read
from ratelab.validation import UserError


class Preflight(Callback):
    """Plans a run before Hydra makes its folder, and keeps the plan for the body; names a sweep.

    Hydra turns an exception of a callback into a warning and goes on; the end of the program it lets pass.

    Args:
        sweep_id: none before a sweep has its name; its jobs carry it here.
    """

    def __init__(self, sweep_id: str | None = None) -> None:
        self.sweep_id = sweep_id

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the run; end the program with one message if it cannot start."""
        with _end_plainly():
            _check_words(config)
            refuse_without_sweep(config.hydra.overrides.hydra)
            if (folder := find_folder(config, "run")) is not None:
                config.hydra.run.dir = str(folder)
            handover.keep(prepare_run(config, config.hydra))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Look at the words of the sweep, give it its id and a folder of its own.

        Its jobs are planned by sweeper or launcher.
        """
        with _end_plainly():
            _check_words(config)
            refuse_empty(GlobalHydra.instance().config_loader(), list(config.hydra.overrides.task))
            message = identify_sweep(config, find_folder(config, "sweep"))
        if message:
            sys.stdout.write(f"{message}\n")


def _check_words(config: DictConfig) -> None:
    """Take passwords out; refuse what would be passed over of the words, say what is of the environment."""
    hide_passwords_in(config)
    refuse_repeated([*config.hydra.overrides.hydra, *config.hydra.overrides.task])
    select = partial(OmegaConf.select, config, throw_on_resolution_failure=False)
    tell_what_is_not_read(select("tracking.uri"), select("tracking.experiment"))


@contextlib.contextmanager
def _end_plainly() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        sys.exit(str(error))
