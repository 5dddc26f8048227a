"""`tracking.uri` read and written: what it names, by its text alone."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ratelab.runtime.home import expand_home
from ratelab.runtime.passwords import take_password, without_password
from ratelab.validation import UserError

_WANTED = "Use sqlite:///PATH, postgresql://USER@HOST/DATABASE or http(s)://HOST:PORT."


def resolve_store(uri: str | None, directory: Path) -> str | None:
    """Return the absolute URI of a store, whether or not there is one: nothing is read, asked or written.

    It has no password: whoever talks to the store finds that in the environment.

    Args:
        uri: `tracking.uri`; None is tracking switched off.
        directory: what the path in a SQLite URI counts from, if it is relative; `~` is the home folder.

    Returns:
        The URI, which resolves to itself; None for None.

    Raises:
        UserError: no store known here is named like this.

    >>> resolve_store("sqlite:///mlruns/mlflow.db", Path("/project"))
    'sqlite:////project/mlruns/mlflow.db'
    >>> resolve_store("http://127.0.0.1:5000/", Path("/project"))
    'http://127.0.0.1:5000'
    """
    if uri is None:
        return None
    uri = take_password(uri)
    kind = kind_of(uri)
    if kind == "sqlite":
        return sqlite_uri(sqlite_path(uri, directory))
    if kind in {"http", "https"}:
        return uri.rstrip("/")
    if kind == "postgresql":
        return uri
    raise UserError(f"tracking.uri: {without_password(uri)!r} is not a kind of store known here. {_WANTED}")


def kind_of(uri: str) -> str:
    """Return the kind of store that a URI names, without the driver.

    >>> kind_of("postgresql+psycopg://me@host/db")
    'postgresql'
    """
    return urlsplit(uri).scheme.partition("+")[0]


def is_served(uri: str) -> bool:
    """Say whether an MLflow server stands before the store: it has the UI, and a place for artifacts."""
    return kind_of(uri) in {"http", "https"}


def sqlite_path(uri: str, directory: Path) -> Path:
    """Return the absolute path of the file that a SQLite URI names.

    Raises:
        UserError: it names none.

    >>> sqlite_path("sqlite:///mlruns/my%20runs.db", Path("/project"))
    PosixPath('/project/mlruns/my runs.db')
    """
    name = unquote(uri.partition(":///")[2])
    if not name or name.startswith(":memory:") or "?" in uri:
        shown = without_password(uri)
        raise UserError(f"tracking.uri: {shown!r} must name a file, as sqlite:///mlruns/mlflow.db does.")
    return Path(os.path.normpath(directory.absolute() / expand_home(name, "tracking.uri")))


def sqlite_uri(path: Path) -> str:
    """Return the URI that SQLAlchemy, whichever its version, reads back as `path`."""
    plain, quoted = str(path), quote(str(path))
    if plain == quoted:
        return f"sqlite:///{plain}"
    from sqlalchemy import make_url

    # a version that unquotes the path wants the first, one that does not the second
    for candidate in (f"sqlite:///{quoted}", f"sqlite:///{plain}"):
        if make_url(candidate).database == plain:
            return candidate
    raise UserError(f"tracking.uri: no SQLite URI can name {plain!r}; use a folder without '?' and '%'.")
