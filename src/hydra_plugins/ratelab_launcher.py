"""Hydra's launcher `ratelab`: a thin adapter over ratelab.sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from ratelab.sweeps.resources import Resources


@dataclass
class RatelabLauncherConf:
    """Runs of one seed are trained together, in as many processes as there are cores.

    Attributes:
        stack: false trains each run by itself.
        largest_stack: runs trained together.
        workers: processes; null: one a core.
        memory: GiB for all workers together; null: three quarters of what is free.
    """

    _target_: str = "hydra_plugins.ratelab_launcher.RatelabLauncher"
    stack: bool = True
    largest_stack: int = 4
    workers: int | None = None
    memory: float | None = None


ConfigStore.instance().store(
    group="hydra/launcher", name="ratelab", node=RatelabLauncherConf, provider="ratelab"
)


class RatelabLauncher(Launcher):
    """Runs the jobs of a sweep as one: one parent run, one comparison."""

    def __init__(self, **options: object) -> None:
        """Keep the options: a mistake in them is told when they are read, with one message."""
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        from ratelab.sweeps.jobs import HydraProgram  # plugins are imported at every start, also for --help

        self.program = HydraProgram(hydra_context, task_function, config)

    def read_resources(self) -> "Resources":
        """Check the options."""
        from ratelab.sweeps.resources import Resources

        return Resources.read(self.options)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Plan the jobs, then run them; if one cannot run, nothing is written."""
        from ratelab.sweeps.jobs import plan_jobs, prepare_jobs
        from ratelab.sweeps.sweep import run_jobs

        resources = self.read_resources()
        jobs = plan_jobs(self.program, job_overrides, initial_job_idx)
        prepare_jobs(self.program, jobs)
        return run_jobs(self.program, resources, jobs)
