"""Hydra's hooks: what can be refused is refused, and a sweep is named, before anything is written."""

import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ratelab.runs.planned import prepare_run
from ratelab.runs.sweep_identity import identify_sweep
from ratelab.runtime import handover
from ratelab.validation import UserError

__all__ = ["Preflight"]


class Preflight(Callback):
    """Plans a run before Hydra makes its folder, and keeps the plan for the body; names a sweep.

    Args:
        sweep_id: none before a sweep has its name; its jobs carry it here.
    """

    def __init__(self, sweep_id: str | None = None) -> None:
        self.sweep_id = sweep_id

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the run; end the program with one message if it cannot start."""
        try:
            handover.keep(prepare_run(config, config.hydra))
        except UserError as error:
            # Hydra turns an exception of a callback into a warning and goes on; this it lets pass.
            sys.exit(str(error))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Give the sweep its id, and a folder of its own."""
        try:
            message = identify_sweep(config)
        except UserError as error:
            sys.exit(str(error))  # as above
        if message:
            sys.stdout.write(f"{message}\n")
