"""The store: there or not yet, sound, ours to write into, what the dead left in it; a server's version."""

import os
import shlex
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.version import Version

from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.runtime.passwords import without_password
from ratelab.tracking import is_served, resolve_store, sqlite_path
from ratelab.tracking.left_running import describe_ended, end_left_runs, has_left_runs
from ratelab.tracking.servers import server_version
from ratelab.tracking.sqlite import find_unfinished
from ratelab.tracking.stores import look_at_store
from ratelab.tracking.uris import kind_of
from ratelab.validation import UserError

MIB = 2**20


def check_stores(setup: Setup) -> Iterator[Finding]:
    """Look at each store as the start of a run does, but that none is made; end what dead programs left."""
    for uri, experiment in setup.stores:
        if uri is None:
            yield Finding(OK, "store", "none, for tracking.uri=null: nothing is recorded")
            continue
        try:
            yield from _look(uri, experiment, setup)
        except UserError as error:
            yield Finding(PROBLEM, "store", str(error).removeprefix("tracking.uri: "))


def _look(uri: str, experiment: str, setup: Setup) -> Iterator[Finding]:
    store = resolve_store(uri, setup.directory)
    assert store is not None  # noqa: S101 - only None resolves to None
    is_there = look_at_store(store, setup.directory, experiment)
    if is_served(store):
        yield _describe_server(store)
    elif kind_of(store) == "sqlite":
        yield from _describe_file(sqlite_path(store, setup.directory), is_there)
    elif is_there:
        yield Finding(OK, "store", f"{without_password(store)} answers, {_describe_schema()}")
    else:
        yield Finding(OK, "store", f"{without_password(store)} is empty; the first run makes its tables")
    if is_there:
        yield from _end_left(store, setup.directory)


def _end_left(store: str, directory: Path) -> Iterator[Finding]:
    """End the runs that dead programs left RUNNING; a file in which there are none is not touched."""
    if kind_of(store) != "sqlite" or has_left_runs(sqlite_path(store, directory)):
        for line in describe_ended(end_left_runs(store)):
            yield Finding(WARNING, "store", line)


def _describe_file(path: Path, is_there: bool) -> Iterator[Finding]:
    if is_there:
        size = path.stat().st_size / MIB
        yield Finding(OK, "store", f"{path}, {size:,.1f} MiB, {_describe_schema()}")
    else:
        yield Finding(OK, "store", f"{path} is not there yet; the first run makes it")
    left = find_unfinished(path)
    if left:
        names = ", ".join(one.name for one in left)
        seen = f"{names} in {path.parent}: left by a start that was killed"
        command = shlex.join(["rm", *map(str, left)])
        yield Finding(WARNING, "store", seen, f"Run: {command}" if is_there else "The first run deletes it.")


def _describe_schema() -> str:
    return f"writable, schema of MLflow {metadata.version('mlflow')}"


def _describe_server(store: str) -> Finding:
    begun = time.monotonic()
    found, own = server_version(store), metadata.version("mlflow")
    seen = f"{store} answers in {time.monotonic() - begun:.2f} s, {_describe_user()}"
    if not found:
        return Finding(OK, "store", f"{seen}; it does not say its version")
    if Version(found).major != Version(own).major:
        advice = "Let both be of one major version: what one writes the other may not read."
        return Finding(WARNING, "store", f"{seen}; it is MLflow {found}, the one here {own}", advice)
    return Finding(OK, "store", f"{seen}; MLflow {found}")


def _describe_user() -> str:
    """Say as whom the server is asked, by the variables that MLflow's client reads."""
    # not those of the beginning: what stood in the URI has been put here
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user and os.environ.get("MLFLOW_TRACKING_PASSWORD"):
        return f"user {user}"
    if os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return "by MLFLOW_TRACKING_TOKEN"
    return "no credentials in the environment"
