"""A run from its config.yaml alone: our own keys, nothing resolved but what was permitted by name."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ratelab.config import read
from ratelab.config.targets import check_targets, is_allowed, list_targets
from ratelab.runs.description import digest_config
from ratelab.runs.main_functions import MAIN
from ratelab.runs.planned import Labels, PlannedRun
from ratelab.tracking import RecordedRun
from ratelab.validation import UserError


@dataclass(frozen=True)
class Permissions:
    """What a configuration from a store may do here; the words are those of this command line.

    Attributes:
        targets: packages of the user's own that `_target_` may name; what the run was allowed does not count.
        variables: of the environment, whose values the configuration may take.
    """

    targets: Sequence[str] = ()
    variables: Collection[str] = ()


def rebuild_run(run: RecordedRun, text: str, permissions: Permissions) -> PlannedRun:
    """Return a run as it was planned, to be trained again and recorded nowhere; its job is not made yet.

    Args:
        run: as the store has it.
        text: of its config.yaml.
        permissions: of this command.

    Raises:
        UserError: what it names is not permitted or not there, or it is not what the run was made from.
    """
    what = f"config.yaml of run {run.run_id}"
    values = _parse(text, what)
    try:
        # Before anything of it is looked at: whoever changes the one must change the other.
        digest = digest_config(values)
    except (KeyError, AttributeError, TypeError, ValueError):
        raise UserError(f"{what} is not the configuration of a run of ratelab's.") from None
    if digest != run.tags["config_digest"]:
        raise UserError(
            f"{what} is not what the run was made from, for the tag config_digest is that of another one: it "
            "was changed, or another version of ratelab counts otherwise (tag versions)."
        )
    _refuse_main(values, what)
    _refuse_targets(values, permissions.targets, what)
    values = _insert_variables(values, permissions.variables, what)
    values |= {"allow_targets": list(permissions.targets), "tracking": {"uri": None, **values["tracking"]}}
    try:
        config = read(values)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    labels = Labels({}, run.tags["schedule"], (), run.tags.get("sweep_id"))
    job = run.tags.get("job", "")
    return PlannedRun(int(job) if job.isdecimal() else 0, config, labels, Path.cwd())


def _parse(text: str, what: str) -> dict[str, Any]:
    """Return the values as they are written; nothing is resolved."""
    try:
        values: Any = OmegaConf.to_container(OmegaConf.create(text))
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{what} cannot be read: {reason:.200}") from None
    if not isinstance(values, dict):
        raise UserError(f"{what} must hold keys and values.")
    return {str(key): value for key, value in values.items()}


def _refuse_main(values: Mapping[str, Any], what: str) -> None:
    own = [target for target in list_targets(values) if target.startswith(f"{MAIN}.")]
    if own:
        raise UserError(
            f"{what}: {own[0]} was a function of a script or a notebook. The artifact functions.py has its "
            "text, but not what it used, so it cannot be called again; keep such functions in a module, and "
            "its runs can be replayed."
        )


def _refuse_targets(values: Mapping[str, Any], targets: Sequence[str], what: str) -> None:
    """Raise UserError for what the run was allowed and this command is not."""
    try:
        check_targets(values, targets)
    except UserError as error:
        before = [str(package) for package in values.get("allow_targets") or []]
        for target in list_targets(values):
            packages = [package for package in before if is_allowed(target, [package])]
            if packages and not is_allowed(target, targets):
                raise UserError(
                    f"{what} names {target:.100}. What a store names is called only if you say so here, "
                    f"whatever the run was allowed: --allow-targets {packages[0]}"
                ) from None
        raise UserError(f"{what}: {error}") from None


def _insert_variables(node: Any, permitted: Collection[str], what: str, place: str = "") -> Any:
    """Return `node` with the values of the variables that it takes from the environment."""
    if isinstance(node, Mapping):
        return {
            key: _insert_variables(value, permitted, what, f"{place}.{key}".lstrip("."))
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_insert_variables(value, permitted, what, place) for value in node]
    if not (isinstance(node, str) and "${" in node):
        return node
    found = re.fullmatch(r"\$\{oc\.env:\s*['\"]?(\w+)['\"]?\}", node)
    if found is None:
        raise UserError(f"{what}: {place} is {node:.80}, and a replay resolves nothing but ${{oc.env:NAME}}.")
    name = found[1]
    if name not in permitted:
        raise UserError(
            f"{what}: {place} is the value of the variable {name}. What the run calls may see it only if you "
            f"say so: --allow-env {name}"
        )
    if name not in os.environ:
        raise UserError(f"{what}: {place} is the value of the variable {name}, which is not set.")
    return os.environ[name]
