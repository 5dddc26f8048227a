"""Hydra's launcher `ratelab`: a thin adapter over ratelab.sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class RatelabLauncherConf:
    """The launcher has no options yet."""

    _target_: str = "hydra_plugins.ratelab_launcher.RatelabLauncher"


ConfigStore.instance().store(
    group="hydra/launcher", name="ratelab", node=RatelabLauncherConf, provider="ratelab"
)


class RatelabLauncher(Launcher):
    """Runs the jobs of a sweep as one session: one parent run, one comparison."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; a job that fails does not keep the others from running."""
        from ratelab import sweep  # plugins are imported at every start, also for --help

        return sweep.launch(
            self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx
        )
