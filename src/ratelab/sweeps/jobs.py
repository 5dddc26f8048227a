"""The jobs of a sweep: composed once, planned once; if one cannot run, none is, and nothing is written."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from ratelab.config.composing import Composer
from ratelab.config.sweeping import override_key
from ratelab.runs.display import Display, Terminal
from ratelab.runs.planned import PlannedRun, plan_run, prepare_store_of
from ratelab.runs.sweep_identity import sweep_id_of
from ratelab.validation import UserError

Overrides = Sequence[Sequence[str]]


@dataclass(frozen=True)
class HydraProgram:
    """What Hydra hands to a launcher and to a sweeper.

    Attributes:
        context: gives the configurations.
        task: the function under `@hydra.main`.
        config: of the sweep.
    """

    context: HydraContext
    task: TaskFunction
    config: DictConfig

    @property
    def display(self) -> Display:
        """How it shows what it does."""
        return getattr(self.task, "display", None) or Terminal()

    @property
    def folder(self) -> Path:
        """The folder of the sweep, which holds those of the jobs."""
        return Path(str(self.config.hydra.sweep.dir))

    @property
    def sweep_id(self) -> str:
        """What all of its jobs have as a tag."""
        return sweep_id_of(self.config.hydra)

    @property
    def decides(self) -> bool:
        """Whether its sweep adds seeds until all is decided."""
        return "schedule" in self.config and OmegaConf.select(self.config, "decide.most") is not None

    @property
    def is_searched(self) -> bool:
        """Whether a sweeper such as Optuna's chooses jobs by the results of others, launch after launch."""
        sweeper = str(OmegaConf.select(self.config, "hydra.sweeper._target_"))
        return not sweeper.endswith(("RatelabSweeper", "BasicSweeper"))


@dataclass(frozen=True)
class Jobs:
    """The jobs that one call of a launcher is to run.

    Attributes:
        composed: the configuration of each, with Hydra's own part, in the order of their numbers.
        runs: what is to be done in each; none for the jobs of a program that is not ratelab's own.
        varied: the override keys whose values differ between the jobs.
    """

    composed: tuple[DictConfig, ...]
    runs: tuple[PlannedRun, ...]
    varied: frozenset[str]


def plan_jobs(
    program: HydraProgram, job_overrides: Overrides, first: int = 0, varied: frozenset[str] | None = None
) -> Jobs:
    """Compose and plan every job; nothing is written, nor is the store made.

    Args:
        program: whose jobs they are.
        job_overrides: of each job.
        first: the number of the first job.
        varied: the override keys whose values differ between the jobs of the sweep; None: these are all.

    Raises:
        UserError: for the first job that cannot run, and where runs are to be recorded in several stores.
        HydraException: for an override that Hydra refuses.
    """
    composer = Composer(program.context, program.config)
    varied = varied_keys(job_overrides) if varied is None else varied
    composed = [composer.job(overrides, number) for number, overrides in enumerate(job_overrides, first)]
    runs = [plan_run(job, job.hydra, varied) for job in composed if "schedule" in job and "optimizer" in job]
    stores = {(run.config.tracking.uri, run.config.tracking.experiment) for run in runs}
    if len(stores) > 1:
        raise UserError("tracking: all runs of a sweep are recorded in one store; start one sweep for each.")
    return Jobs(tuple(composed), tuple(runs), varied)


def prepare_jobs(program: HydraProgram, jobs: Jobs) -> None:
    """Refuse a program that cannot take results from workers; make sure that the store works, or make it."""
    if jobs.runs:
        _check_task(program.task)
        for run in jobs.runs:
            _ = run.main_functions  # what cannot travel to the workers is told before anything is written
        prepare_store_of(jobs.runs[0])


def save_sweep_config(program: HydraProgram) -> None:
    """Make the folder of the sweep and claim it: keep the configuration there, as Hydra's sweepers do.

    Raises:
        UserError: another sweep has claimed it since this one began.
    """
    program.folder.mkdir(parents=True, exist_ok=True)
    path, text = program.folder / "multirun.yaml", OmegaConf.to_yaml(program.config)
    # What has no id of ours in it is another program's, which writes over what it left, as Hydra does.
    mode = "x" if program.sweep_id in text else "w"
    try:
        with path.open(mode) as file:
            file.write(text)
    except FileExistsError:
        # Hydra's own sweepers have written it before they launch, some of them several times.
        if program.sweep_id not in path.read_text():
            raise UserError(
                f"hydra.sweep.dir: {program.folder} holds another sweep; start again, or name another folder."
            ) from None


def raise_failure(returns: Iterable[JobReturn]) -> None:
    """Raise what made the first job fail that did."""
    for one in returns:
        _ = one.return_value  # Hydra's property raises it


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


def _check_task(task: TaskFunction) -> None:
    """Raise UserError unless the function under `@hydra.main` takes the `run` that a launcher gives it."""
    if "run" not in inspect.signature(task).parameters:
        name = getattr(task, "__name__", "the function under @hydra.main")
        raise UserError(
            f"{name}: in a sweep the runs are trained by workers, so {name} must take an argument `run` and "
            f"call it: `def {name}(cfg, run=run_single): return run(cfg)`, see docs/your_own.md; "
            "or choose hydra/launcher=basic."
        )
