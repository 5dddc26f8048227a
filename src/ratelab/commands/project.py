"""A project of the user's own, to begin with."""

import shutil
from pathlib import Path

from ratelab.runtime.checkout import find_folder
from ratelab.validation import UserError

FILES = find_folder("project", "examples/project")


def write_project(folder: Path) -> None:
    """Write data, a model, a schedule, their configuration, a program and its test into a new folder.

    Raises:
        UserError: if something is there already, which is left alone, or the folder cannot be made.
    """
    try:
        is_taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise _explain(error, folder) from None
    if is_taken:
        raise UserError(
            f"init: {folder} is there already, and nothing is written over it; give another name."
        )
    try:
        _copy_files(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # a half would be in the way of the next attempt
        raise _explain(error, folder) from None


def _copy_files(folder: Path) -> None:
    """Copy what the files hold, and not who may write them: those of an installation are often read-only."""
    for file in FILES.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            place = folder / file.relative_to(FILES)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _explain(error: OSError, folder: Path) -> UserError:
    return UserError(f"init: {folder} cannot be written ({error.strerror}).")
