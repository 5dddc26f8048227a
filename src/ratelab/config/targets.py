"""Functions named in YAML by `_target_`: which ones may be named, how they are found and called."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ratelab.validation import UserError, check_arguments, shorten, unknown_key

OWN = ("ratelab.schedules", "ratelab.optimizers", "ratelab.models", "ratelab.batch_sizes")
KERAS = tuple(
    f"keras.{name}"
    for name in ("Sequential", "layers", "initializers", "regularizers", "activations", "applications")
)

__all__ = ["build", "call", "locate", "refuse_foreign", "schedule_builders", "targets"]


def refuse_foreign(target: str, place: str, packages: Iterable[str]) -> None:
    """Raise UserError unless `target` is a public function of ours, of Keras, or in one of `packages`.

    Args:
        target: the value of `_target_`.
        place: where it stands in the configuration.
        packages: names of the user's own packages, which hold what the user wants to run.

    >>> refuse_foreign("os.system", "model", [])
    Traceback (most recent call last):
    ratelab.validation.UserError: model._target_ must start with one of ratelab.schedules, ...
    """
    own, name = target.rpartition(".")[::2]
    if own in OWN and name in importlib.import_module(own).__all__:
        return
    if target == "keras.Sequential" or (own in KERAS and name.isidentifier() and not name.startswith("_")):
        return
    if any(target.startswith(f"{package.rstrip('.')}.") for package in packages):
        return
    if own in OWN:
        raise unknown_key(f"{place}._target_={target}: {own}", name, importlib.import_module(own).__all__)
    raise UserError(
        f"{place}._target_ must start with one of {', '.join([*OWN, *KERAS, *packages])}, "
        f"got {shorten(target)}; if it is yours, add 'allow_targets=[{target.partition('.')[0][:40]}]'."
    )


def targets(node: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place and the value of every `_target_` in a configuration, however deep."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield place or "config", str(node["_target_"])
        for key, value in node.items():
            yield from targets(value, f"{place}.{key}".removeprefix("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from targets(value, f"{place}[{index}]")


def locate(target: str) -> Callable[..., Any]:
    """Import the function or class that a `_target_` names.

    Raises:
        UserError: if the module or the name in it does not exist, or is no function.

    >>> locate("ratelab.schedules.fixed").__name__
    'fixed'
    """
    module_name, _, name = target.rpartition(".")
    if not module_name or module_name.startswith("."):
        raise UserError(f"_target_={target}: must be a module and a function, as package.module.function.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(f"_target_={target}: {error}; is its folder on PYTHONPATH?") from None
    function = getattr(module, name, None)
    if function is None:
        public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise unknown_key(module_name, name, getattr(module, "__all__", public))
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        raise UserError(f"_target_={target}: must be a function or a class, got {function!r}.")
    return function


def call(function: Callable[..., Any], arguments: Mapping[str, Any], supplied: Mapping[str, Any]) -> Any:
    """Call `function` with `arguments`, and with those of `supplied` that its signature names.

    Raises:
        UserError: if the arguments do not fit the signature.
    """
    names = inspect.signature(function).parameters
    given = {name: value for name, value in supplied.items() if name in names}
    check_arguments(function, arguments, given)
    return function(**given, **arguments)


def build(node: Any) -> Any:
    """Return `node` with every `_target_` in it, however deep, called with the keys beside it.

    >>> build([{"_target_": "ratelab.optimizers.sgd"}, 1])[1]
    1
    """
    if isinstance(node, list):
        return [build(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    built = {key: build(value) for key, value in node.items() if key != "_target_"}
    return call(locate(node["_target_"]), built, {}) if "_target_" in node else built


def schedule_builders(node: Any) -> Any:
    """Return `node` with every schedule in it as a function of its base rate and its length.

    A schedule is built when both are known: one that is made of others gives each its own part of the run.

    Args:
        node: of `schedule` in a configuration, or anything inside it.
    """
    if isinstance(node, list):
        return [schedule_builders(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    arguments = {key: schedule_builders(value) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return arguments

    def build_schedule(learning_rate: float, steps: int) -> Any:
        supplied = {"learning_rate": learning_rate, "steps": steps}
        return call(locate(node["_target_"]), arguments, supplied)

    return build_schedule
