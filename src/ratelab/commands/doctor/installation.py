"""Python, ratelab, and the packages that it needs, by what is said of those that are installed."""

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import ratelab
from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.commands.doctor.trials import TrialError, run_trial

MAIN = ("hydra-core", "omegaconf", "mlflow", "tensorflow", "keras", "numpy")
IMPORTED = ("pandas", "pyarrow", "scipy", "sqlalchemy")  # compiled, and quick to import


def check_python(_: Setup) -> Iterator[Finding]:
    """Compare the version of Python with what ratelab says that it needs."""
    version = platform.python_version()
    wanted = metadata.metadata("ratelab")["Requires-Python"]
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield Finding(OK, "Python", f"{version}, {sys.executable}")
    else:
        advice = "Make a virtual environment with one that is, and install ratelab there."
        yield Finding(PROBLEM, "Python", f"{version} is not within {wanted}", advice)


def check_ratelab(_: Setup) -> Iterator[Finding]:
    """Say which ratelab this is, and where it is."""
    yield Finding(OK, "ratelab", f"{metadata.version('ratelab')}, {Path(ratelab.__file__).parent}")


def check_packages(_: Setup) -> Iterator[Finding]:
    """Compare what is installed with the bounds that ratelab gives, also of what only some of it needs."""
    stated = [Requirement(text) for text in metadata.requires("ratelab") or []]
    needed = [one for one in stated if one.marker is None or one.marker.evaluate({"extra": ""})]
    found = {one.name: _find_version(one.name) for one in stated}
    bad = [one for one in needed if not _is_met(one, found[one.name])]
    for one in bad:
        yield Finding(PROBLEM, "packages", _explain(one, found[one.name]), _advise(one))
    for one in stated:
        version = found[one.name]
        if one not in needed and one.name != "ratelab" and version and not _is_met(one, version):
            yield Finding(WARNING, "packages", _explain(one, version), _advise(one))
    if not bad:
        named = ", ".join(f"{name} {found[name]}" for name in MAIN if name in found)
        others = len(needed) - sum(name in found for name in MAIN)
        yield Finding(OK, "packages", f"{named} and {others} others: within their bounds")


def check_imports(setup: Setup) -> Iterator[Finding]:
    """Say whether what is installed can be imported: a wheel may be for another NumPy, or not whole."""
    try:
        run_trial(setup, "imports", *IMPORTED)
    except TrialError as error:
        yield error.finding
    else:
        yield Finding(OK, "imports", f"{', '.join(IMPORTED)}")


def _find_version(name: str) -> str | None:
    """Return the version that is installed; None if there is none, or what is said of it is damaged."""
    try:
        version: str | None = metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
    return version


def _is_met(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _explain(requirement: Requirement, version: str | None) -> str:
    if version is None:
        return f"{requirement.name} is not installed; ratelab needs {requirement.specifier}"
    return f"{requirement.name} {version} is installed; ratelab needs {requirement.specifier}"


def _advise(requirement: Requirement) -> str:
    return f"Run: {sys.executable} -m pip install '{requirement.name}{requirement.specifier}'"
