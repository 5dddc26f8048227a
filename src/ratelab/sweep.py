"""The jobs of a sweep, checked together and then run one after another in one session."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ratelab import preflight
from ratelab.session import Plan, override_key, sweep
from ratelab.validation import UserError

Overrides = Sequence[Sequence[str]]

__all__ = ["check", "launch", "varied_keys"]


def check(context: HydraContext, config: DictConfig, job_overrides: Overrides) -> None:
    """Compose every job and raise UserError for the first that cannot run; nothing is written.

    A config that is not ratelab's own is none of our business.
    """
    jobs = [context.config_loader.load_sweep_config(config, list(overrides)) for overrides in job_overrides]
    ours = [preflight.read(job) for job in jobs if "schedule" in job and "optimizer" in job]
    directory = Path(config.hydra.runtime.cwd)
    for job_config in ours:  # after all were read: a misspelt key of the last one costs no time
        preflight.check(job_config, directory)
    if len({(job_config.tracking.uri, job_config.tracking.experiment) for job_config in ours}) > 1:
        raise UserError("tracking: all runs of a sweep are recorded in one store; start one sweep for each.")
    if len({job_config.device for job_config in ours}) > 1:
        raise UserError("device: one process runs with one device setting; start one sweep for each.")
    for job_config in ours[:1]:
        preflight.prepare(job_config, directory)


def launch(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    job_overrides: Overrides,
    initial_job_idx: int,
) -> Sequence[JobReturn]:
    """Run each job in its folder, all under one parent run; print the comparison at the end."""
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    directory = Path(config.hydra.runtime.cwd)
    plan = Plan(directory, len(job_overrides), varied_keys(job_overrides), _sweep_id(folder))
    with sweep(plan) as session:
        returns = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            job = context.config_loader.load_sweep_config(config, list(overrides))
            with open_dict(job):
                job.hydra.job.id = f"{config.hydra.job.name}_{number}"
                job.hydra.job.num = number
            returns.append(
                run_job(
                    task_function=task,
                    config=job,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                    hydra_context=context,
                )
            )
            configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        if session.results:
            session.finish()
    return returns


def varied_keys(job_overrides: Overrides) -> frozenset[str]:
    """Return the keys whose values differ between jobs.

    >>> sorted(varied_keys([["schedule=fixed", "seed=0"], ["schedule=staircase", "seed=0"]]))
    ['schedule']
    """
    values: dict[str, set[str]] = {}
    for overrides in job_overrides:
        for override in overrides:
            values.setdefault(override_key(override), set()).add(override.partition("=")[2])
    return frozenset(key for key, choices in values.items() if len(choices) > 1)


def _sweep_id(folder: Path) -> str:
    """Name the sweep after its folder: date, time and eight digits that make it unique."""
    return "-".join(folder.parts[-2:])
