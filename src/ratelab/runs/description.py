"""What a run says about itself in the store: parameters, tags, and files about where it comes from."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from omegaconf import OmegaConf

from ratelab.comparison import Outcomes
from ratelab.comparison.plans import Plan
from ratelab.config.schema import PATHS, RESUMING
from ratelab.config.secrets import with_sources_of_secrets
from ratelab.runs.main_functions import read_sources
from ratelab.runs.planned import PlannedRun
from ratelab.runtime import provenance
from ratelab.runtime.machine import describe_machine, write_machine
from ratelab.runtime.passwords import without_password
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import Run
from ratelab.tracking.recorded import PROGRAM

# How it was trained, and not what.
_NOT_DESCRIBED: dict[str, Any] = {
    "tracking": {"uri"},
    "checkpoint": True,
    "decide": True,  # that of the sweep
    **dict.fromkeys(RESUMING, True),
}


@dataclass(frozen=True)
class Description:
    """All that a run says about itself before it is trained, as it is after a way through JSON.

    Attributes:
        name: what people see.
        params: every key of the configuration and its value, flat.
        tags: what runs are found, grouped and judged by, and where this one comes from.
        files: texts by their names: configuration, overrides, local changes, packages.
        rate_every: steps from one learning rate that the store is given to the next.
        loss_every: the same of the training loss.
    """

    name: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    files: Mapping[str, str]
    rate_every: int
    loss_every: int

    @classmethod
    def read(cls, fields: Mapping[str, Any], files: Mapping[str, str]) -> Self:
        """Return what the fields of a record say, with files that are not among them."""
        own = {key: fields[key] for key in ("name", "params", "tags", "rate_every", "loss_every")}
        return cls(files={**files, **fields["files"]}, **own)


def describe(planned: PlannedRun, members: Sequence[int], journal: Path) -> Description:
    """Return what a run says about itself; the arguments are those of `tags`."""
    return Description(
        planned.name,
        params(planned),
        tags(planned, members, journal),
        files(planned),
        planned.config.tracking.learning_rate_every,
        planned.config.tracking.train_loss_every,
    )


def store_of(planned: PlannedRun) -> dict[str, str]:
    """Return where a run is recorded: "uri", without a password, "experiment", "directory"."""
    tracking = planned.config.tracking
    uri = without_password(tracking.uri or "")
    return {"uri": uri, "experiment": tracking.experiment, "directory": str(planned.directory)}


def params(planned: PlannedRun) -> dict[str, Any]:
    """Return every key of the configuration and its value, flat."""
    values: dict[str, Any] = json.loads(json.dumps(provenance.flatten(_public(planned)), default=str))
    return values


def tags(planned: PlannedRun, members: Sequence[int] = (), journal: Path | None = None) -> dict[str, str]:
    """Return what runs are found, grouped and judged by, and where this one comes from.

    That is options, seed, digests, the sweep, and the metrics with their directions.

    Args:
        planned: the run.
        members: the numbers of the runs of a sweep that train as one program, on which its bits depend.
        journal: that the program which records it holds.
    """
    config, labels = planned.config, planned.labels
    described = _select_described(_public(planned))
    groups = {name: values for name, values in described.items() if isinstance(values, dict)}
    swept = {"sweep_id": labels.sweep_id, "job": str(planned.number)} if labels.sweep_id else {}
    return {
        **labels.choices,
        "seed": str(config.seed),
        "config_digest": provenance.digest(described),
        # that of the data is of its content, below
        **{f"{name}_digest": provenance.digest(values) for name, values in groups.items()},
        "data_digest": planned.job.data.digest,
        "outcomes": outcomes_of(planned).write(),
        **swept,
        **({} if (plan := plan_of(planned)) is None else {"decide": plan.write()}),
        PROGRAM: this_program(journal).write(),
        **({"stack": write_members(members)} if members else {}),
        "machine": write_machine(describe_machine(config.device, dict(planned.environment))),
        **provenance.collect().tags,
    }


def digest_config(values: Mapping[str, Any]) -> str:
    """Return the tag `config_digest` of a run whose config.yaml holds these values."""
    return provenance.digest(_select_described(values))


def _select_described(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run is told by: not where it is recorded, nor where its data lie."""
    data = {key: value for key, value in values["data"].items() if key not in PATHS}
    return {key: value for key, value in values.items() if key != "tracking"} | {"data": data}


def write_members(members: Sequence[int]) -> str:
    """Return the numbers of the runs of a stack as its tag has them.

    >>> write_members([0, 2, 4])
    '0,2,4'
    """
    return ",".join(map(str, members))


def outcomes_of(planned: PlannedRun) -> Outcomes:
    """Return what is measured of a run, and what judges it."""
    task = planned.job.task
    return Outcomes(task.judge, task.outcomes)


def plan_of(planned: PlannedRun) -> Plan | None:
    """Return the plan of the sweep that adds seeds until all is decided; None if it is none."""
    own = planned.config.decide
    if own.most is None:
        return None
    return Plan(**{**own.model_dump(), "planned": own.planned or own.most})


def log_files(run: Run, texts: Mapping[str, str]) -> None:
    """Record texts as artifacts of these names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text)
        run.artifact(Path(folder))


def files(planned: PlannedRun) -> dict[str, str]:
    """Return what made a run, by the names of files: configuration, overrides, local changes, packages."""
    own = {
        "config.yaml": OmegaConf.to_yaml(OmegaConf.create(_public(planned))),
        "overrides.txt": "\n".join(planned.labels.overrides) + "\n",
        "functions.py": read_sources(planned.config.model_dump(by_alias=True)),
    }
    return shared_files() | _without_empty(own)


def shared_files() -> dict[str, str]:
    """Return those of them that all runs of a program have."""
    origin = provenance.collect()
    return _without_empty({"packages.txt": origin.packages, "git.diff": origin.diff})


def _without_empty(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _public(planned: PlannedRun) -> dict[str, Any]:
    """Return the configuration without the URI of the store, and without values that are secret."""
    values: dict[str, Any] = planned.config.model_dump(by_alias=True, exclude=_NOT_DESCRIBED)
    if planned.composed is not None:
        values = with_sources_of_secrets(values, OmegaConf.to_container(planned.composed))
    return values
