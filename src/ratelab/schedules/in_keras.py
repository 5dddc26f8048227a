"""Our schedules as Keras' own kind. Keras is imported when it is asked for, not before."""

import functools
import importlib
from collections.abc import Mapping
from typing import Any

from ratelab.schedules.interface import Build, build_schedule, tabulate
from ratelab.validation import UserError, unknown_key

OWN = "ratelab.schedules"


def as_keras(function: Build, learning_rate: float, steps: int, **options: Any) -> Any:
    """Return a `keras.optimizers.schedules.LearningRateSchedule` that has the rates of ours.

    The schedule is tabulated once; step t takes number t of the table, and the last one after its end.
    `get_config` holds the name of the function and its arguments. A process that loads a model with such a
    schedule calls `keras_class()` before, which makes the class known to Keras.

    Args:
        function: a function of this package, or one of your own that
            `keras.saving.register_keras_serializable` knows (only saving needs that).
        learning_rate: the base rate; finite and >= 0.
        steps: the length of the run.
        options: what else the function takes; schedules among them as functions or partials of them.

    Raises:
        UserError: if an argument is out of its bounds.

    >>> from ratelab.schedules import cosine
    >>> as_keras(cosine, 0.1, steps=100, alpha=0.01).get_config()["schedule"]
    {'function': 'ratelab.schedules.cosine', 'arguments': {'alpha': 0.01}}
    """
    return keras_class()(describe(functools.partial(function, **options)), learning_rate, steps)


# Cached, because a class can be registered once only, and a schedule must be an instance of that one.
@functools.cache
def keras_class() -> type:
    """Return the class of `as_keras`, registered with Keras as `ratelab>Schedule`."""
    import keras

    @keras.saving.register_keras_serializable(package="ratelab", name="Schedule")
    class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc] # Keras is untyped
        """The table of a schedule: the rate of step t is number t, after the end the last one."""

        def __init__(self, schedule: Mapping[str, Any], learning_rate: float, steps: int) -> None:
            self.description, self.learning_rate, self.steps = schedule, learning_rate, steps
            self.table = tabulate(build_schedule(restore(schedule), learning_rate, steps), steps)

        def __call__(self, step: Any) -> Any:
            index = keras.ops.clip(keras.ops.cast(step, "int32"), 0, self.steps - 1)
            return keras.ops.take(keras.ops.convert_to_tensor(self.table), index)

        def get_config(self) -> dict[str, Any]:
            return {
                "schedule": self.description,
                "learning_rate": self.learning_rate,
                "steps": self.steps,
            }

    return Schedule


def describe(value: Any) -> Any:
    """Return `value` with every function in it as its name and its arguments.

    >>> from ratelab.schedules import fixed
    >>> describe([fixed, 3])
    [{'function': 'ratelab.schedules.fixed', 'arguments': {}}, 3]
    """
    if isinstance(value, list | tuple):
        return [describe(part) for part in value]
    if not callable(value):
        return value
    arguments: dict[str, Any] = {}
    # A partial of a partial: what the outer one says holds, as when it is called.
    while isinstance(value, functools.partial):
        arguments = {**value.keywords, **arguments}
        value = value.func
    written = {key: describe(part) for key, part in arguments.items()}
    return {"function": _name_of(value), "arguments": written}


def restore(value: Any) -> Any:
    """Return what `describe` was given.

    Raises:
        UserError: for a function that is neither ours nor registered with Keras.

    >>> from ratelab.schedules import fixed
    >>> restore(describe([fixed]))[0].func is fixed
    True
    """
    if isinstance(value, list | tuple):
        return [restore(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    arguments = {key: restore(part) for key, part in value["arguments"].items()}
    return functools.partial(_find_function(value["function"]), **arguments)


def _name_of(function: Build) -> str:
    """Return the name by which `_find_function` finds it: that of the package, or that of Keras' registry."""
    # By the package that offers it, not by its module: a saved model outlives a move of the module.
    if function.__module__.startswith(f"{OWN}."):
        return f"{OWN}.{function.__name__}"
    import keras

    return str(keras.saving.get_registered_name(function))


def _find_function(name: str) -> Build:
    """Return one of our functions, or one that Keras knows; raise UserError for any other name.

    The name may come from a file that somebody else saved, so it must not reach whatever can be imported.
    """
    package, _, own = name.rpartition(".")
    if package == OWN:
        schedules = importlib.import_module(OWN)
        if own not in schedules.__all__:
            raise unknown_key(OWN, own, schedules.__all__)
        return getattr(schedules, own)  # type: ignore[no-any-return] # by its name
    import keras

    found = keras.saving.get_registered_object(name)
    if found is None:
        raise UserError(
            f"as_keras: {name} must be a function of {OWN} or one registered by "
            "keras.saving.register_keras_serializable"
        )
    return found  # type: ignore[no-any-return] # Keras is untyped
