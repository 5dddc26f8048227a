"""Passwords of stores stay out of everything that is printed, recorded or handed to another program."""

import os
import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ratelab.validation import UserError

# Where the clients of stores look for what `take_password` takes out.
_USER, _PASSWORD, _POSTGRESQL = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD"
_OF_STORES = (_PASSWORD, "MLFLOW_TRACKING_TOKEN", _POSTGRESQL)
_NAMED = r"(?i:[\w.-]*(?:password|passwd|secret|token|api_?key)[\w.-]*)"
_SHORT = 4  # letters: a password that is shorter is often a word, or a part of one
_ENCODE = "Write the characters @ : / ? # % of a user name or a password as %40 %3A %2F %3F %23 %25."


def is_secret(name: str) -> bool:
    """Say whether a variable of the environment is a secret, by its name.

    >>> is_secret("MLFLOW_TRACKING_TOKEN"), is_secret("HOME")
    (True, False)
    """
    return re.search(r"(?i)key|token|secret|passw", name) is not None


def take_password(uri: str) -> str:
    """Return the URI of a store without its password, which goes to where the store's client looks for it.

    That is the environment of this process and of those that it starts: MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD for a server, PGPASSWORD for PostgreSQL. So no message of a library, no list of
    processes and no saved configuration can have it. A URI without one is returned as it is.

    Args:
        uri: `tracking.uri`; what stands in it as ${...} is left alone.

    Raises:
        UserError: it cannot be read, or holds a secret that no client takes from the environment.

    >>> take_password("http://127.0.0.1:5000")
    'http://127.0.0.1:5000'
    """
    if "\0" in unquote(uri):
        raise _refuse(uri, "It holds a zero byte.")
    if "${" in uri:
        literal = re.sub(r"\$\{[^}]*\}", "", uri)
        if without_password(literal) != literal:
            raise UserError("tracking.uri: where a part is ${...}, the password must be ${oc.env:NAME} too.")
        return uri
    parts = _split(uri)
    if parts.scheme in {"http", "https"}:
        return _take_from_server(uri, parts)
    if parts.scheme.partition("+")[0] == "postgresql" and ("@" in uri or "?" in uri):
        return _take_from_postgresql(uri)
    return uri


def _split(uri: str) -> SplitResult:
    """Return the parts of a URI.

    Raises:
        UserError: it has none, or a port that there cannot be.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port  # read only here
    except ValueError as error:
        # SQLAlchemy takes a password as it stands; there, what looks like a port may be a part of it.
        if uri.startswith("postgresql") and "@" in uri:
            return SplitResult(uri.partition(":")[0], "", "", "", "")
        # The reason quotes what it cannot read, which may be a part of a password.
        raise _refuse(uri, _ENCODE if "@" in uri else f"{error}.") from None
    return parts


def _take_from_server(uri: str, parts: SplitResult) -> str:
    user, _, address = parts.netloc.rpartition("@")
    if "@" in uri.partition("://")[2] and not user and ":" in parts.netloc and parts.port is None:
        raise _refuse(uri, _ENCODE)
    if re.search(rf"[?&]{_NAMED}=", uri):
        raise UserError(
            f"tracking.uri: a server takes no secret behind '?', got {without_password(uri)!r}; "
            f"set {_USER} and {_PASSWORD}, or MLFLOW_TRACKING_TOKEN."
        )
    name, _, password = user.partition(":")
    if not password:
        return uri
    if not name:
        raise UserError(
            f"tracking.uri: a password needs a user before it, got {without_password(uri)!r}; "
            "for a token set MLFLOW_TRACKING_TOKEN."
        )
    os.environ |= {_USER: unquote(name), _PASSWORD: unquote(password)}
    return parts._replace(netloc=address).geturl()


def _take_from_postgresql(uri: str) -> str:
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        raise _refuse(uri, _ENCODE) from None
    if "@" in (url.host or "") or (url.port or 0) > 65535:
        raise _refuse(uri, _ENCODE)
    others = [key for key in url.query if key != "password" and re.fullmatch(_NAMED, key)]
    if others:
        raise UserError(
            f"tracking.uri: {others[0]} would be recorded with the URI; "
            "keep it in a service file of PostgreSQL's (PGSERVICEFILE) and name that: ?service=NAME."
        )
    # A driver takes what stands behind "?" before what stands before "@".
    password = url.query.get("password") or url.password
    if not password:
        return uri
    os.environ[_POSTGRESQL] = str(password)
    query = {key: value for key, value in url.query.items() if key != "password"}
    # Made anew: `URL.set` takes None for "as before".
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)
    return bare.render_as_string(hide_password=False)


def _refuse(uri: str, reason: str) -> UserError:
    return UserError(f"tracking.uri: {without_password(uri)!r} cannot be read as an address. {reason}")


def without_password(text: str, uri: str | None = None) -> str:
    """Return `text` with every password in it replaced by stars.

    Those in URIs, those behind "?" of one, those that the environment holds for stores, and that of `uri`.

    Args:
        text: a URI, or a message in which one may stand.
        uri: whose password may stand in `text` by itself.

    >>> without_password("postgresql://me:se/cret@host/db")
    'postgresql://me:***@host/db'
    >>> without_password("cannot open a, password 'a'", "http://me:a@host")
    "cannot open a, password '***'"
    """
    # Up to the last @ of the word, since a password may hold @ and / itself: rather a host too few than a
    # password too much. Not beyond the next "://": that is another URI.
    text = re.sub(r"(://[^:/@\s]*):(?:(?!://)\S)+@", r"\1:***@", text)
    text = re.sub(rf"([?&\s]{_NAMED}=)(?:'[^']*'|[^&\s'\"]+)", r"\1***", text)
    known = {os.environ.get(name, "") for name in _OF_STORES}
    known |= set(re.findall(r"://[^:/@]*:((?:(?!://).)*)@", uri or ""))
    known |= set(re.findall(r"://[^:/@]*:([^@]*)@", uri or ""))
    # Drivers name it in their messages as it is in the URI, or decoded.
    forms = {form for one in known for form in (one, unquote(one), quote(one, safe=""))} - {"", "***"}
    for secret in sorted(forms, key=len, reverse=True):
        text = re.sub(_alone(secret), "***", text)
    return text


def _alone(secret: str) -> str:
    """Return the pattern of a password that is no part of a word; of a short one, where it is set off."""
    before, after = (r"(?<!\w)", r"(?!\w)") if len(secret) >= _SHORT else (r"(?<=[:='\"])", r"(?=[@&'\"])")
    return before + re.escape(secret) + after
