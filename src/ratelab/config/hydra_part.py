"""What Hydra's own part of a configuration may do: Hydra acts on it before the program begins.

It makes callbacks, launchers, sweepers and handlers of the log from names, and sets variables of the
environment. A file that somebody else wrote, or a command line that was copied, must reach no more by them
than by `_target_` in the rest.
"""

import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ratelab.config.targets import is_allowed
from ratelab.validation import UserError

CALLBACKS = {
    "ratelab.runs.preflight.Preflight",
    "hydra.experimental.callbacks.LogJobReturnCallback",
    "hydra.experimental.callbacks.PickleJobInfoCallback",
}
# Of launchers and sweepers Hydra itself takes only plugins; inside their options Optuna's has a sampler.
PLUGINS = ("hydra_plugins", "optuna.samplers")
LOGGING = {
    "colorlog.ColoredFormatter",
    "logging.FileHandler",
    "logging.Filter",
    "logging.Formatter",
    "logging.NullHandler",
    "logging.StreamHandler",
    "logging.handlers.RotatingFileHandler",
    "logging.handlers.TimedRotatingFileHandler",
    "logging.handlers.WatchedFileHandler",
    "rich.logging.RichHandler",
}
STREAMS = {"ext://sys.stdout", "ext://sys.stderr"}
# They say which code a program loads: the workers, Python in them, and git, which is asked for the commit.
LOADING = re.compile(
    "(LD|DYLD|PYTHON|GIT|HYDRA)_.*|PYTHON.*|(BASH_|K)?ENV|PATH|TF_PLUGGABLE_DEVICE_LIBRARY_PATH"
)
INSTALLED = {"site-packages", "dist-packages"}


def refuse_actions(config: DictConfig, own_plugins: str) -> None:
    """Raise UserError if Hydra would run code that is neither its own, ratelab's nor in `allow_targets`.

    Args:
        config: as composed, with Hydra's own part; nothing has been made of it.
        own_plugins: the package of Hydra's own launchers and sweepers.
    """
    packages = _packages(config)
    _check_leave(config, packages)
    _check_targets(config.hydra, packages, [*PLUGINS, own_plugins])
    for part in ("hydra_logging", "job_logging"):
        for place, key, value in _values(config.hydra, part, f"hydra.{part}"):
            _check_logging(place, key, value, packages)
    for place, key, value in _values(config.hydra.job, "env_set", "hydra.job.env_set"):
        if LOADING.fullmatch(str(key)) and value != os.environ.get(str(key)):
            raise UserError(f"{place}: a configuration may not say which code is loaded; set {key} yourself.")
    if not isinstance(config.hydra.verbose, bool | str | ListConfig):
        raise UserError(
            f"hydra.verbose must be true, false or names of loggers, got {config.hydra.verbose!r}."
        )
    for place, _, folder in _values(config.hydra, "output_subdir", "hydra.output_subdir"):
        if folder is not None and (Path(str(folder)).name != folder or folder == ".."):
            raise UserError(f"{place} must be a plain name or null, got {folder!r}.")


def _check_leave(config: DictConfig, packages: Sequence[str]) -> None:
    """Raise UserError if a file, and not the command line, allows what the user did not write.

    Who can place a module where Python finds it runs code without a configuration; who can write only a file
    of YAML would, if it could allow what is installed anyway.
    """
    words: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    if any(word.lstrip("+").startswith("allow_targets=") for word in words):
        return
    for package in packages:
        if _is_installed(package):
            raise UserError(
                f"allow_targets: {package} is not your own code, so a file may not allow it; if you want "
                f"that, give 'allow_targets=[{package}]' on the command line."
            )


def _check_targets(hydra: DictConfig, packages: Sequence[str], plugins: Sequence[str]) -> None:
    """Raise UserError for whatever Hydra would instantiate."""
    for part in ("callbacks", "launcher", "sweeper"):
        for place, key, value in _values(hydra, part, f"hydra.{part}"):
            if key in ("_target_", "custom_search_space") and value is not None:
                known = value in CALLBACKS if part == "callbacks" else is_allowed(str(value), plugins)
                _refuse_unless(known, place, value, packages)


def _check_logging(place: str, key: str | int, value: Any, packages: Sequence[str]) -> None:
    """Raise UserError for whatever logging would import, and for a file that is no log."""
    if key in ("class", "()"):
        _refuse_unless(value in LOGGING, place, value, packages)
    elif str(value).startswith(("ext://", "cfg://")):
        _refuse_unless(value in STREAMS, place, value, [])
    elif key == "filename" and not str(value).endswith(".log"):
        # The format of a line is free: written to a file that a shell reads, it would be a program.
        raise UserError(f"{place} must end in .log, got {value!r}.")


def _refuse_unless(known: bool, place: str, value: Any, packages: Sequence[str]) -> None:
    if not known and not is_allowed(str(value), packages):
        raise UserError(
            f"{place}: a configuration runs nothing but Hydra's own and ratelab's, got {value!r}; "
            f"if it is yours, add 'allow_targets=[{str(value).partition('.')[0]}]'."
        )


def _packages(config: DictConfig) -> list[str]:
    """Return `allow_targets`; what else may stand there is refused with the rest of the configuration."""
    if "allow_targets" not in config:
        return []
    return [str(package) for _, _, package in _values(config, "allow_targets", "allow_targets")]


def _values(node: Any, key: str | int, place: str) -> Iterator[tuple[str, str | int, Any]]:
    """Yield place, key and value of every scalar below `node[key]`, as Hydra will see it."""
    try:
        value = node[key]
    except OmegaConfBaseException:  # it cannot be known yet, as the folder of the job
        raw: Any = OmegaConf.to_container(node, resolve=False)
        value = raw[key]
    if isinstance(value, DictConfig):
        for inner in map(str, value):
            yield from _values(value, inner, f"{place}.{inner}")
    elif isinstance(value, ListConfig):
        for number in range(len(value)):
            yield from _values(value, number, f"{place}[{number}]")
    else:
        yield place, key, value


def _is_installed(package: str) -> bool:
    """Say whether a package is Python's own, ours, or was installed; nothing is imported."""
    name = package.partition(".")[0]
    if name in sys.stdlib_module_names or name in ("hydra", "hydra_plugins", "ratelab"):
        return True
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    places = [] if found is None else [*(found.submodule_search_locations or ()), found.origin or ""]
    return any(
        INSTALLED & set(Path(path).parts) or path.startswith(sysconfig.get_path("stdlib")) for path in places
    )
