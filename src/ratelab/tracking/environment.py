"""What must hold before MLflow is imported: no telemetry, no chatter."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


def silence_mlflow() -> None:
    """Switch MLflow's telemetry and its printed links off; call it before every import of mlflow."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


@contextmanager
def quiet_logs(level: int = logging.CRITICAL) -> Iterator[None]:
    """Keep messages of MLflow and Alembic below `level` from the terminal while the block runs."""
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
def brief_requests(brief: bool = True) -> Iterator[None]:
    """Let requests to a server that is known to be gone fail in seconds, not after MLflow's four minutes."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"} if brief else {}
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
