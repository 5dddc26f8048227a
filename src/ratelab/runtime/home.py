"""`~` in the paths that a user gives: neither Hydra nor a quoted word of a shell expands it."""

from pathlib import Path

from ratelab.validation import UserError


def expand_home(path: Path | str, name: str) -> Path:
    """Return `path` with a `~` or `~USER` in front of it replaced by the home folder.

    Args:
        path: as given; every other path stays as it is.
        name: what to call it in an error.

    Raises:
        UserError: if there is no such user, or no home folder.

    >>> expand_home("data/mnist", "data.dir")
    PosixPath('data/mnist')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{name}: there is no home folder for {str(path)!r}; give the whole path.") from None
