"""What was probably meant by a key that there is not, or by an option that a config group does not have."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ratelab.config.search_path import CONF

OF_HYDRA = ("hydra/launcher", "hydra/sweeper")


def suggest(error: BaseException | None) -> str:
    """Return the nearest option or key as a question; empty if there is none, or the error is another one.

    >>> suggest(MissingConfigException("", "schedule/exponental", ["cosine", "exponential"]))
    'Did you mean schedule=exponential?'
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        near = difflib.get_close_matches(option, error.options or [], n=1)
        return f"Did you mean {group}={near[0]}?" if near else ""
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) else None
    if isinstance(cause, OmegaConfBaseException):
        return _suggest_key(cause)
    return suggest(cause) if isinstance(cause, MissingConfigException) else ""


def _suggest_key(error: OmegaConfBaseException) -> str:
    """Return the question about a key that its mapping does not have."""
    key, mapping = str(error.full_key or ""), error.parent_node
    values: Any = OmegaConf.to_container(mapping, resolve=False) if isinstance(mapping, DictConfig) else None
    above, dot, last = key.rpartition(".")
    if not isinstance(values, dict) or last in values:  # the key is right, its value is not
        return ""
    known = [] if above else [path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if path.is_dir()]
    if not above:
        values.pop("hydra", None)  # whose keys begin with its name
        known += OF_HYDRA
    known += _keys(values)
    # A key given without its group is as far from its whole name as that is long, so it is looked for first.
    ends = [name for name in known if name.endswith(f".{last}")]
    near = ends[:1] or difflib.get_close_matches(last, known, n=1)
    return f"Did you mean {above}{dot}{near[0]}?" if near else _suggest_option(above, last)


def _suggest_option(group: str, key: str) -> str:
    """Return which options of a group have a key, or one that is near it, that the chosen one lacks."""
    options: dict[str, list[str]] = {}
    for file in sorted((CONF / group).glob("*.yaml")) if group else ():
        for known in yaml.safe_load(file.read_text()):
            options.setdefault(known, []).append(f"{group}={file.stem}")
    near = difflib.get_close_matches(key, options, n=1)
    return f"{group}.{near[0]} needs {' or '.join(options[near[0]])}." if near else ""


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield all keys of nested mappings, dotted."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


@contextmanager
def suggest_at_exit() -> Iterator[None]:
    """Add the question to what Hydra prints when it ends the program for an option that does not exist."""
    try:
        yield
    except SystemExit as end:
        # Hydra has printed the error and passes only its status on; what it was handling is kept by Python
        if question := suggest(end.__context__):
            sys.stderr.write(f"{question}\n")
        raise
