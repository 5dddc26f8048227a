"""Hydra's launcher `ratelab`: a thin adapter over ratelab.sweeps.sweep."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from ratelab.runs.planned import Assignment
    from ratelab.runs.session import Session
    from ratelab.sweeps.resources import Team


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
    """Runs the jobs of a sweep as one session: one parent run, one comparison."""

    def __init__(self, **options: object) -> None:
        """Keep the options: a mistake in them is told by `check`, with one message.

        A sweeper that launches more than once sets `session`, what all its jobs share.
        """
        self.options = options
        self.checked: list[Assignment] | None = None
        self.session: Session | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def read_team(self) -> "Team":
        """Check the options."""
        from ratelab.sweeps.resources import Team

        return Team.read(self.options)

    def check(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int = 0) -> None:
        """Refuse a sweep with a job that cannot run; a sweeper may call it before it writes anything."""
        from ratelab.sweeps import sweep  # plugins are imported at every start, also for --help

        self.team = self.read_team()
        self.checked = sweep.check(self.hydra_context, self.config, job_overrides, initial_job_idx)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; a job that fails does not keep the others from running."""
        from ratelab.sweeps import sweep

        if self.checked is None:
            self.check(job_overrides, initial_job_idx)
        assignments, self.checked = self.checked or [], None
        with contextlib.ExitStack() as stack:
            session = self.session or stack.enter_context(
                sweep.opened(self.config, len(job_overrides), sweep.varied_keys(job_overrides))
            )
            return sweep.launch(
                self.hydra_context,
                self.task_function,
                self.config,
                job_overrides,
                initial_job_idx,
                assignments,
                self.team,
                session,
            )
