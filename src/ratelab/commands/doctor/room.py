"""Room on the disks that runs write to, and whether they may."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.data.fetching import cache_folder
from ratelab.tracking import is_served, resolve_store, sqlite_path
from ratelab.tracking.stores import artifacts_of
from ratelab.tracking.uris import kind_of
from ratelab.validation import UserError

GIB = 2**30
SCARCE = GIB
NONE = 16 * 2**20  # a run writes less, and MLflow's tables alone are a megabyte
DATA = "cache of data"  # where all files are there, nothing is written
TEMPORARY = ("TMPDIR", "TEMP", "TMP")  # as Python looks for one
USUAL = "/tmp"  # noqa: S108 - only looked at


def check_room(setup: Setup) -> Iterator[Finding]:
    """Say how much room each disk has, and refuse folders in which nothing can be made."""
    disks: dict[int, dict[str, Path]] = {}
    for name, wanted in _list_places(setup):
        folder = find_ancestor(wanted)
        if not folder.is_dir():
            seen = f"{name}: {wanted} cannot be made: {folder} is not a folder"
            yield Finding(PROBLEM, "disk", seen, "Move that away or choose another folder.")
            continue
        disks.setdefault(folder.stat().st_dev, {})[name] = folder
        if name != DATA and not can_make_in(folder):
            advice = "Get permission to write there, or choose another folder."
            yield Finding(PROBLEM, "disk", f"{name}: nothing can be made in {folder}", advice)
    name, wanted = _find_temporary(setup)
    if not wanted.exists():
        seen = f"{name}: {wanted} is not there; most temporary files go to {USUAL}, large ones nowhere"
        yield Finding(WARNING, "disk", seen, f"Make it or unset {name}.")
    for places in disks.values():
        yield _judge_room(next(iter(places.values())), [*places])


def _list_places(setup: Setup) -> Iterator[tuple[str, Path]]:
    """Yield the folders that runs write to, with what each is for; they need not be there."""
    for uri, _ in setup.stores:
        try:
            store = resolve_store(uri, setup.directory)
        except UserError:  # which is said of the store
            continue
        if store is None or is_served(store):
            continue
        if kind_of(store) == "sqlite":
            yield "store", sqlite_path(store, setup.directory).parent
        yield "artifacts", artifacts_of(store, setup.directory)
    for folder in setup.run_folders:
        is_inside = folder.is_relative_to(setup.directory) and folder != setup.directory
        yield f"{folder.relative_to(setup.directory).parts[0]}/" if is_inside else str(folder), folder
    with contextlib.suppress(UserError):  # which is said of the data
        yield DATA, cache_folder()
    yield _find_temporary(setup)


def _find_temporary(setup: Setup) -> tuple[str, Path]:
    """Return where temporary files go, with the variable that says so; without asking Python, which tries."""
    named = next((name for name in TEMPORARY if setup.environment.get(name)), None)
    return (named, setup.directory / setup.environment[named]) if named else (USUAL, Path(USUAL))


def find_ancestor(folder: Path) -> Path:
    """Return what is there of a path: itself or the nearest above it."""
    return next(place for place in (folder, *folder.parents) if os.path.lexists(place))


def can_make_in(folder: Path) -> bool:
    """Say whether this program may make a file in a folder; none is made."""
    return os.access(folder, os.W_OK | os.X_OK)


def _judge_room(folder: Path, names: list[str]) -> Finding:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    seen = f"{free / GIB:.1f} GiB ({free:,} bytes) free for {', '.join(names)}"
    if room.f_files and not room.f_favail:
        return Finding(PROBLEM, "disk", f"{seen}, but no file more can be made in {folder}", "Delete some.")
    if free < NONE:
        return Finding(PROBLEM, "disk", f"{seen}: that of {folder} is full", "Make room there.")
    if free < SCARCE:
        return Finding(WARNING, "disk", f"{seen}, on that of {folder}", "Make room there before long runs.")
    return Finding(OK, "disk", seen)
