"""From the overrides of a sweep to the rates and batches of its jobs: no data, no TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from ratelab.config import Config
from ratelab.config.composing import compose_jobs, overrides_of, read_composed
from ratelab.data import training_examples
from ratelab.data.sizes import as_count, outline
from ratelab.runs.job_of import batches_of, load_data, make_schedule, make_task
from ratelab.runtime import devices
from ratelab.training import rates_of
from ratelab.validation import UserError


@dataclass(frozen=True, eq=False)
class Curve:
    """The rates of one job.

    Attributes:
        name: the schedule, and whatever else differs between the jobs.
        rates: float32[steps].
        batch_sizes: int32[steps], where the batch grows; else None.
    """

    name: str
    rates: npt.NDArray[np.float32]
    batch_sizes: npt.NDArray[np.int32] | None = None


def curves(
    overrides: Sequence[str],
    steps: int | None = None,
    config_dir: str | None = None,
    config_name: str = "config",
) -> tuple[list[Curve], list[str]]:
    """Compose the jobs of `overrides` as `-m` does and tabulate their schedules.

    Args:
        overrides: as for training; comma lists, range and glob give several jobs.
        steps: the length of the run; by default what epochs, batch size and data make of it.
        config_dir: as in `compose_jobs`.
        config_name: as in `compose_jobs`.

    Returns:
        The curves, and the names of the jobs whose schedule depends on more than the step.

    Raises:
        UserError: for whatever Hydra or the schema refuses.
    """
    drawn: list[Curve] = []
    left_out: list[str] = []
    jobs = compose_jobs(overrides, config_dir, config_name)
    for job in jobs:
        name, config = _name(job, jobs), read_composed(job)
        batches = batches_of(config, _count_examples(config), steps)
        # A schedule may be written with TensorFlow; for all others nothing is imported.
        with devices.set_up_on_import(config.device):
            schedule = make_schedule(config, batches.steps)
            table = rates_of(schedule, batches.rate_factors).table if callable(schedule) else None
        if table is not None:
            drawn.append(Curve(name, table, None if batches.is_constant else batches.sizes))
        else:
            left_out.append(name)
    return drawn, left_out


def _name(job: DictConfig, jobs: Sequence[DictConfig]) -> str:
    """Name a job after its schedule and the other words that not all jobs have."""
    others = [
        word
        for word in overrides_of(job.hydra)
        if not word.startswith("schedule=") and any(word not in overrides_of(other.hydra) for other in jobs)
    ]
    return " ".join([str(job.hydra.runtime.choices["schedule"]), *others])


def _count_examples(config: Config) -> int:
    """Return the number of training examples of the run, whose task and model must fit its data."""
    known = training_examples(config.data.target)
    if known is None or config.validation_size is None:
        data = load_data(config)
        make_task(config, data)
        return len(data.train)
    # A task of the user's may look at its targets, and these are not those of the data.
    if config.task.target.startswith("ratelab.tasks."):
        make_task(config, outline(config.data.target))
    examples = known - as_count(config.validation_size, known)
    if examples < 1:
        raise UserError(f"validation_size must leave training examples, got {config.validation_size}.")
    return examples
