"""Where a result comes from: commit, local changes, versions of the packages, command."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratelab.runtime.passwords import without_password
from ratelab.validation import UserError


@dataclass(frozen=True)
class Provenance:
    """The state of the program when it ran.

    Attributes:
        commit: of the git checkout, or "" outside one.
        diff: local changes to tracked files, as `git diff HEAD` prints them.
        packages: one "name==version" a line, sorted.
        command: the command line.
    """

    commit: str
    diff: str
    packages: str
    command: str

    @property
    def versions(self) -> str:
        """Python and the packages that numbers depend on, with their versions."""
        wanted = {"keras", "mlflow", "numpy", "ratelab", "tensorflow"}
        named = [line.partition("==")[::2] for line in self.packages.splitlines()]
        found = [f"{name} {version}" for name, version in named if name in wanted]
        return ", ".join([f"python {platform.python_version()}", *found])

    @property
    def tags(self) -> dict[str, str]:
        """The MLflow tags that say the same in short."""
        return {
            "mlflow.source.git.commit": self.commit,
            "git_dirty": str(bool(self.diff)).lower(),
            "command": self.command,
            "versions": self.versions,
        }


_called: str | None = None  # what was called in a program that is not ours, such as a notebook


@contextlib.contextmanager
def called_from_python(command: str) -> Iterator[None]:
    """Let the block be what was called, in the place of the program: its checkout is that of this folder.

    Args:
        command: the call, in words.

    Raises:
        UserError: another call goes on: what Hydra and TensorFlow know is the process's.
    """
    global _called
    if _called is not None:
        raise UserError("one call of ratelab.run or ratelab.sweep at a time: wait until the other one ended.")
    _called = command
    collect.cache_clear()  # the program goes on, and what it works on changes
    try:
        yield
    finally:
        _called = None


def find_command() -> list[str] | None:
    """Return what started this program; None where that is another one, which has called us."""
    return None if _called is not None else [without_password(word) for word in sys.orig_argv]


@functools.cache
def collect() -> Provenance:
    """Look at the checkout that holds the program that was called, and at the environment; once a call."""
    # A set: a distribution may be found twice, once for each entry of `sys.path`.
    described = (distribution.metadata for distribution in importlib.metadata.distributions())  # parsed once
    installed = {f"{one['Name']}=={one['Version']}" for one in described}
    program = Path(sys.argv[0])
    is_file = program.suffix == ".py" and _called is None
    commit, diff = read_checkout(program.resolve().parent if is_file else Path.cwd())
    return Provenance(
        commit=commit,
        diff=diff,
        packages="\n".join(sorted(installed, key=str.lower)) + "\n",
        # The name of the program and not its path, which says where the checkout lay and not what it did.
        command=without_password(_called or " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
    )


def read_checkout(folder: Path) -> tuple[str, str]:
    """Return the commit of the checkout that holds a folder, and its local changes; "" outside of one."""
    return _git(folder, "rev-parse", "HEAD").strip(), without_password(_git(folder, "diff", "HEAD"))


def digest(values: Any) -> str:
    """Return the SHA-256 of plain values, independent of the order of keys.

    Args:
        values: what JSON can hold.

    Returns:
        "sha256:" and 64 hexadecimal digits.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one level with dotted keys.

    >>> flatten({"seed": 0, "data": {"name": "mnist"}})
    {'seed': 0, 'data.name': 'mnist'}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints about the checkout; "" where there is no git or no checkout."""
    command = ["git", "-C", str(folder), *arguments]
    # Provenance is worth a moment and never a run: a git that hangs, on a network drive, is given up, and
    # what is no text in a diff is replaced.
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
