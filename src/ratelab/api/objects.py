"""Objects of Python in the place of words of the command line: values, functions, arrays, data frames."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ratelab.api.data_files import is_frame, write_arrays, write_frame
from ratelab.validation import UserError, shorten

GROUPS = ("batch", "data", "model", "optimizer", "schedule", "task")  # whose options are functions
_KEY = re.compile(r"[A-Za-z_][\w.]*")


@dataclass
class Given:
    """What a call was given.

    Attributes:
        words: overrides, as on the command line.
        options: the keys of options that are functions of the caller's, by "group/name".
    """

    words: list[str]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)


def as_given(overrides: Sequence[str], settings: Mapping[str, Any]) -> Given:
    """Return the overrides that say the same as objects, and the options that functions become.

    Args:
        overrides: words of the command line.
        settings: by key: a value, a function, or a list, range or array of them to compare, where a list
            inside is a value; of "data" also arrays and data frames, which are written to files.

    Raises:
        UserError: for an object that no word can stand for; nothing has been written.
    """
    if isinstance(overrides, str) or not all(isinstance(word, str) for word in overrides):
        raise UserError(
            f"the first argument must be a list of texts such as ['schedule=cosine'], got {overrides!r:.80}."
        )
    given = Given(list(overrides))
    packages: list[str] = []
    for key, value in settings.items():
        if not _KEY.fullmatch(key):
            raise UserError(f"{key!r:.80} must be a key of the configuration.")
        if key == "data" and not isinstance(value, str) and not callable(value):
            given.words += _write_data(value)
            continue
        if isinstance(value, range) and len(value) > 1:  # which stays a short word, however long it is
            given.words.append(f"{key}=range({value.start},{value.stop},{value.step})")
            continue
        texts = [_write(key, one, given, packages) for one in _list_values(key, value)]
        given.words.append(f"{key}={','.join(texts)}")
    if packages:
        _allow(given, packages)
    return given


def _list_values(key: str, value: Any) -> list[Any]:
    """Return the values to compare; most often it is one."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, list | tuple | range):
        return [value]
    if not len(value):
        raise UserError(f"{key} must have a value, got an empty {type(value).__name__}.")
    return list(value)


def _write(key: str, value: Any, given: Given, packages: list[str]) -> str:
    """Return the word for a value; what it takes beside that word is added to what was given."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(_write(key, one, given, packages) for one in value)}]"
    if callable(value) and key in GROUPS:
        return _name_option(key, value, given, packages)
    kinds = f"a text, a number, None, or for {', '.join(GROUPS)} a function"
    raise UserError(f"{key} must be {kinds}, or a list of them, got {shorten(value)}.")


def _name_option(group: str, function: Callable[..., Any], given: Given, packages: list[str]) -> str:
    """Return the name of the option that a function is, after making it one."""
    module, name = _find_name(group, function)
    if module.split(".")[0] == "ratelab":
        return name  # each of ours has an option of its name
    keys = {"_target_": f"{module}.{name}"}
    if given.options.setdefault(f"{group}/{name}", keys) != keys:
        raise UserError(f"{group}={name}: two functions have that name; give one of them another.")
    packages.append(module)
    return name


def _find_name(group: str, function: Callable[..., Any]) -> tuple[str, str]:
    """Return the module and the name under which other processes find a function."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not isinstance(module, str) or not name.isidentifier():
        what = "a lambda" if "<lambda>" in name else f"{function!r:.80}"
        raise UserError(
            f"{group} must be a function that others can find by its name, for the runs are trained in other "
            f"processes, got {what}; write it with `def` at the top level of the notebook or of a module."
        )
    if getattr(sys.modules.get(module), name, None) is not function:
        raise UserError(
            f"{group}: {module}.{name} is not the function that was given, for the name has another meaning "
            "now; define it anew, or name it otherwise."
        )
    return module, name


def _allow(given: Given, packages: Sequence[str]) -> None:
    """Let the configuration name functions of these modules, beside what the caller allows."""
    ours = ",".join(dict.fromkeys(packages))
    for place, word in enumerate(given.words):
        if word.startswith("allow_targets=[") and word.endswith("]"):
            before = word[len("allow_targets=[") : -1]
            given.words[place] = f"allow_targets=[{','.join(filter(None, [before, ours]))}]"
            return
    given.words.append(f"allow_targets=[{ours}]")


def _write_data(value: Any) -> list[str]:
    """Return the words for data that were given as they are, after writing them to a file."""
    if is_frame(value):
        return ["data=table", f"data.file='{write_frame(value)}'"]
    return ["data=arrays", f"data.file='{write_arrays(value)}'"]
