"""Hydra's hooks before a run and before a sweep: what can be refused is, before anything is written."""

import sys
from functools import partial
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ratelab.config.sweeping import refuse_empty, refuse_repeated, refuse_without_sweep
from ratelab.runs.planned import prepare_run
from ratelab.runtime import handover
from ratelab.tracking.environment import tell_what_is_not_read
from ratelab.validation import UserError

__all__ = ["Preflight"]


class Preflight(Callback):
    """Plans a run before Hydra makes its folder, and keeps the plan for the body of the job.

    Hydra turns an exception of a callback into a warning and goes on; the end of the program it lets pass.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the run; end the program with one message if it cannot start."""
        try:
            _check_words(config)
            refuse_without_sweep(config.hydra.overrides.hydra)
            handover.keep(prepare_run(config, config.hydra))
        except UserError as error:
            sys.exit(str(error))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Look at the words of the sweep; its jobs are planned by sweeper or launcher."""
        try:
            _check_words(config)
            refuse_empty(GlobalHydra.instance().config_loader(), list(config.hydra.overrides.task))
        except UserError as error:
            sys.exit(str(error))


def _check_words(config: DictConfig) -> None:
    """Refuse what would be passed over of the command line; say what is, of the environment."""
    refuse_repeated([*config.hydra.overrides.hydra, *config.hydra.overrides.task])
    select = partial(OmegaConf.select, config, throw_on_resolution_failure=False)
    tell_what_is_not_read(select("tracking.uri"), select("tracking.experiment"))
