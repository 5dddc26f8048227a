"""Hydra's sweeper `ratelab`: the basic one, which first checks every job."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.ratelab_launcher import RatelabLauncher
from ratelab.config.sweeping import split_jobs
from ratelab.validation import UserError


@dataclass
class RatelabSweeperConf:
    """The options of the basic sweeper, but no `max_batch_size`: a sweep is one session.

    Attributes:
        params: as in the basic sweeper.
        tuning: how base rates are chosen before schedules are compared, see conf/experiment/tuned.yaml;
            without any of its options: they are not.
    """

    _target_: str = "hydra_plugins.ratelab_sweeper.RatelabSweeper"
    params: dict[str, str] | None = None
    # a mapping, so that an option of it given without the others is refused with one message
    tuning: dict[str, Any] | None = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/sweeper", name="ratelab", node=RatelabSweeperConf, provider="ratelab"
)


class RatelabSweeper(Sweeper):
    """The product of all choices, as in Hydra; a bad job is refused before anything is written."""

    def __init__(self, params: dict[str, str] | None = None, tuning: dict[str, Any] | None = None) -> None:
        self.params, self.tuning = params or {}, tuning or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over, and let it make the launcher."""
        from ratelab.sweeps.jobs import HydraProgram  # plugins are imported at every start, also for --help

        self.program = HydraProgram(hydra_context, task_function, config)
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Plan all jobs, then run them."""
        from ratelab.sweeps.jobs import raise_failure

        words = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        jobs = split_jobs(self.program.context.config_loader, words)
        if self.tuning or self.program.decides:
            if not isinstance(self._launcher, RatelabLauncher):
                what = "hydra.sweeper.tuning" if self.tuning else "decide"
                raise UserError(f"{what} needs hydra/launcher=ratelab or hydra/launcher=ray.")
            resources = self._launcher.read_resources()
            if not self.tuning:
                from ratelab.sweeps.decided import sweep_decided

                return sweep_decided(self.program, resources, jobs)
            from ratelab.sweeps.tuned import sweep_tuned

            return sweep_tuned(self.program, resources, jobs, self.tuning)
        launch = partial(self._launcher.launch, jobs, initial_job_idx=0)
        if isinstance(self._launcher, RatelabLauncher):  # which plans, and prints what the runs say
            returns = launch()
        else:
            from ratelab.sweeps.elsewhere import run_elsewhere
            from ratelab.sweeps.jobs import plan_jobs, save_sweep_config

            planned = plan_jobs(self.program, jobs)
            save_sweep_config(self.program)
            returns = run_elsewhere(self.program, planned, launch)
        raise_failure(returns)
        return [returns]
