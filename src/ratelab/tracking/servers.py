"""Stores behind an MLflow server: asked in seconds whether it answers and lets us do what we will do."""

import re
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from ratelab.tracking.environment import silence_mlflow
from ratelab.tracking.mlflow_internals import request
from ratelab.tracking.patience import Patience
from ratelab.tracking.troubles import FORBIDDEN, check_is_active, find_reason, refuse_store
from ratelab.validation import UserError

if TYPE_CHECKING:
    from requests import Response

_KNOCK_SECONDS = 5
_ANSWER_SECONDS = 60
_PAUSE_SECONDS = 1.0
_GRANT_SECONDS = 2.0
_BUSY = {429, 502, 503, 504}
_API = "/api/2.0/mlflow"
_ADVICE = {
    401: "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    403: f"{FORBIDDEN} An address that it refuses altogether is to be in its --allowed-hosts.",
    404: "Check host, port and path: this is not the address of an MLflow server.",
}


def check_server(uri: str, experiment: str | None = None, seconds: float | None = None) -> None:
    """Return if an MLflow server answers there and lets us do what we will do; it is left as it was.

    Args:
        uri: of the server.
        experiment: in which runs are to be recorded, if any are.
        seconds: how long each answer is waited for, once; None: as long, and as often, as runs do.

    Raises:
        UserError: it does not answer within seconds, is busy for two minutes, or refuses.
    """
    _knock(uri, seconds or _KNOCK_SECONDS)
    # anybody may ask for its health: whether we are let in, and it is MLflow's, only a real question shows
    if not isinstance(
        _ask(uri, "POST", f"{_API}/experiments/search", {"max_results": 1}, seconds=seconds), dict
    ):
        refuse_store(uri, "answers, but not as MLflow does", _ADVICE[404])
    if experiment is not None:
        _check_rights(uri, experiment, seconds)


def server_version(uri: str) -> str:
    """Return the version of MLflow's that a server says it is, as 3.17.2; empty if it says none.

    Raises:
        MlflowException: it does not answer within seconds.
    """
    response = request(uri, "GET", "/version", _KNOCK_SECONDS)
    return response.text.strip() if re.fullmatch(r"\s*\d[\w.]*\s*", response.text) else ""


def _check_rights(uri: str, experiment: str, seconds: float | None) -> None:
    """Refuse a server that would not let us make the experiment, or runs in it, or that has deleted it.

    Whether we may is asked by requests that are not complete: they are refused by whoever guards the server,
    or else by MLflow itself, with status 400, and change nothing.
    """
    ask = partial(_ask, uri, seconds=seconds)
    answer = ask("GET", f"{_API}/experiments/get-by-name?experiment_name={quote(experiment)}", known=404)
    found = answer.get("experiment") if isinstance(answer, dict) else None
    if found is None:
        ask("POST", f"{_API}/experiments/create", {}, known=400)
        return
    check_is_active(experiment, found["experiment_id"], found["lifecycle_stage"])
    incomplete = {"experiment_id": found["experiment_id"], "start_time": "not known"}
    create_run = partial(ask, "POST", f"{_API}/runs/create", incomplete, known=400)
    try:
        create_run()
    except UserError:  # who made the experiment just now is given the right to it a moment later
        time.sleep(_GRANT_SECONDS)
        create_run()


def _knock(uri: str, seconds: float) -> None:
    """Refuse an address where nobody is, at once: only who is there is waited for."""
    silence_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        request(uri, "GET", "/health", seconds)
    except MlflowException as error:
        reason = find_reason(uri, error)
        advice = f"Start it (mlflow server --host 127.0.0.1 --port {_port(uri)}) or correct the address."
        refuse_store(uri, f"does not answer: {reason}", advice)


def _ask(
    uri: str,
    method: str,
    endpoint: str,
    body: Mapping[str, object] | None = None,
    known: int = 200,
    seconds: float | None = None,
) -> object:
    """Return the parsed answer of the server, None if it is no JSON; one that is busy is waited for.

    Args:
        uri: of the server.
        method: of HTTP.
        endpoint: the path after that of the server.
        body: sent as JSON.
        known: a status from 400 on that is no refusal.
        seconds: as of `check_server`.
    """
    if seconds is None:
        call = partial(_request, uri, method, endpoint, body, _ANSWER_SECONDS)
        response = Patience(uri).ask(endpoint, call, _PAUSE_SECONDS)
    else:
        response = _ask_once(uri, method, endpoint, body, seconds)
    status = response.status_code
    if status >= 400 and status != known:
        advice = _ADVICE.get(status, "Look into the server's log.")
        refuse_store(uri, f"refuses {endpoint.partition('?')[0]} with status {status}", advice)
    try:
        return response.json()
    except ValueError:
        return None


def _ask_once(
    uri: str, method: str, endpoint: str, body: Mapping[str, object] | None, seconds: float
) -> "Response":
    """Return the answer; one that is busy is refused as one that does not answer."""
    from mlflow.exceptions import MlflowException

    try:
        return _request(uri, method, endpoint, body, seconds)
    except MlflowException as error:
        reason = f"is there, but does not serve: {find_reason(uri, error)}"
        refuse_store(uri, reason, "Look into the server's log; runs wait two minutes for it.")


def _request(
    uri: str, method: str, endpoint: str, body: Mapping[str, object] | None, seconds: float
) -> "Response":
    """Return the answer; that the server asks to come again later is raised as by MLflow's own client."""
    from mlflow.exceptions import MlflowException

    response = request(uri, method, endpoint, seconds, body)
    if response.status_code in _BUSY:
        raise MlflowException(f"{endpoint} failed with error code {response.status_code}")
    return response


def _port(uri: str) -> int:
    return urlsplit(uri).port or 5000
