"""From a typed configuration to a job: arrays, functions and counts. No TensorFlow yet."""

import copy
import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ratelab import schedules
from ratelab.batch_sizes import BatchPlan, BatchSize, plan_batches, plan_steps
from ratelab.config import Config, OptimizerTarget, Target, targets
from ratelab.data import Dataset, as_dataset
from ratelab.optimizers import Optimizer
from ratelab.optimizers.decay import clip_gradients
from ratelab.optimizers.of_keras import refuse_keras_object
from ratelab.runtime import devices
from ratelab.tasks import Task
from ratelab.training import Job, momenta_of, rates_of
from ratelab.validation import UserError, signature_of
from ratelab.validation.blame import blame
from ratelab.validation.fitting import Problem, check_fit

T = TypeVar("T")


def job_of(config: Config) -> Job:
    """Turn a configuration into a job: arrays, functions and counts.

    Raises:
        UserError: if the schedule gives a rate that is negative or not finite, if a batch is larger than
            the training split, and for whatever a function of the user's raises.
    """
    targets.refuse_absent(config.model.target)  # built later, since that needs TensorFlow
    # A schedule may be written with TensorFlow, whose threads can be set only before it computes anything.
    with devices.set_up_on_import(config.device):
        return _job_of(config)


def _job_of(config: Config) -> Job:
    dataset = load_data(config)
    task = make_task(config, dataset)
    batches = batches_of(config, len(dataset.train))
    schedule = make_schedule(config, batches.steps)
    optimizer = _make_optimizer(config.optimizer)
    momenta = momenta_of(schedule, batches.steps) if optimizer.numbers_of_momenta is not None else None
    return Job(
        seed=config.seed,
        rates=rates_of(schedule, batches.rate_factors, f"schedule: {config.schedule.target}"),
        batches=batches,
        build_model=partial(_build_model, config, dataset.train.inputs.shape[1:], _outputs(task, dataset)),
        data=dataset,
        task=task,
        optimizer=optimizer,
        xla=config.device.xla,
        program_key=_describe_program(config, optimizer),
        momenta=momenta,
        test=config.test,
    )


def load_data(config: Config) -> Dataset:
    """Load the data of a configuration; runs that agree in it share the arrays.

    Raises:
        UserError: if the function returns no data that can be trained on, takes no `validation_size` though
            one is given, or raises anything.
    """
    return _load_data(json.dumps(config.data.model_dump(by_alias=True)), config.validation_size)


def forget_earlier_calls() -> None:
    """Load data and plan batches anew: a program that goes on may have changed files and functions."""
    _load_data.cache_clear()
    _plan_batches.cache_clear()


@functools.lru_cache(maxsize=4)
def _load_data(target: str, validation_size: float | None) -> Dataset:
    data = Target.model_validate(json.loads(target))
    function = targets.locate(data.target)
    arguments = {key: value for key, value in data.arguments.items() if key != "validation_size"}
    supplied = {} if validation_size is None else {"validation_size": validation_size}
    if supplied and not targets.takes(function, "validation_size"):
        raise UserError(
            f"validation_size: {data.target} makes its validation split itself and takes no such argument, "
            f"got {validation_size}; set validation_size=null, or name your function in a file of its own "
            "(docs/your_own_data.md)."
        )
    made = targets.call(function, arguments, supplied)
    # What ours return they have looked at; to read a memory map twice takes a second a gigabyte.
    return made if data.target.startswith("ratelab.data.") else as_dataset(made, f"data: {data.target}")


def make_schedule(config: Config, steps: int) -> schedules.Schedule | schedules.Reactive:
    """Build the schedule of a configuration, with its warm-up, for a run of `steps` updates.

    A schedule function is given `learning_rate` and `steps` where its signature names them, and so is each
    schedule among its arguments.
    """
    build = targets.schedule_builders(config.schedule.model_dump(by_alias=True))
    return schedules.warmup(
        config.learning_rate,
        steps,
        schedule=build,
        warmup_steps=config.warmup.steps,
        start_factor=config.warmup.start_factor,
    )


def batches_of(config: Config, examples: int, steps: int | None = None) -> BatchPlan:
    """Plan the batches of a run.

    Args:
        config: of the run.
        examples: in the training split.
        steps: how many updates; None: as many as `config.epochs` have.

    Raises:
        UserError: if a batch is larger than the training split, or smaller than 1.
    """
    if config.batch_size > examples:
        raise UserError(
            f"batch_size must be at most {examples}, the training examples, got {config.batch_size}."
        )
    target = json.dumps(config.batch.model_dump(by_alias=True))
    return _plan_batches(target, config.batch_size, examples, config.epochs, steps)


@functools.lru_cache(maxsize=8)
def _plan_batches(target: str, batch_size: int, examples: int, epochs: int, steps: int | None) -> BatchPlan:
    """Plan batches; runs that agree in all of this share the arrays, half a megabyte for the tutorial's."""
    batch = Target.model_validate(json.loads(target))
    supplied = {"batch_size": batch_size, "examples": examples}
    made = _check_kind(BatchSize, "batch", batch, _call(batch, supplied))
    size = replace(made, wanted=partial(_ask_size, batch.target, made.wanted))
    return plan_batches(size, examples, epochs) if steps is None else plan_steps(size, examples, steps)


def _call(target: Target, supplied: Mapping[str, Any]) -> Any:
    """Call the function of a group."""
    # A copy, since a function may change a list that it was given, and other runs have the same one.
    return targets.call(targets.locate(target.target), copy.deepcopy(target.arguments), supplied)


