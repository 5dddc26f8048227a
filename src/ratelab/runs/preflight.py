"""Hydra's hooks before a run and before a sweep: what can be refused is, before anything is written."""

import sys
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ratelab.config.sweeping import refuse_empty, refuse_repeated, refuse_without_sweep
from ratelab.runs.planned import prepare_run
from ratelab.runtime import handover
from ratelab.validation import UserError

__all__ = ["Preflight"]


class Preflight(Callback):
    """Plans a run before Hydra makes its folder, and keeps the plan for the body of the job.

    Hydra turns an exception of a callback into a warning and goes on; the end of the program it lets pass.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the run; end the program with one message if it cannot start."""
        given = config.hydra.overrides
        try:
            refuse_repeated([*given.hydra, *given.task])
            refuse_without_sweep(given.hydra)
            handover.keep(prepare_run(config, config.hydra))
        except UserError as error:
            sys.exit(str(error))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Look at the words of the sweep; its jobs are planned by sweeper or launcher."""
        given = config.hydra.overrides
        try:
            refuse_repeated([*given.hydra, *given.task])
            refuse_empty(GlobalHydra.instance().config_loader(), list(given.task))
        except UserError as error:
            sys.exit(str(error))
