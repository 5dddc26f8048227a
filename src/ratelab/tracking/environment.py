"""What must hold where MLflow is used: no telemetry, no chatter, no store but ours."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


# By which MLflow's own programs are told where to record.
_NOT_READ = {"MLFLOW_TRACKING_URI": "uri", "MLFLOW_EXPERIMENT_NAME": "experiment"}


def tell_what_is_not_read(uri: str | None, experiment: str | None) -> None:
    """Print which variables of the environment name another store or experiment than the configuration.

    Args:
        uri: `tracking.uri` as it was given; None: nothing is recorded, and nothing is said.
        experiment: `tracking.experiment`.
    """
    for name, remedy in list_what_is_not_read(os.environ, uri, experiment):
        print(f"ratelab: {name} is set and not read; {remedy}", file=sys.stderr)


def list_what_is_not_read(
    environment: Mapping[str, str], uri: str | None, experiment: str | None
) -> Iterator[tuple[str, str]]:
    """Yield the variables that name another store or experiment, and how each would be used."""
    chosen = {"uri": uri, "experiment": experiment}
    for name, key in _NOT_READ.items():
        if uri is not None and environment.get(name, chosen[key]) != chosen[key]:
            yield name, f"to use it: 'tracking.{key}=${{oc.env:{name}}}'"


def silence_mlflow() -> None:
    """Switch MLflow's telemetry, links and bars off, and its patience, for ours is that of a store.

    To be called before every import of mlflow.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # It would go for files to the object store behind a server, which the server alone may be able to reach.
    os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false")
    # Its client alone would repeat a request for four minutes, for sixteen where nothing answers, and for as
    # long as a server asks in Retry-After. So: twice within two minutes; `Patience` does the rest.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
    os.environ.setdefault("PGCONNECT_TIMEOUT", "5")  # else it would wait for a connection for ever


def open_client(uri: str) -> "MlflowClient":
    """Return MLflow's client of one store, whatever the environment names as another; nothing is asked yet.

    Args:
        uri: what `prepare_store` returned.
    """
    silence_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(uri, registry_uri=uri)


@contextmanager
def quiet_logs(level: int = logging.CRITICAL) -> Iterator[None]:
    """Keep messages of MLflow and Alembic below `level` from the terminal while the block runs.

    MLflow logs every error that it also raises, and a line for each migration of a new database.
    """
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)


@contextmanager
def brief_requests() -> Iterator[None]:
    """Let requests to a server that is known to be gone fail in seconds, not after minutes."""
    # MLflow reads these at every request; it has no other way to say it for one client
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
