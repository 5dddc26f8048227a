"""From a typed configuration to a job: arrays, functions and counts. No TensorFlow yet."""

import json
from functools import partial
from typing import Any

from ratelab import config as configuration
from ratelab import data, schedules, targets
from ratelab.config import Config
from ratelab.optimizers import Optimizer
from ratelab.training import Job
from ratelab.validation import UserError

__all__ = ["plan"]


def plan(config: Config) -> Job:
    """Turn a configuration into a job: arrays, functions and counts.

    Raises:
        UserError: if the schedule gives a rate that is negative or not finite.
    """
    dataset = data.load(config.data.name, directory=config.data.dir, validation_size=config.validation_size)
    examples = len(dataset.train.labels)
    if config.batch_size > examples:
        raise UserError(
            f"batch_size must be at most {examples}, the training examples, got {config.batch_size}."
        )
    steps = config.epochs * (examples // config.batch_size)
    shape = tuple(int(side) for side in dataset.train.images.shape[1:])
    optimizer = targets.call(targets.locate(config.optimizer.target), config.optimizer.arguments, {})
    if not isinstance(optimizer, Optimizer):
        raise UserError(
            f"optimizer: {config.optimizer.target} must return a ratelab.optimizers.Optimizer, "
            f"got {type(optimizer).__name__}; docs/your_own.md shows one."
        )
    return Job(
        seed=config.seed,
        learning_rate=schedules.tabulate(configuration.make_schedule(config, steps), steps),
        build_model=partial(_build_model, config, shape, dataset.classes),
        data=dataset,
        optimizer=optimizer,
        batch_size=config.batch_size,
        epochs=config.epochs,
        xla=config.device.xla,
        program_key=_program_key(config, optimizer),
        test=config.test,
    )


def _program_key(config: Config, optimizer: Optimizer) -> str:
    """Describe what is compiled: all but what runs of one program may differ in."""
    own = {"seed", "schedule", "warmup", "learning_rate", "epochs", "tracking", "print_schedule", "test"}
    shared = config.model_dump(by_alias=True, exclude=own)
    for name in optimizer.hyperparameters:
        shared["optimizer"].pop(name, None)
    return json.dumps(shared, sort_keys=True)


def _build_model(config: Config, shape: tuple[int, ...], classes: int) -> Any:
    """Call the model's `_target_`; layers inside its arguments may be targets too.

    Raises:
        UserError: if Keras refuses the arguments of a layer.
    """
    supplied = {"input_shape": shape, "classes": classes}
    try:
        arguments = targets.build(config.model.arguments)
        return targets.call(targets.locate(config.model.target), arguments, supplied)
    except (TypeError, ValueError) as error:
        if not config.model.target.startswith("keras."):
            raise
        raise UserError(f"model: {config.model.target}: {error}") from None
