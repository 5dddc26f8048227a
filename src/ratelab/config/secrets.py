"""Passwords are taken out of what Hydra is given, before it parses, prints or saves any of it.

A value that a configuration takes from a variable such as API_KEY is not recorded, only where it came from.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from ratelab.runtime.passwords import is_secret, take_password

_URI = "tracking.uri"
_ENVIRONMENT = "hydra.job.env_set."
_LONG = 8


def hide_passwords(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without passwords; those are put into the environment.

    A word with a password that Hydra could not parse, for a "#" in it, say, is quoted on the way.

    Args:
        words: overrides, and whatever else stands on a command line.

    Raises:
        UserError: for a URI that has a password where it cannot be taken out.

    >>> hide_passwords(["seed=1", "tracking.uri=sqlite:///a.db"])
    ['seed=1', 'tracking.uri=sqlite:///a.db']
    """
    return [_hide_in_word(word) for word in words]


def hide_passwords_in(config: DictConfig) -> None:
    """Take the passwords out of a composed configuration that Hydra is about to save.

    In a sweep the jobs are composed anew; where the URI is from a file, an override is added for them.

    Raises:
        UserError: as `hide_passwords`.
    """
    told = config.hydra.overrides.task
    before = OmegaConf.to_container(told)
    assert isinstance(before, list)  # noqa: S101 - by Hydra's schema
    words = hide_passwords(before)
    uri = str(written(config, "tracking", "uri"))
    if (bare := take_password(uri)) != uri:
        config.tracking.uri = bare
        if words == before:
            words.append(f"{_URI}={_quote(bare)}")
    if words != before:
        name = config.hydra.job.override_dirname
        with open_dict(config.hydra):
            config.hydra.overrides.task = words
            for old, new in zip(before, words, strict=False):
                name = name.replace(old, new)
            config.hydra.job.override_dirname = name


def written(config: DictConfig, group: str, key: str) -> Any:
    """Return a value as a configuration has it, with ${...} as it stands; None where there is none."""
    values = OmegaConf.to_container(config.get(group) or OmegaConf.create())
    return values.get(key) if isinstance(values, dict) else None


def is_from_secret(raw: object) -> bool:
    """Say whether a value as it is written in a configuration names a secret of the environment.

    >>> is_from_secret("${oc.env:API_KEY}"), is_from_secret("${oc.env:HOME}")
    (True, False)
    """
    return isinstance(raw, str) and any(map(is_secret, re.findall(r"oc\.env:\s*['\"]?(\w+)", raw)))


def with_sources_of_secrets(values: Any, raw: Any) -> Any:
    """Return resolved values with what came from a secret of the environment as it is written.

    Args:
        values: plain mappings, lists and scalars.
        raw: the same before ${...} was resolved; it may hold other keys as well.

    >>> with_sources_of_secrets({"a": 1, "b": "hush"}, {"a": 1, "b": "${oc.env:API_KEY}"})
    {'a': 1, 'b': '${oc.env:API_KEY}'}
    """
    if isinstance(values, Mapping):
        inner = raw if isinstance(raw, Mapping) else dict.fromkeys(values, raw)
        return {key: with_sources_of_secrets(value, inner.get(key)) for key, value in values.items()}
    if isinstance(values, list):
        parts = raw if isinstance(raw, list) else [raw] * len(values)
        return [with_sources_of_secrets(*pair) for pair in zip(values, parts, strict=True)]
    return raw if is_from_secret(raw) or _holds_secret(values, raw) else values


def _holds_secret(value: Any, raw: Any) -> bool:
    """Say whether a value that is another key's has a secret in it; a short one may be there by chance."""
    if not (isinstance(raw, str) and "${" in raw):
        return False
    secrets = [secret for name, secret in os.environ.items() if is_secret(name) and len(secret) >= _LONG]
    return any(secret in str(value) for secret in secrets)


def _hide_in_word(word: str) -> str:
    key, _, text = word.partition("=")
    name = key.lstrip("+").removeprefix(_ENVIRONMENT)
    if name != key.lstrip("+") and is_secret(name) and "${" not in text:
        os.environ[name] = text.strip("'\"")
        return f"{key}=${{oc.env:{name}}}"
    if key.lstrip("+") != _URI or not re.search("[@?]", text):
        return word
    uris = _read_uris(word, text)
    bare = [take_password(uri) for uri in uris]
    return word if bare == uris else f"{key}={','.join(map(_quote, bare))}"


def _read_uris(word: str, text: str) -> list[str]:
    """Return the URIs that an override gives; where it is none for Hydra, the text behind its key."""
    try:
        [override] = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return [text.strip("'\"")]
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    return [str(getattr(one, "text", one)) for one in values]  # the text of one that is quoted


def _quote(text: str) -> str:
    """Return a text as Hydra reads it back, whatever it holds."""
    if re.fullmatch(r"[\w.+:/@%-]+", text):
        return text
    return "'" + text.replace("'", "\\'") + "'"
