"""Hydra's sweeper `ratelab`: the basic one, which first checks every job."""

from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.ratelab_launcher import RatelabLauncher


@dataclass
class RatelabSweeperConf:
    """The options of the basic sweeper, but no `max_batch_size`: a sweep is one session.

    Attributes:
        params: as in the basic sweeper.
        tuning: how base rates are chosen before schedules are compared, see conf/experiment/tuned.yaml;
            null: they are not.
    """

    _target_: str = "hydra_plugins.ratelab_sweeper.RatelabSweeper"
    params: dict[str, str] | None = None
    tuning: dict[str, Any] | None = None


ConfigStore.instance().store(
    group="hydra/sweeper", name="ratelab", node=RatelabSweeperConf, provider="ratelab"
)


class RatelabSweeper(BasicSweeper):
    """The product of all choices, as in Hydra; a bad job is refused before anything is written."""

    def __init__(self, params: dict[str, str] | None = None, tuning: dict[str, Any] | None = None) -> None:
        super().__init__(max_batch_size=None, params=params)
        self.tuning = tuning

    def sweep(self, arguments: list[str]) -> Any:
        """Compose and check all jobs, then run them."""
        from ratelab.sweeps import sweep  # plugins are imported at every start, also for --help

        assert self.hydra_context is not None and self.config is not None  # noqa: S101, PT018 - by setup
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (jobs,) = self.split_arguments(overrides, self.max_batch_size)
        if self.tuning is not None:
            from ratelab.sweeps.tuned import sweep_tuned

            return sweep_tuned(self.launcher, self.config, jobs, self.tuning)
        if isinstance(self.launcher, RatelabLauncher):
            self.launcher.check(jobs)
        else:
            sweep.check(self.hydra_context, self.config, jobs, 0)
        return super().sweep(arguments)

    def validate_batch_is_legal(self, batch: Any) -> None:
        """Nothing: every job has been composed and checked."""
