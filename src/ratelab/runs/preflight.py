"""Hydra's hook before a single run: all that can be refused is refused before anything is written."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ratelab.config.secrets import hide_passwords_in
from ratelab.runs.planned import prepare_run
from ratelab.runtime import handover
from ratelab.validation import UserError

__all__ = ["Preflight"]


class Preflight(Callback):
    """Plans the run before Hydra makes its folder, and keeps the plan for the body of the job."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the run; end the program with one message if it cannot start."""
        with _plain_end():
            hide_passwords_in(config)
            handover.keep(prepare_run(config, config.hydra))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Take passwords out before Hydra saves anything; the launcher plans the jobs."""
        with _plain_end():
            hide_passwords_in(config)


@contextlib.contextmanager
def _plain_end() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        # Hydra turns an exception of a callback into a warning and goes on; this it lets pass.
        sys.exit(str(error))
