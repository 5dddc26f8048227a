"""What one run of a program is to do and what it is called, from the configuration that Hydra composed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ratelab.config import Config
from ratelab.config.overrides import override_key
from ratelab.runs.job_of import plan
from ratelab.runs.preflight import check, prepare, read
from ratelab.runtime.passwords import without_password

DESCRIBING = {
    "batch",
    "data",
    "device",
    "model",
    "optimizer",
    "schedule",
    "warmup",
}  # config groups; tags of the run say the option

__all__ = ["Assignment", "Labels", "assign", "sweep_id"]


@dataclass(frozen=True)
class Labels:
    """How a run is called.

    Attributes:
        choices: the option chosen in each group that describes the run: schedule, model, data and so on.
        group: the schedule and whatever else the sweep varies but the seed.
        overrides: as given on the command line.
        sweep_id: names the sweep in MLflow; None for a single run.
    """

    choices: Mapping[str, str]
    group: str
    overrides: tuple[str, ...]
    sweep_id: str | None


@dataclass(frozen=True)
class Assignment:
    """One run.

    Attributes:
        number: of the job in its sweep, from 0.
        config: checked; all paths in it absolute.
        labels: how it is called.
        data_digest: of the data it will see.
        program_key: as in `training.Job`.
        steps: how many updates it has.
        environment: variables that Hydra sets for the job.
    """

    number: int
    config: Config
    labels: Labels
    data_digest: str
    program_key: str
    steps: int
    environment: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The name of the run in MLflow."""
        return f"{self.labels.group} seed={self.config.seed}"

    def recorded_in(self, uri: str | None) -> "Assignment":
        """Return the same with another URI of the store."""
        tracking = self.config.tracking.model_copy(update={"uri": uri})
        return replace(self, config=self.config.model_copy(update={"tracking": tracking}))


def assign(cfg: DictConfig, hydra: Any, varied: frozenset[str], *, open_store: bool) -> Assignment:
    """Check a composed configuration as a whole and say what is to be done.

    Args:
        cfg: the configuration, with or without Hydra's own part.
        hydra: Hydra's own part.
        varied: the override keys whose values differ between the jobs of the sweep.
        open_store: also make sure that the store works, which may create it.

    Raises:
        UserError: for the first thing that stands in the way; nothing was written.
    """
    config = (prepare if open_store else check)(read(cfg), Path(hydra.runtime.cwd))
    job = plan(config)
    environment = OmegaConf.to_container(hydra.job.env_set, resolve=True)
    assert isinstance(environment, dict)  # noqa: S101 - by Hydra's schema
    return Assignment(
        number=int(OmegaConf.select(hydra, "job.num", throw_on_missing=False) or 0),
        config=config,
        labels=_labels(hydra, varied),
        data_digest=job.data.digest,
        program_key=job.program_key,
        steps=job.batches.steps,
        environment=tuple((str(key), str(value)) for key, value in environment.items()),
    )


def sweep_id(folder: Path) -> str:
    """Name a sweep after its folder: date, time and eight digits that make it unique.

    >>> sweep_id(Path("multirun/2026-01-31/12-00-00-0123abcd"))
    '2026-01-31-12-00-00-0123abcd'
    """
    return "-".join(folder.parts[-2:])


def _labels(hydra: Any, varied: frozenset[str]) -> Labels:
    """Name the run after its schedule and whatever else varies in its sweep."""
    chosen = {str(group): str(option) for group, option in hydra.runtime.choices.items()}
    choices = {group: chosen[group] for group in sorted(chosen) if group in DESCRIBING}
    overrides = tuple(without_password(text) for text in hydra.overrides.task)
    others = [text.lstrip("+") for text in overrides if override_key(text) in varied - {"schedule", "seed"}]
    swept = not OmegaConf.is_missing(hydra.job, "num")  # whichever the launcher
    identity = sweep_id(Path(str(hydra.sweep.dir))) if swept else None
    return Labels(choices, " ".join([choices["schedule"], *others]), overrides, identity)