def _check_kind(kind: type[T], group: str, target: Target, made: Any) -> T:
    """Return what the function of a group made, which must be of this kind."""
    if not isinstance(made, kind):
        raise UserError(
            f"{group}: {target.target} must return a {kind.__module__}.{kind.__name__}, "
            f"got {type(made).__name__}; docs/your_own.md shows one."
        )
    return made


def make_task(config: Config, dataset: Dataset) -> Task:
    """Make the task of a configuration, which its model must fit.

    Raises:
        UserError: if the data are of another task, or a built-in model cannot learn it.
    """
    task = _make_task(config.task, dataset)
    _check_model(config.model, dataset, task)
    return task


def _check_model(model: Target, dataset: Dataset, task: Task) -> None:
    """Raise UserError if a built-in model does not fit, which a worker would find only with TensorFlow."""
    if not model.target.startswith("ratelab.models."):
        return
    inputs = dataset.train.inputs
    tokens = dataset.scale is None and inputs.dtype.kind in "iu"
    outputs, shape = _outputs(task, dataset), inputs.shape[1:]
    bound = signature_of(targets.locate(model.target)).bind(shape, outputs, **model.arguments)
    bound.apply_defaults()
    try:
        problem = Problem(shape, str(inputs.dtype), tokens, outputs, task.output_shape)
        check_fit(model.target, bound.arguments, problem)
    except UserError as error:
        raise UserError(f"model: {error}") from None


def _make_task(target: Target, dataset: Dataset) -> Task:
    """Make the task; what its functions raise while they are compiled is told as theirs."""
    given = {"targets": dataset.train.targets, "classes": dataset.classes}
    made = _check_kind(Task, "task", target, _call(target, given))
    what = f"task: {target.target}"
    metrics = {
        name: replace(
            metric,
            by_example=_add_blame(metric.by_example, f"{what}: {name}"),
            finish=_add_blame(metric.finish, f"{what}: finish of {name}"),
        )
        for name, metric in made.metrics.items()
    }
    return replace(
        made,
        loss=_add_blame(made.loss, f"{what}: loss"),
        loss_in_xla=_add_blame(made.loss_in_xla, f"{what}: loss_in_xla"),
        weight=_add_blame(made.weight, f"{what}: weight"),
        metrics=metrics,
    )


def _outputs(task: Task, dataset: Dataset) -> int:
    """Return how many numbers a model gives for an example, or for each token of one."""
    if task.output_shape:
        return task.output_shape[-1]
    return dataset.classes or int(dataset.train.targets.shape[-1])


def _make_optimizer(target: OptimizerTarget) -> Optimizer:
    """Make the optimizer; what its functions raise while they are compiled is told as theirs."""
    made = _call(target, {})
    refuse_keras_object(target.target, made)
    made = _check_kind(Optimizer, "optimizer", target, made)
    what = f"optimizer: {target.target}"
    rule = replace(
        made,
        update=partial(_update, _add_blame(made.update, f"{what}: update"), target.target),
        evaluated=_add_blame(made.evaluated, f"{what}: evaluated"),
        start=_add_blame(made.start, f"{what}: start"),
        numbers_of_momenta=_add_blame(made.numbers_of_momenta, f"{what}: numbers_of_momenta"),
        by_weight=_add_blame(made.by_weight, f"{what}: by_weight"),
    )
    return rule if target.clip_norm is None else clip_gradients(rule, target.clip_norm)


def _add_blame(function: Any, what: str) -> Any:
    """Return the function with `blame` around every call; None where there is none."""
    if function is None:
        return None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with blame(what):
            return function(*args, **kwargs)

    return call


def _update(function: Callable[..., Any], target: str, *args: Any, **numbers: Any) -> Any:
    """Call the update of an optimizer, which must return as many arrays as it was given, of their shapes."""
    _, _, weights, _, slots = args
    updated = function(*args, **numbers)
    what = f"optimizer: {target}: update"
    with blame(f"{what} must return weights and slots, but to read them"):
        new_weights, new_slots = updated
        found = [[tuple(array.shape) for array in arrays] for arrays in [new_weights, *new_slots]]
    wanted = [[tuple(array.shape) for array in arrays] for arrays in [weights, *slots]]
    if found != wanted:
        raise UserError(f"{what} must return weights and slots of the shapes {wanted}, got {found}.")
    return updated


def _ask_size(target: str, wanted: Callable[[int], float], seen: int) -> float:
    with blame(f"batch: {target}, asked after {seen} examples,"):
        return float(wanted(seen))


def _describe_program(config: Config, optimizer: Optimizer) -> str:
    """Describe what is compiled: all but what runs of one program may differ in."""
    own = {"seed", "schedule", "warmup", "learning_rate", "epochs", "tracking", "print_schedule", "test"}
    shared = config.model_dump(by_alias=True, exclude=own)
    for name in optimizer.hyperparameters:
        shared["optimizer"].pop(name, None)
    shared["hyperparameters"] = sorted(optimizer.hyperparameters)
    return json.dumps(shared, sort_keys=True)


def _build_model(config: Config, shape: tuple[int, ...], outputs: int) -> Any:
    """Call the model's `_target_`; layers inside its arguments may be targets too.

    Raises:
        UserError: if Keras refuses the arguments of a layer.
    """
    supplied = {"input_shape": tuple(map(int, shape)), "outputs": outputs, "classes": outputs}
    try:
        arguments = targets.build(config.model.arguments)
        return targets.call(targets.locate(config.model.target), arguments, supplied)
    except UserError as error:
        raise UserError(f"model: {error}") from error
