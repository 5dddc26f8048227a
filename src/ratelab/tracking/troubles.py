"""What an error of a store means: whether it will pass, and one line that says what to do."""

import re
from pathlib import Path
from typing import NoReturn

from ratelab.runtime.clipping import clip
from ratelab.runtime.passwords import without_password
from ratelab.tracking.uris import kind_of, sqlite_path
from ratelab.validation import UserError

_REASON_LENGTH = 300
_FULL = "Make room on its disk."
_LOOK = "Look whether it is there and sound."
FORBIDDEN = (
    "Ask the server's owner for the permission EDIT on the experiment, or name one of your own: "
    "tracking.experiment=NAME."
)
# what drivers, MLflow and the system say in their messages; nothing else tells these errors apart
_ADVICE = {
    "disk is full": _FULL,
    "no space left": _FULL,
    "quota": _FULL,
    "locked": "End the program that holds it (`fuser` names it).",
    "readonly": "Get permission to write there.",
    "error code 403": FORBIDDEN,
    "permission": "Get permission to write there.",
    "status 401": "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
}
# what is said of a connection that has ended, also by ourselves, when nothing came for two minutes
_ENDED = ("closed the connection", "connection has been closed", "EOF detected", "connection is lost")
_PASSING = {
    "sqlite": ("locked", "busy", "disk is full", "disk I/O error", "unable to open database file"),
    "postgresql": ("OperationalError",),
    # a server hands on what its own database says
    "http": (
        "failed with exception",
        "failed with timeout exception",
        "too many",
        "OperationalError",
        "error code 429",
        "error code 50",
    ),
}


class StoreError(UserError):
    """A store does not take what it is given; the message names it, the first cause, and what to do."""


def will_pass(uri: str, error: BaseException) -> bool:
    """Say whether a store may take later what it refuses now: it is held, full, or does not answer.

    Args:
        uri: of the store.
        error: MLflow's, SQLAlchemy's or the driver's; MLflow has the driver's in its message alone.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        text = f"{type(error).__name__}: {error.orig}"
    elif isinstance(error, MlflowException):
        if error.error_code == "TEMPORARILY_UNAVAILABLE":
            return True
        text = str(error)
    else:
        return False
    kind = kind_of(uri).replace("https", "http")
    return any(part in text for part in _PASSING[kind])


def explain_trouble(uri: str, error: BaseException) -> str:
    """Return one line: the store, the cause as the driver tells it, what to do."""
    place = str(sqlite_path(uri, Path())) if kind_of(uri) == "sqlite" else without_password(uri)
    reason = find_reason(uri, error)
    advice = next((advice for part, advice in _ADVICE.items() if part in reason.lower()), _LOOK)
    return f"tracking.uri: {place}: {reason}. {advice}"


def check_is_active(experiment: str, experiment_id: str, stage: str) -> None:
    """Raise UserError unless an experiment is "active": MLflow keeps the name of one that was deleted."""
    if stage != "active":
        advice = f"Restore it (mlflow experiments restore -x {experiment_id}) or choose another name."
        raise UserError(f"tracking.experiment: {experiment!r} was deleted in this store. {advice}")


def refuse_store(uri: str, reason: str, advice: str) -> NoReturn:
    """Raise UserError about a store behind a network; no password is in it."""
    message = f"tracking.uri: {without_password(uri)} {without_password(reason, uri)}. {advice}"
    raise UserError(message) from None


def find_reason(uri: str, error: BaseException) -> str:
    """Return the first line of what the driver says: the rest is SQL, and rows by the thousand."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    if any(part in lines[0] for part in _ENDED):
        return "the server does not answer, or has closed the connection"
    reason = re.sub(r"^\((\w+\.)+\w+\) ", "", lines[0])  # SQLAlchemy puts the kind of the error in front
    return clip(without_password(_unwrap_request(reason), uri), _REASON_LENGTH).rstrip(".")


def _unwrap_request(reason: str) -> str:
    """Return what went wrong with a request; requests, urllib3 and MLflow wrap it into a line each.

    >>> _unwrap_request("API request to http://h/a failed with exception HTTPConnectionPool(host='h'): Max "
    ...                 "retries exceeded (Caused by ResponseError('too many 503 error responses'))")
    'too many 503 error responses'
    """
    reason = re.sub(r".*\(Caused by .*\b\w+\((\d+, )?([\"'])(.*)\2\)+$", r"\3", reason)
    reason = re.sub(r"^(API request to .* exception )?HTTPS?Connection\w*\(.*?\): ", "", reason)
    return reason.partition(" To increase the timeout")[0]
