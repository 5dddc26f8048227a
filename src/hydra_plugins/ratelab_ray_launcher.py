"""Hydra's launcher `ray`: the launcher `ratelab` with its stacks on a Ray cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore

from hydra_plugins.ratelab_launcher import RatelabLauncher

if TYPE_CHECKING:
    from ratelab.sweeps.ray import RayResources


@dataclass
class RayLauncherConf:
    """As the launcher `ratelab`; each stack is a task of a Ray cluster.

    Attributes:
        stack: false trains each run by itself.
        largest_stack: runs trained together.
        workers: how many stacks there shall be at least; null: as few as `largest_stack` allows.
        memory: GiB for a stack's process; null: 2.
        address: host:port of the cluster; null starts one on this machine.
        cpus: cores for each stack; null: device.threads.
        gpus: GPUs for each stack.
        retries: how often a stack begins again when its machine was lost.
    """

    _target_: str = "hydra_plugins.ratelab_ray_launcher.RayLauncher"
    stack: bool = True
    largest_stack: int = 4
    workers: int | None = None
    memory: float | None = None
    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0
    retries: int = 3


ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="ratelab")


class RayLauncher(RatelabLauncher):
    """Trains on a Ray cluster, records in the process that was started."""

    def read_resources(self) -> "RayResources":
        """Check the options."""
        from ratelab.sweeps.ray import RayResources

        return RayResources.read(self.options)
