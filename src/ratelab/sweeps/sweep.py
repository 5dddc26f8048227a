"""The jobs of a sweep: checked together, then run in Hydra's way, each with its folder."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ratelab.config.composing import Composer
from ratelab.config.overrides import override_key
from ratelab.runs.planned import Assignment, assign, sweep_id
from ratelab.runs.preflight import prepare
from ratelab.runs.session import Plan, Session, awaiting
from ratelab.sweeps.recorder import Conductor
from ratelab.sweeps.resources import Team
from ratelab.validation import UserError

Overrides = Sequence[Sequence[str]]

__all__ = ["check", "launch", "opened", "varied_keys"]


def check(
    context: HydraContext, config: DictConfig, job_overrides: Overrides, first: int
) -> list[Assignment]:
    """Compose every job and raise UserError for the first that cannot run; nothing is written.

    Args:
        context: what Hydra hands over.
        config: of the sweep.
        job_overrides: of each job.
        first: the number of the first job.

    Returns:
        What is to be done in each job; nothing for the jobs of a program that is not ratelab's own.
    """
    composer, varied = Composer(context, config), varied_keys(job_overrides)
    assignments = []
    for number, overrides in enumerate(job_overrides, first):
        job = composer.job(overrides, number)
        if "schedule" in job and "optimizer" in job:
            assignments.append(assign(job, job.hydra, varied, open_store=False))
    stores = {(a.config.tracking.uri, a.config.tracking.experiment) for a in assignments}
    if len(stores) > 1:
        raise UserError("tracking: all runs of a sweep are recorded in one store; start one sweep for each.")
    if not assignments:
        return []
    opened = prepare(assignments[0].config, Path(config.hydra.runtime.cwd)).tracking.uri
    return [assignment.recorded_in(opened) for assignment in assignments]


@contextlib.contextmanager
def opened(config: DictConfig, jobs: int | None, varied: frozenset[str]) -> Iterator[Session]:
    """Open what the jobs of a sweep share, one parent run first; print the comparison at the end.

    Args:
        config: of the sweep.
        jobs: how many there will be; None: that is not known yet.
        varied: the keys whose values differ between them.
    """
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(Path(config.hydra.runtime.cwd), jobs, varied, sweep_id(folder), folder)
    with Session(plan) as session:
        yield session
        session.finish()


def launch(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    job_overrides: Overrides,
    first: int,
    assignments: Sequence[Assignment],
    team: Team,
    session: Session,
) -> Sequence[JobReturn]:
    """Run each job in its folder; the session keeps the results."""
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    composer, returns = Composer(context, config), {}
    with contextlib.ExitStack() as stack:
        conductor = stack.enter_context(Conductor(assignments, session, team))
        if assignments:
            stack.enter_context(awaiting(conductor.result))
        numbers = range(first, first + len(job_overrides))
        for number in dict.fromkeys([*conductor.order, *numbers]):
            returns[number] = run_job(
                task_function=task,
                config=composer.job(job_overrides[number - first], number),
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=context,
            )
            configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        session.results += conductor.results
    return [returns[number] for number in sorted(returns)]


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
