"""Stores behind an MLflow server: asked in seconds whether it answers and lets us do what we will do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from ratelab.tracking.environment import silence_mlflow
from ratelab.tracking.mlflow_internals import request
from ratelab.tracking.patience import wait_patiently
from ratelab.tracking.troubles import check_is_active, refuse_store

if TYPE_CHECKING:
    from requests import Response

_SECONDS = 5
_PATIENT_SECONDS = 120
_PAUSE_SECONDS = 1.0
_BUSY = {429, 502, 503, 504}
_API = "/api/2.0/mlflow"
_ADVICE = {
    401: "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    403: "Ask the server's owner for permission, or for your host in its --allowed-hosts.",
    404: "Check host, port and path: this is not the address of an MLflow server.",
}


def check_server(uri: str, experiment: str | None = None) -> None:
    """Return if an MLflow server answers there and lets us do what we will do; it is left as it was.

    Args:
        uri: of the server.
        experiment: in which runs are to be recorded, if any are.

    Raises:
        UserError: it does not answer within seconds, is busy for two minutes, or refuses.
    """
    _ask(uri, "GET", "/health")
    # anybody may ask for its health: whether we are let in, and it is MLflow's, only a real question shows
    if not isinstance(_ask(uri, "POST", f"{_API}/experiments/search", {"max_results": 1}), dict):
        refuse_store(uri, "answers, but not as MLflow does", _ADVICE[404])
    if experiment is not None:
        _check_rights(uri, experiment)


def _check_rights(uri: str, experiment: str) -> None:
    """Refuse a server that would not let us make the experiment, or runs in it, or that has deleted it.

    Whether we may is asked by requests that are not complete: they are refused by whoever guards the server,
    or else by MLflow itself, with status 400, and change nothing.
    """
    answer = _ask(
        uri, "GET", f"{_API}/experiments/get-by-name?experiment_name={quote(experiment)}", known=404
    )
    found = answer.get("experiment") if isinstance(answer, dict) else None
    if found is None:
        _ask(uri, "POST", f"{_API}/experiments/create", {}, known=400)
        return
    check_is_active(experiment, found["experiment_id"], found["lifecycle_stage"])
    incomplete = {"experiment_id": found["experiment_id"], "start_time": "not known"}
    _ask(uri, "POST", f"{_API}/runs/create", incomplete, known=400)


def _ask(
    uri: str, method: str, endpoint: str, body: Mapping[str, object] | None = None, known: int = 200
) -> object:
    """Return the parsed answer of the server, None if it is no JSON.

    Args:
        uri: of the server.
        method: of HTTP.
        endpoint: the path after that of the server.
        body: sent as JSON.
        known: a status from 400 on that is no refusal.
    """
    silence_mlflow()
    from mlflow.exceptions import MlflowException

    # what answers for its health is there, and may be slow; where nobody is, nobody is waited for
    seconds = _SECONDS if endpoint == "/health" else _PATIENT_SECONDS
    try:
        response = wait_patiently(
            lambda: _request(uri, method, endpoint, seconds, body),
            lambda error: isinstance(error, _Busy),
            1.0,
        )
    except MlflowException as error:
        reason = str(error).rpartition("exception ")[2]
        advice = f"Start it (mlflow server --host 127.0.0.1 --port {_port(uri)}) or correct the address."
        refuse_store(uri, f"does not answer: {reason}", advice)
    except _Busy as busy:
        response = busy.response
    status = response.status_code
    if status >= 400 and status != known:
        advice = _ADVICE.get(status, "Look into the server's log.")
        refuse_store(uri, f"refuses {endpoint.partition('?')[0]} with status {status}", advice)
    try:
        return response.json()
    except ValueError:
        return None


class _Busy(Exception):  # noqa: N818 - it names what the server is
    """A server, or what stands before it, asks to come again later."""

    def __init__(self, response: "Response") -> None:
        super().__init__(response.status_code)
        self.response = response


def _request(
    uri: str, method: str, endpoint: str, seconds: float, body: Mapping[str, object] | None
) -> "Response":
    response = request(uri, method, endpoint, seconds, body)
    if response.status_code in _BUSY:
        raise _Busy(response)
    return response


def _port(uri: str) -> int:
    return urlsplit(uri).port or 5000
