"""The typed schema of the configuration: every key, its type and its bounds. No TensorFlow here."""

import secrets
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ratelab import schedules
from ratelab.config.targets import check_targets, locate, schedule_builders
from ratelab.optimizers.of_keras import refuse_keras
from ratelab.runtime.devices import Device
from ratelab.validation import (
    Count,
    Fraction,
    Positive,
    Rate,
    UserError,
    check_arguments,
    explain,
    unknown_key,
)
from ratelab.validation.sizes import Size

SEED_LIMIT = 2**32
PATHS = ("dir", "file")  # arguments of a function of data that are files; relative ones are made absolute
RESUMING = ("resume", "resume_anyway")  # keys that say that a run goes on, and not what it does
MOST_SEEDS = 10_000
MANY = 3  # keys that nobody takes away by hand
LONGEST_NAME = 200  # bytes: the name of an experiment is also that of the folder of its artifacts


def _check_path(text: str) -> str:
    if not text or "\0" in text:
        raise PydanticCustomError("path", "must be a text without zero bytes, and not empty")
    return text


def _check_name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text.encode()) > LONGEST_NAME:
        raise PydanticCustomError("name", f"must be 1 to {LONGEST_NAME} bytes of printable text")
    return text


class _Strict(BaseModel):
    """Nothing is converted, nothing unknown is accepted, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Target(BaseModel):
    """A function named in YAML by `_target_`, with its arguments beside it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    target: str = Field(alias="_target_", max_length=255)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as written in the configuration."""
        return dict(self.model_extra or {})


class OptimizerTarget(Target):
    """An optimizer, and what stands in front of any: the longest that the gradients of a step may be."""

    clip_norm: Positive | None = None


class Tracking(_Strict):
    """Where the runs are recorded; see conf/tracking."""

    uri: Annotated[str, AfterValidator(_check_path)] | None
    experiment: Annotated[str, AfterValidator(_check_name)]
    train_loss_every: Count
    log_model: bool | None
    learning_rate_every: Count = 1


class Checkpointing(_Strict):
    """How often a run keeps what it needs to go on from; null: never."""

    every: Positive | None = 60.0


class Deciding(_Strict):
    """When a sweep stops adding seeds."""

    most: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | None = None
    planned: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | None = None
    matters: Positive | None = None
    question: Literal["all", "best"] = "all"
    metric: Annotated[str, AfterValidator(_check_name)] | None = None
    target: float | None = None


class Warmup(_Strict):
    """How the rate climbs to the schedule's first one; see conf/warmup."""

    steps: schedules.OptionalDuration
    start_factor: Fraction


class Config(_Strict):
    """The whole configuration of one run."""

    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT)]
    epochs: Count
    batch_size: Count
    learning_rate: Rate
    validation_size: Size | None
    test: bool
    print_schedule: bool
    resume: bool | str | None = None
    resume_anyway: bool = False
    checkpoint: Checkpointing = Checkpointing()
    allow_targets: list[str]
    decide: Deciding = Deciding()
    schedule: Target
    warmup: Warmup
    model: Target
    optimizer: OptimizerTarget
    batch: Target
    data: Target
    task: Target
    device: Device
    tracking: Tracking


def read(values: Mapping[str, Any]) -> Config:
    """Check a resolved configuration, keys, types, bounds and the arguments of every `_target_`.

    Args:
        values: plain mappings, lists and scalars, as `OmegaConf.to_container(cfg, resolve=True)` makes them.

    Raises:
        UserError: naming each key that is wrong, its rule and its value.
    """
    try:
        config = Config.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error) from None
    refuse_keras(config.optimizer.target)
    check_targets(dict(values), config.allow_targets)
    for key in PATHS:
        _check_data_path(key, config.data.arguments.get(key))
    _check_own_target("data", config.data, set())
    _check_own_target("task", config.task, {"targets", "classes"})
    _check_own_target("model", config.model, {"input_shape", "outputs"})
    _check_own_target("optimizer", config.optimizer, set())
    _check_schedule("schedule", config.schedule.model_dump(by_alias=True))
    _check_own_target("batch", config.batch, {"batch_size", "examples"})
    return config


def register_resolvers() -> None:
    """Prepare Hydra for the project's configuration: every program calls this before `@hydra.main`.

    `${ratelab.unique:}` becomes known, 8 hexadecimal digits, the same throughout one config, and
    `${ratelab.program:}`, how this program was called; and what Hydra composes is looked at before it acts on
    it, see `hydra_part`.
    """
    # Only who composes waits for Hydra's parser.
    from ratelab.config.hydra_internals import guard_composition, remember_interpolations

    guard_composition()
    remember_interpolations()
    OmegaConf.register_new_resolver(
        "ratelab.unique", lambda: secrets.token_hex(4), use_cache=True, replace=True
    )
    OmegaConf.register_new_resolver("ratelab.program", _name_program, replace=True)


def _name_program() -> str:
    called = sys.argv[0]
    return f"python {called}" if called.endswith(".py") else called


def _check_data_path(key: str, path: Any) -> None:
    if isinstance(path, str) and (not path or "\0" in path):
        raise UserError(f"data.{key} must be a text without zero bytes, and not empty, got {path!r:.80}.")


def _check_schedule(place: str, node: Any) -> None:
    """Check the arguments of our own schedules, of those inside others as well."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            _check_schedule(f"{place}[{index}]", value)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            _check_schedule(f"{place}.{key}", value)
        if "_target_" in node:
            arguments = {key: schedule_builders(value) for key, value in node.items() if key != "_target_"}
            _check_own(place, str(node["_target_"]), arguments, {"learning_rate", "steps"})


def _check_own_target(group: str, target: Target, supplied: set[str]) -> None:
    _check_own(group, target.target, target.arguments, supplied)


def _check_own(place: str, target: str, arguments: Mapping[str, Any], supplied: set[str]) -> None:
    """Check what can be known before TensorFlow: the arguments of our own functions."""
    if target.startswith("ratelab."):
        try:
            check_arguments(locate(target), arguments, supplied)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None


def _explain(error: ValidationError) -> UserError:
    """Return the error for keys that are wrong; the first that is not known gets a hint."""
    for entry in error.errors(include_url=False):
        if entry["type"] == "extra_forbidden":
            *above, key = map(str, entry["loc"])
            model: Any = Config
            for part in above:
                model = model.model_fields[part].annotation
            unknown = unknown_key(".".join(above) or "configuration", key, model.model_fields)
            if not above and isinstance(entry["input"], Mapping):
                return UserError(
                    f"{unknown} If {key} is a folder of files that set keys of others, each must begin with "
                    "the line `# @package _global_`."
                )
            return unknown
    lacking = [entry for entry in error.errors() if entry["type"] == "missing" and len(entry["loc"]) == 1]
    if len(lacking) > MANY:
        return UserError(
            "The configuration lacks most of its keys; one of your own begins with "
            "`defaults: [config, _self_]`."
        )
    return UserError(explain(error))
