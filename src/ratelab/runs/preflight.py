"""Hydra's hook before a single run: all that can be refused is refused before anything is written."""

import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ratelab.runs.planned import prepare_run
from ratelab.runtime import handover
from ratelab.validation import UserError

__all__ = ["Preflight"]


class Preflight(Callback):
    """Plans the run before Hydra makes its folder, and keeps the plan for the body of the job."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the run; end the program with one message if it cannot start."""
        try:
            handover.keep(prepare_run(config, config.hydra))
        except UserError as error:
            # Hydra turns an exception of a callback into a warning and goes on; this it lets pass.
            sys.exit(str(error))
