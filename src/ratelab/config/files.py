"""Configuration files as Hydra reads them: a mistake is one message, and what was saved can be run again.

Hydra's own source of files ends with a traceback for a mistake in YAML.
"""

import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ratelab.config.hydra_internals import FileConfigSource
from ratelab.config.schema import Config
from ratelab.config.search_path import CONF, SCHEME
from ratelab.validation import UserError

# The keys that say what a run is: the artifact of a run has these, and not how it is gone on with.
_DESCRIBING = {key for key, field in Config.model_fields.items() if field.is_required()}


class CheckedFiles(FileConfigSource):
    """A folder of configuration files, by `ratelab://FOLDER` on Hydra's search path."""

    @staticmethod
    def scheme() -> str:
        """Return what such an entry of the search path begins with."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file; one that Hydra or we have saved, which is complete, gets what Hydra needs beside it.

        Raises:
            UserError: if the file is no YAML, or holds no keys.
        """
        path = Path(self.path) / self._normalize_file_name(config_path)
        text = _read_text(path)
        config = _parse(text, path)
        if "defaults" not in config and set(config) >= _DESCRIBING:
            config = _complete(config, path.parent)
        header = _read_header(text)
        if config_path.startswith("experiment/") and not header.get("package"):
            raise UserError(
                f"{path}: must begin with the line `# @package _global_`, for it sets keys of the whole "
                "configuration."
            )
        return ConfigResult(
            provider=self.provider, path=f"{self.scheme()}://{self.path}", config=config, header=header
        )


def _read_header(text: str) -> dict[str, str | None]:
    """Return what the comments at the beginning tell Hydra, which itself stops at the first plain one."""
    lines = [line.strip() for line in text.splitlines()]
    comments = itertools.takewhile(lambda line: not line or line.startswith("#"), lines)
    return ConfigSource._get_header_dict("\n".join(line for line in comments if "@" in line))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # with a mark in front Hydra overlooks `# @package`
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: must be text in UTF-8, byte {error.start} is none; save it so.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None


def _parse(text: str, path: Path) -> DictConfig:
    try:
        config = OmegaConf.load(io.StringIO(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise UserError(f"{path}{line}: {error.problem or error.context}; mend the YAML there.") from None
    except (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}; mend the YAML.") from None
    except RecursionError:
        raise UserError(f"{path}: holds itself, or is nested too deep; mend the YAML.") from None
    if not isinstance(config, DictConfig):
        raise UserError(f"{path}: must hold keys and values, as `epochs: 5`, got a list.")
    return config


def _complete(saved: DictConfig, folder: Path) -> DictConfig:
    """Return a saved configuration as a primary one, with the project's settings of Hydra.

    Its options are named as Hydra saved them beside it, else after the functions.
    """
    project = _parse(_read_text(CONF / "config.yaml"), CONF / "config.yaml")
    own: Any = OmegaConf.to_container(project)
    of_hydra = [
        one for one in own["defaults"] if isinstance(one, dict) and "override hydra" in next(iter(one))
    ]
    values: Any = OmegaConf.to_container(saved)
    values = {key: own[key] for key in set(Config.model_fields) - _DESCRIBING} | values
    hydra = own["hydra"] | {"runtime": {"choices": _choices(values, folder)}}
    # a store may hold a password, so the artifact of a run has none: the usual one, unless one is given
    usual = _parse(_read_text(CONF / "tracking" / "local.yaml"), CONF).uri
    values["tracking"] = {"uri": usual} | values["tracking"]
    return OmegaConf.create({"defaults": [*of_hydra, "_self_"], "hydra": hydra, **values})


def _choices(values: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the option of each group, by which runs are named and compared."""
    saved = folder / "hydra.yaml"
    if saved.is_file():
        chosen = _parse(_read_text(saved), saved).hydra.runtime.choices
        return {str(key): option for key, option in chosen.items() if "/" not in str(key)}
    named = ("data", "task", "schedule", "model", "optimizer", "batch")
    choices = {group: str(values[group]["_target_"]).rpartition(".")[2] for group in named}
    warmup = "linear" if values["warmup"]["steps"] else "none"
    return choices | {"device": values["device"]["kind"], "warmup": warmup}
