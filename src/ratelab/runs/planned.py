"""What one run is to do and what it is called: planned once, from the configuration that Hydra composed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ratelab.comparison.outcomes import COUNTS
from ratelab.config import Config, Target
from ratelab.config.composing import overrides_of, read_composed
from ratelab.config.folders import check_folder
from ratelab.config.schema import PATHS, RESUMING, Deciding
from ratelab.config.secrets import is_from_secret, written
from ratelab.config.sweeping import override_key
from ratelab.runs import main_functions
from ratelab.runs.job_of import job_of
from ratelab.runs.sweep_identity import sweep_id_of
from ratelab.runtime import devices
from ratelab.runtime.clipping import clip_apart
from ratelab.runtime.home import expand_home
from ratelab.runtime.passwords import without_password
from ratelab.tracking import prepare_store, resolve_store, tidy_store
from ratelab.tracking.names import NAME_LENGTH
from ratelab.training import Job
from ratelab.validation import UserError

# The config groups that describe a run: its tags say which option was chosen in each.
MOST_PRINTED = 100_000  # lines, which take a terminal some seconds
DESCRIBING = {"batch", "data", "device", "model", "optimizer", "schedule", "task", "warmup"}
_LONGEST_WORD = 80  # of a name, such as a key and its value


@dataclass(frozen=True)
class Labels:
    """How a run is called.

    Attributes:
        choices: the option chosen in each group that describes the run: schedule, model, data and so on.
        group: the schedule and whatever else the sweep varies but the seed.
        overrides: as given on the command line.
        sweep_id: which sweep it belongs to; None for a single run.
    """

    choices: Mapping[str, str]
    group: str
    overrides: tuple[str, ...]
    sweep_id: str | None


@dataclass(frozen=True)
class PlannedRun:
    """One run: its configuration, its labels, its job. Made once and handed on, to the workers as well.

    Neither the job (arrays, functions) nor the composed configuration travels to another process. There the
    job is made anew, once, when it is first asked for; the digest of its data must be that of the plan.

    Attributes:
        number: of the run in its sweep, from 0.
        config: checked; all paths in it absolute.
        labels: how it is called.
        directory: what relative paths started from.
        environment: variables that Hydra sets for the run.
        composed: what Hydra composed, with its own part; None in another process.
        data_digest: of the data that were planned with, in another process; None where the job was planned.
    """

    number: int
    config: Config
    labels: Labels
    directory: Path
    environment: tuple[tuple[str, str], ...] = ()
    composed: DictConfig | None = field(default=None, compare=False, repr=False)
    data_digest: str | None = field(default=None, compare=False, repr=False)

    @cached_property
    def job(self) -> Job:
        """What training needs; see `job_of` for what may be wrong with it."""
        job = job_of(self.config)
        if self.data_digest is not None and self.data_digest != job.data.digest:
            # What was recorded as the digest of the run would be that of other data.
            raise UserError(
                f"data: {self.config.data.target} must give the same data at every call, and gave others to "
                "the process that trains; draw from a generator with a seed, such as "
                "numpy.random.default_rng(0), and leave files as they are while runs go on."
            )
        return job

    @cached_property
    def main_functions(self) -> dict[str, bytes]:
        """What the run needs of the program's own file, for other processes; see `main_functions.pack`."""
        return main_functions.pack(self.config.model_dump(by_alias=True))

    @property
    def name(self) -> str:
        """The name of the run in MLflow."""
        seed = f" seed={self.config.seed}"
        return f"{clip_apart(self.labels.group, NAME_LENGTH - len(seed))}{seed}"

    @property
    def steps(self) -> int:
        """How many updates it has."""
        return self.job.batches.steps

    @property
    def kind(self) -> str:
        """Runs of one kind share a compiled program and have equally many steps."""
        return f"{self.job.program_key} {self.steps}"

    @property
    def pace(self) -> object:
        """Runs with equal values take the same time for an update."""
        return self.config.device, self.kind

    def is_of(self, cfg: DictConfig) -> bool:
        """Say whether `cfg`, without Hydra's own part, is still what this run was planned from."""
        return self.composed is not None and _read_own_values(self.composed) == _read_own_values(cfg)

    def __getstate__(self) -> dict[str, Any]:
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        digest = self.data_digest or self.job.data.digest
        return own | {"composed": None, "data_digest": digest, "main": self.main_functions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        main_functions.unpack(state.pop("main"))
        self.__dict__.update(state)


def plan_run(cfg: DictConfig, hydra: Any, varied: frozenset[str] = frozenset()) -> PlannedRun:
    """Check a composed configuration as a whole and plan its run; nothing is written.

    Args:
        cfg: the configuration, with or without Hydra's own part.
        hydra: Hydra's own part.
        varied: the override keys whose values differ between the jobs of the sweep.

    Raises:
        UserError: for the first thing that stands in the way.
    """
    check_folder(hydra)
    _refuse_secret_name(cfg)
    directory = Path(hydra.runtime.cwd)
    config = _with_absolute_paths(read_composed(cfg), directory)
    _refuse_to_decide(config.decide, hydra)
    if config.device.kind == "gpu":  # whether there is one, only TensorFlow knows
        devices.configure(config.device)
    environment = OmegaConf.to_container(hydra.job.env_set, resolve=True)
    assert isinstance(environment, dict)  # noqa: S101 - by Hydra's schema
    planned = PlannedRun(
        number=int(OmegaConf.select(hydra, "job.num", throw_on_missing=False) or 0),
        config=config,
        labels=_make_labels(config, hydra, varied),
        directory=directory,
        environment=tuple((str(key), str(value)) for key, value in environment.items()),
        composed=cfg,
    )
    if config.print_schedule and planned.steps > MOST_PRINTED:
        raise UserError(
            f"print_schedule: at most {MOST_PRINTED:,} rates are printed, this run has {planned.steps:,}; "
            "all are in steps.parquet, and `ratelab preview` draws them."
        )
    _ = planned.job  # here, so that whatever is wrong with it is told before anything is written
    return planned


def prepare_run(cfg: DictConfig, hydra: Any) -> PlannedRun:
    """Plan a run that is by itself, then make sure that its store works, which may create it.

    Raises:
        UserError: for the first thing that stands in the way; nothing was written.
    """
    planned = plan_run(cfg, hydra)
    prepare_store_of(planned)
    return planned


def prepare_store_of(run: PlannedRun) -> None:
    """Make sure that the store of a run works, which may create it; the first of a sweep tidies it as well.

    What goes on is what its dead program left, so there is nothing to say of that.

    Raises:
        UserError: the store cannot be used.
    """
    tracking = run.config.tracking
    store = prepare_store(tracking.uri, run.directory, tracking.experiment)
    if run.number == 0 and not run.config.resume:
        tidy_store(store)


def _refuse_secret_name(cfg: DictConfig) -> None:
    """Raise UserError if the experiment, whose name everybody sees, is named by a secret."""
    raw = written(cfg, "tracking", "experiment")
    if is_from_secret(raw):
        raise UserError(
            f"tracking.experiment: {raw} is a secret, by the name of its variable, and a name is seen by all "
            "who see the store; take it from a variable whose name has no KEY, TOKEN, SECRET or PASSWORD."
        )


def _refuse_to_decide(deciding: Deciding, hydra: Any) -> None:
    """Raise UserError if seeds are to be added, and nobody would."""
    is_ours = str(OmegaConf.select(hydra, "sweeper._target_")).endswith("RatelabSweeper")
    is_job = not OmegaConf.is_missing(hydra.job, "num")
    given = deciding.model_dump(exclude_defaults=True)
    if given and deciding.most is None:
        raise UserError(
            f"decide.{next(iter(given))}: nothing is decided without decide.most; give experiment=decide."
        )
    if given and not (is_ours and is_job):
        raise UserError(
            "decide: seeds are added by hydra/sweeper=ratelab in a sweep (-m), and by nothing else."
        )
    if deciding.metric == "seconds_to_target":
        raise UserError(
            "decide.metric: seconds_to_target cannot decide, for the second up to which all runs are known "
            "changes with every seed; give steps_to_target, and when all is decided look with "
            "ratelab compare --metric seconds_to_target."
        )
    if (deciding.metric in COUNTS) != (deciding.target is not None):
        raise UserError(
            "decide.target, the value in validation to reach, goes with decide.metric=steps_to_target and "
            f"examples_to_target; got {deciding.target} with decide.metric={deciding.metric}."
        )


def _with_absolute_paths(config: Config, directory: Path) -> Config:
    """Return the configuration with paths that stay right when Hydra changes the working directory."""
    uri = resolve_store(config.tracking.uri, directory)
    given = {key: config.data.arguments.get(key) for key in PATHS}
    paths = {
        key: str(directory / expand_home(path, f"data.{key}"))
        for key, path in given.items()
        if isinstance(path, str)
    }
    tracking = config.tracking.model_copy(update={"uri": uri})
    data = Target.model_validate(config.data.model_dump(by_alias=True) | paths)
    return config.model_copy(update={"tracking": tracking, "data": data})


def _make_labels(config: Config, hydra: Any, varied: frozenset[str]) -> Labels:
    """Name the run after its schedule and whatever else varies in its sweep."""
    chosen = {str(group): str(option) for group, option in hydra.runtime.choices.items()}
    # A schedule that a primary configuration writes out is no option; its function names it.
    chosen.setdefault("schedule", config.schedule.target.rpartition(".")[2])
    choices = {group: chosen[group] for group in sorted(chosen) if group in DESCRIBING}
    words = [word for word in overrides_of(hydra) if override_key(word) not in RESUMING]
    overrides = tuple(map(without_password, words))
    telling = [text for text in overrides if override_key(text) in varied - {"schedule", "seed"}]
    others = [clip_apart(text.lstrip("+"), _LONGEST_WORD) for text in telling]
    in_sweep = not OmegaConf.is_missing(hydra.job, "num")  # whichever the launcher
    identity = sweep_id_of(hydra) if in_sweep else None
    return Labels(choices, " ".join([choices["schedule"], *others]), overrides, identity)


def _read_own_values(cfg: DictConfig) -> dict[str, Any]:
    """Return the program's own part of a configuration as it was composed, nothing resolved."""
    values = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(values, dict)  # noqa: S101 - a DictConfig gives a dict
    return {str(key): value for key, value in values.items() if key != "hydra"}
