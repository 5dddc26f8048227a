"""A sweeper that searches, as Optuna's does: it chooses each job by the results of those before."""

SEARCHING = """
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


@dataclass
class SearchingConf:
    _target_: str = "hydra_plugins.searching_sweeper.SearchingSweeper"
    direction: str = "maximize"


ConfigStore.instance().store(group="hydra/sweeper", name="searching", node=SearchingConf)


class SearchingSweeper(Sweeper):
    def __init__(self, direction):
        self.values = {}

    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        for number, rate in enumerate((0.001, 0.5)):
            words = (*arguments, f"learning_rate={rate}")
            [done] = self.launcher.launch([words], initial_job_idx=number)
            self.values[rate] = float(done.return_value)
        print("best", max(self.values, key=self.values.get))
"""


def write_searching_sweeper(folder):
    """Make `hydra/sweeper=searching` for programs that have `folder` on PYTHONPATH."""
    (folder / "hydra_plugins").mkdir()
    (folder / "hydra_plugins" / "searching_sweeper.py").write_text(SEARCHING)
