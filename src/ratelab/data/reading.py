"""A file of the user's: it must be there, and be a file."""

from pathlib import Path

from ratelab.runtime.home import expand_home
from ratelab.validation import UserError


def find_file(file: str, remedy: str, *, folder: bool = False) -> Path:
    """Return the path that `data.file` names.

    Args:
        file: as given.
        remedy: what to give instead, in an error.
        folder: whether it may be a folder.

    Raises:
        UserError: if it is not there, or neither a file nor, where it may be, a folder.
    """
    path = expand_home(file, "data.file").absolute()
    try:
        exists = path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise UserError(f"data.file: {path} cannot be read ({error.strerror}). {remedy}") from None
    if not exists:
        raise UserError(f"data.file: {path} does not exist. {remedy}")
    if not (path.is_file() or (folder and path.is_dir())):
        what = "is a folder" if path.is_dir() else "is not a regular file"  # to read a pipe may never end
        raise UserError(f"data.file: {path} {what}. {remedy}")
    return path
