"""Functions named in YAML by `_target_`: which ones may be named, how they are found and called."""

import difflib
import importlib.util
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ratelab.config import keras_names
from ratelab.validation import (
    COLLECTING,
    UserError,
    fit_arguments,
    name_of,
    shorten,
    signature_of,
    unknown_key,
)
from ratelab.validation.blame import blame

OWN = (
    "ratelab.schedules",
    "ratelab.optimizers",
    "ratelab.models",
    "ratelab.batch_sizes",
    "ratelab.data",
    "ratelab.tasks",
)


def check_targets(values: Any, packages: Sequence[str]) -> None:
    """Raise UserError unless all that `values` name by `_target_`, however deep, may be called.

    Args:
        values: plain mappings, lists and scalars.
        packages: as in `refuse_foreign`.
    """
    named = list(_targets(values))
    for place, node in named:
        refuse_foreign(str(node["_target_"]), place, packages)
    for place, node in named:
        target = str(node["_target_"])
        if target.startswith("keras.") and not is_allowed(target, packages):
            arguments = {key: value for key, value in node.items() if key != "_target_"}
            keras_names.refuse_arguments(target, arguments, place)


def refuse_foreign(target: str, place: str, packages: Sequence[str]) -> None:
    """Raise UserError unless `target` is a function of ours, a layer of Keras, or in one of `packages`.

    Args:
        target: the value of `_target_`.
        place: where it stands in the configuration.
        packages: names of the user's own packages, which hold what the user wants to run.

    >>> refuse_foreign("os.system", "model", [])
    Traceback (most recent call last):
    ratelab.validation.UserError: model._target_ must start with one of ratelab.schedules, ...
    """
    own, name = target.rpartition(".")[::2]
    if is_allowed(target, packages) or name in keras_names.NAMES.get(own, ()):
        return
    if own in OWN:
        offered = importlib.import_module(own).__all__
        if name not in offered:
            raise unknown_key(f"{place}._target_={target}: {own}", name, offered)
        return
    if own in keras_names.NAMES and own != "keras":
        near = difflib.get_close_matches(name, keras_names.NAMES[own], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UserError(
            f"{place}._target_={target}: {name!r} is not among the names of {own} that a file may use"
            f"{hint} What reads files or finds functions by name needs 'allow_targets=[keras]'."
        )
    keras = ["keras.Sequential", *(module for module in keras_names.NAMES if module != "keras")]
    raise UserError(
        f"{place}._target_ must start with one of {', '.join([*OWN, *keras, *packages])}, "
        f"got {shorten(target)}; if it is yours, add 'allow_targets=[{target.partition('.')[0][:40]}]'."
    )


def is_allowed(target: str, packages: Iterable[str]) -> bool:
    """Say whether `target` lies in one of `packages`.

    >>> is_allowed("mine.models.tiny", ["mine"]), is_allowed("miner.tiny", ["mine"])
    (True, False)
    """
    return any(target.startswith(f"{package.rstrip('.')}.") for package in packages)


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
    with blame(f"_target_={target}: import {module_name}"):
        try:
            __import__(module_name)  # what an import statement calls: `devices.set_up_on_import` sees it
        except ModuleNotFoundError as error:
            raise UserError(f"_target_={target}: {error}; is its folder on PYTHONPATH?") from None
    module = sys.modules[module_name]
    function = getattr(module, name, None)
    if function is None:
        public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise unknown_key(module_name, name, getattr(module, "__all__", public))
    if not callable(function):
        raise UserError(f"_target_={target}: must be a function or a class, got {function!r}.")
    return function  # type: ignore[no-any-return] # by its name


def refuse_absent(target: str) -> None:
    """Raise UserError if the package of a `_target_` is nowhere to be found; nothing is imported.

    >>> refuse_absent("nowhere.tiny")
    Traceback (most recent call last):
    ratelab.validation.UserError: _target_=nowhere.tiny: No module named 'nowhere'; ...
    """
    package = target.partition(".")[0]
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        raise UserError(f"_target_={target}: No module named {package!r}; is its folder on PYTHONPATH?")


def call(function: Callable[..., Any], arguments: Mapping[str, Any], supplied: Mapping[str, Any]) -> Any:
    """Call `function` with `arguments`, and with those of `supplied` that its signature names.

    Raises:
        UserError: if the arguments do not fit the signature, and for whatever the function raises.
    """
    parameters = signature_of(function).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind not in COLLECTING}
    given = {name: value for name, value in supplied.items() if name in names}
    _refuse_left_over(function, arguments, names - given.keys())
    fitting = {**given, **fit_arguments(function, arguments, given)}
    words = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in fitting.items())
    with blame(f"{function.__module__}.{name_of(function)}({words})"):
        first = [fitting.pop(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_ONLY]
        return function(*first, **fitting)


def _refuse_left_over(
    function: Callable[..., Any], arguments: Mapping[str, Any], known: AbstractSet[str]
) -> None:
    """Raise UserError for an argument that a function of the user's does not have.

    Most often it is one that the chosen option's file sets for a function of ours.
    """
    collects = any(one.kind is one.VAR_KEYWORD for one in signature_of(function).parameters.values())
    foreign = [key for key in arguments if key not in known]
    if foreign and not collects and function.__module__.partition(".")[0] not in {"keras", "ratelab"}:
        raise UserError(
            f"{unknown_key(name_of(function), foreign[0], known)} If the file of an option sets it, name "
            "your function in a file of its own (docs/your_own.md)."
        )


def takes(function: Callable[..., Any], name: str) -> bool:
    """Say whether a function has an argument of this name.

    >>> takes(locate("ratelab.data.mnist"), "validation_size")
    True
    """
    return name in signature_of(function).parameters


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

    build_schedule.__qualname__ = node["_target_"]  # its name in messages
    return build_schedule


def list_targets(values: Any) -> list[str]:
    """Return all that `values` name by `_target_`, however deep.

    >>> list_targets({"model": {"_target_": "mine.tiny", "layers": [{"_target_": "keras.layers.Dense"}]}})
    ['mine.tiny', 'keras.layers.Dense']
    """
    return [str(node["_target_"]) for _, node in _targets(values)]


def _targets(node: Any, place: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the place and the mapping of every `_target_` in a configuration."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield place or "config", node
        for key, value in node.items():
            yield from _targets(value, f"{place}.{key}".removeprefix("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(value, f"{place}[{index}]")
