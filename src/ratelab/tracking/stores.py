"""Where runs are stored: `tracking.uri` is resolved, checked and made ready before MLflow sees it."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ratelab.runtime.passwords import without_password
from ratelab.validation import UserError

_WANTED = "Use sqlite:///PATH, postgresql://USER@HOST/DATABASE or http(s)://HOST:PORT."


def prepare_store(uri: str | None, directory: Path) -> str:
    """Return the absolute URI of a store that is known to work; make a local one where there is none.

    Args:
        uri: `tracking.uri`; a relative SQLite path counts from `directory`. None is tracking switched off.
        directory: the project's folder.

    Returns:
        The URI to give to `Tracker`; empty for None.

    Raises:
        UserError: the store cannot be used; the message has the reason and what to do. Nothing was written.
    """
    if uri is None:
        return ""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme == "sqlite":
        from ratelab.tracking.sqlite import prepare_sqlite

        path = sqlite_path(uri, directory)
        return prepare_sqlite(path, sqlite_uri(path))
    if scheme == "postgresql":
        from ratelab.tracking.servers import prepare_postgresql

        return prepare_postgresql(uri, directory / "mlruns" / "artifacts")
    if scheme in {"http", "https"}:
        from ratelab.tracking.servers import check_server

        return check_server(uri)
    raise UserError(f"tracking.uri: {without_password(uri)!r} is not a kind of store known here. {_WANTED}")


def sqlite_path(uri: str, directory: Path) -> Path:
    """Return the absolute path of the file that a SQLite URI names.

    >>> sqlite_path("sqlite:///mlruns/my%20runs.db", Path("/project"))
    PosixPath('/project/mlruns/my runs.db')
    """
    name = unquote(uri.partition(":///")[2])
    if not name or name.startswith(":memory:") or "?" in uri:
        raise UserError(f"tracking.uri: {uri!r} must name a file, as sqlite:///mlruns/mlflow.db does.")
    return Path(os.path.normpath(directory.absolute() / name))


def sqlite_uri(path: Path) -> str:
    """Return the URI that SQLAlchemy, whichever its version, reads back as `path`."""
    plain, quoted = str(path), quote(str(path))
    if plain == quoted:
        return f"sqlite:///{plain}"
    from sqlalchemy import make_url

    for candidate in (f"sqlite:///{quoted}", f"sqlite:///{plain}"):
        if make_url(candidate).database == plain:
            return candidate
    raise UserError(f"tracking.uri: no SQLite URI can name {plain!r}; use a folder without '?' and '%'.")
