"""A store that was moved with its project: MLflow keeps the whole paths of artifacts, those of before."""

import os
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ratelab.validation import UserError

# Where MLflow keeps such a path.
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)
LOCKED_SECONDS = 30


def follow_move(path: Path, artifacts: Path) -> None:
    """Let the store in a SQLite file find its artifacts beside it, where it and they have been moved.

    Only where all that is known says so: the folder of an experiment was one that ratelab makes, beside
    another database; it is here, or is not there any more. Artifacts that were left behind stay in use.

    Args:
        path: of the store.
        artifacts: where ratelab puts the artifacts of a store at `path`.

    Raises:
        UserError: if the store cannot be changed now.
    """
    if not os.access(path, os.W_OK):  # it can only be looked at, and nothing is put into its old place
        return
    try:
        with closing(sqlite3.connect(path, timeout=LOCKED_SECONDS)) as store:
            places = [place for (place,) in store.execute("SELECT artifact_location FROM experiments")]
            for old in _find_moved(places, artifacts):
                _replace(store, old, artifacts.as_uri())
                print(
                    f"ratelab: {path} was moved: the artifacts of its runs are now those in {artifacts}, "
                    f"and no longer in {_as_path(old)}",
                    file=sys.stderr,
                )
    except sqlite3.Error as error:
        raise UserError(
            f"tracking.uri: {path} was moved, and the paths of its artifacts cannot be set right: {error}. "
            "End other programs that use it and start again."
        ) from None


def _find_moved(places: Iterable[str | None], artifacts: Path) -> list[str]:
    """Return the folders of before, as URIs, whose experiments are beside the database now."""
    old = set()
    for place in places:
        folder, _, name = (place or "").rpartition("/")
        if not (folder.startswith("file:///") and folder.endswith("/artifacts")):
            continue
        if _is_same(_as_path(folder), artifacts):
            continue
        if (artifacts / unquote(name)).exists() or not _as_path(folder).exists():
            old.add(folder)
    return sorted(old)


def _replace(store: sqlite3.Connection, old: str, new: str) -> None:
    """Let every path that begins with `old` begin with `new`, in one transaction."""
    with store:
        for table, column in PATHS:
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608 - fixed names
                (new, len(old) + 1, len(old) + 1, f"{old}/"),
            )


def _as_path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _is_same(one: Path, other: Path) -> bool:
    """Say whether two paths are one folder, perhaps by a link; they may be missing."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))
