"""Data: there or to be fetched, genuine where its digest is known; nothing is fetched."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.room import can_make_in, find_ancestor
from ratelab.commands.doctor.setup import Setup
from ratelab.data.fetching import cache_folder, look_at_files
from ratelab.data.files import FILES
from ratelab.data.sources import SOURCES
from ratelab.runtime.home import expand_home

OURS = "ratelab.data."
MADE = {"digits": "comes with scikit-learn", "mnist1d": "is computed", "text": "comes with Python"}


def check_data(setup: Setup) -> Iterator[Finding]:
    """Look at the data of the configuration, then at what else is in the cache."""
    seen: set[tuple[str, str]] = set()
    for config in setup.configs:
        target, arguments = config.data.target, config.data.arguments
        key = target, str([arguments.get("dir"), arguments.get("file")])
        if key not in seen:
            seen.add(key)
            yield _check_chosen(target, arguments, setup.directory)
    names = {target for target, _ in seen}
    for name in FILES:
        if OURS + name not in names:
            yield from _check_other(name)


def _check_chosen(target: str, arguments: Mapping[str, Any], directory: Path) -> Finding:
    name = target.removeprefix(OURS)
    if name in FILES:
        given = arguments.get("dir")
        return _check_cached(name) if given is None else _check_given(name, _resolve(given, "dir", directory))
    if arguments.get("file") is not None and target.startswith(OURS):
        return _check_file(name, _resolve(arguments["file"], "file", directory))
    return Finding(OK, "data", f"{name} {MADE.get(name, 'is a function of yours, which is not called')}")


def _resolve(given: str, key: str, directory: Path) -> Path:
    return directory / expand_home(given, f"data.{key}")


def _check_cached(name: str) -> Finding:
    """Look at a data set in the cache, which a run fills with what it lacks."""
    folder = cache_folder() / name
    lacking, refused = look_at_files(name, folder)
    if not lacking:
        return _praise(name, folder)
    seen = f"{name}: {refused[0] if refused else f'{_count(lacking)} not in the cache, {folder}'}"
    place = find_ancestor(folder)
    if not can_make_in(place):
        advice = "Get permission, or set RATELAB_CACHE to a folder of yours."
        return Finding(PROBLEM, "data", f"{seen}, and nothing can be put into {place}", advice)
    sources = ", else ".join(map(str, SOURCES[name]))
    advice = f"The first run fetches {_count(lacking)} from {sources}. Offline: data.dir=FOLDER that has all."
    return Finding(WARNING, "data", seen, advice)


def _check_given(name: str, folder: Path) -> Finding:
    """Look at a data set in a folder of the user's, where nothing is fetched to."""
    lacking, refused = look_at_files(name, folder)
    advice = "Put the genuine files there, raw or .gz, or leave data.dir out: then ratelab fetches its own."
    if not folder.is_dir():
        return Finding(PROBLEM, "data", f"{name}: data.dir={folder} is not a folder", advice)
    if refused:
        return Finding(PROBLEM, "data", f"{name}: {refused[0]}", advice)
    if lacking:
        return Finding(PROBLEM, "data", f"{name}: {folder} has no {', '.join(lacking)}", advice)
    return _praise(name, folder)


def _check_other(name: str) -> Iterator[Finding]:
    """Look at a data set that this configuration does not name; it need not be there."""
    folder = cache_folder() / name
    lacking, refused = look_at_files(name, folder)
    if refused or len(lacking) < len(FILES[name]):
        yield _check_cached(name)
    else:
        yield Finding(OK, "data", f"{name}: not in the cache; a run with data={name} fetches it")


def _check_file(name: str, path: Path) -> Finding:
    if not path.is_file():
        return Finding(PROBLEM, "data", f"{name}: data.file={path} is not a file", "Correct the path.")
    try:
        with path.open("rb"):
            return Finding(OK, "data", f"{name}: {path}, {path.stat().st_size:,} bytes")
    except OSError as error:
        return Finding(PROBLEM, "data", f"{name}: {error}", "Get permission to read it.")


def _count(files: list[str]) -> str:
    return f"{len(files)} file{'' if len(files) == 1 else 's'}"


def _praise(name: str, folder: Path) -> Finding:
    return Finding(OK, "data", f"{name}: genuine, by its digests, in {folder}")
