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
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(
            f"init: {folder} is there already, and nothing is written over it; give another name."
        )
    try:
        shutil.copytree(FILES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise UserError(f"init: {error.filename} cannot be written ({error.strerror}).") from None
