"""Names and texts that MLflow accepts: what it would refuse or silently cut is changed where it shows."""

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from ratelab.runtime.clipping import clip_apart
from ratelab.validation import UserError

PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
NAME_LENGTH = 250
# MLflow's table of runs has 200 for what is made of it
_LOCATION_LENGTH = 200 - len(f"/{'0' * 32}/artifacts")


def metric_name(name: str) -> str:
    """Return `name` if MLflow accepts it as the name of a metric.

    Raises:
        ValueError: it does not, and a metric under another name would be lost to its reader.
    """
    if name != safe_name(name):
        rule = f"letters, digits, '_-. :/', at most {NAME_LENGTH}, and no path like '..' or '/x'"
        raise ValueError(f"metric name {name!r}: must be {rule}")
    return name


def safe_name(name: str) -> str:
    """Return `name` with every character replaced that MLflow refuses.

    >>> safe_name("a=b@c"), safe_name("../x"), safe_name("tags/a b:c")
    ('a_b_c', '_../x', 'tags/a b:c')
    """
    name = re.sub(r"[^/\w.\- :]", "_", name)
    if posixpath.normpath(name) != name or name.startswith("/"):
        name = name.replace("/", "_")
    if name in {"", "."} or name.startswith(".."):
        name = f"_{name}"
    return clip_apart(name, NAME_LENGTH)


def safe_texts(texts: Mapping[str, Any], length: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return `texts` as MLflow takes them, and, by their own names, those that had to be changed in full."""
    safe: dict[str, str] = {}
    changed: dict[str, str] = {}
    for name, value in texts.items():
        text, key = str(value), safe_name(name)
        number = 2
        while key in safe:
            key = f"{safe_name(name)[: NAME_LENGTH - 8]}_{number}"
            number += 1
        safe[key] = clip_apart(text, length)
        if (key, safe[key]) != (name, text):
            changed[name] = text
    return safe, changed


def check_location(location: str) -> None:
    """Raise UserError for a folder of artifacts that PostgreSQL has no place for."""
    if len(location) > _LOCATION_LENGTH:
        raise UserError(
            f"tracking.uri: PostgreSQL keeps at most {_LOCATION_LENGTH} characters of the folder for "
            f"artifacts, and {location} has {len(location)}: start from a folder with a shorter path, or use "
            "an MLflow server."
        )


def safe_run_name(name: str) -> str:
    """Return the name of a run as every store takes it; SQLite would take more than PostgreSQL."""
    return clip_apart(name, NAME_LENGTH)


def safe_params(params: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parameters as MLflow takes them, and the changed ones in full.

    What is cut ends in digits of its digest, so that runs which differ behind the cut are no replicates.
    """
    return safe_texts(params, PARAM_LENGTH)


def safe_tags(tags: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the tags as MLflow takes them, and the changed ones in full."""
    return safe_texts(tags, _TAG_LENGTH)


def as_json(texts: Mapping[str, str]) -> str:
    """Return the texts as an artifact that people can read."""
    return json.dumps(texts, indent=2, ensure_ascii=False)
