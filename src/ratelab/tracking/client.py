"""MLflow's client, without its global state and with the patience that it lacks."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ratelab.tracking.environment import open_client, quiet_logs
from ratelab.tracking.mlflow_internals import source_tags
from ratelab.tracking.names import check_location, safe_name
from ratelab.tracking.patience import wait_patiently
from ratelab.tracking.uris import is_served, kind_of
from ratelab.validation import UserError

P = ParamSpec("P")
R = TypeVar("R")

RUN_KEY = "ratelab.run_key"
_TEXTS_A_CALL = 100  # MLflow's own limit
_PAUSE_SECONDS = 0.2


class Client:
    """The few calls that a run needs; each returns when the store has what it was given.

    While another program holds the database each waits, two minutes at most; then it raises MLflow's error.

    Args:
        uri: what `prepare_store` returned.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.mlflow = open_client(uri)

    def open_experiment(self, name: str, artifacts: Path | None) -> str:
        """Return the id of the experiment `name`; whoever comes first makes it.

        Args:
            name: MLflow's name of it.
            artifacts: the absolute folder for its artifacts; None: the server chooses.

        Raises:
            UserError: it has been deleted, and MLflow keeps the name.
        """
        found = self._patiently(self.mlflow.get_experiment_by_name, name)
        if found is None:
            return self._create_experiment(name, artifacts)
        experiment_id: str = found.experiment_id
        if found.lifecycle_stage != "active":
            advice = f"Restore it (mlflow experiments restore -x {experiment_id}) or choose another name."
            raise UserError(f"tracking.experiment: {name!r} was deleted in this store. {advice}")
        return experiment_id

    def _create_experiment(self, name: str, artifacts: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        location = None
        if artifacts is not None:
            location = (artifacts / safe_name(name).replace("/", "_")).as_uri()
            if kind_of(self.uri) == "postgresql":
                check_location(location)
        try:
            return self._patiently(self.mlflow.create_experiment, name, artifact_location=location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.open_experiment(name, artifacts)  # another process was faster: this finds what it made

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Return the id of a new run; an answer lost on the way leaves no second run behind.

        Args:
            experiment_id: what `open_experiment` returned.
            name: what people see.
            tags: as MLflow takes them; those that `mlflow.start_run` would set are added.
        """
        from mlflow.exceptions import MlflowException

        key = uuid.uuid4().hex  # by which a run is found whose id never arrived
        tags = {**source_tags(), **tags, RUN_KEY: key}
        try:
            run = self._patiently(self.mlflow.create_run, experiment_id, tags=tags, run_name=name)
        except MlflowException:
            found = self._runs_with(experiment_id, key)
            if not found:
                raise
            return found[0]
        if is_served(self.uri):  # the HTTP client repeats a request whose answer was lost
            for ghost in self._runs_with(experiment_id, key):
                if ghost != run.info.run_id:
                    self.mlflow.delete_run(ghost)
        return str(run.info.run_id)

    def _runs_with(self, experiment_id: str, key: str) -> list[str]:
        found = self.mlflow.search_runs([experiment_id], filter_string=f"tags.`{RUN_KEY}` = '{key}'")
        return [run.info.run_id for run in found]

    def log_texts(
        self, run_id: str, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Log params and tags, a hundred a call."""
        from mlflow.entities import Param, RunTag

        texts: list[Any] = [Param(*item) for item in (params or {}).items()]
        texts += [RunTag(*item) for item in (tags or {}).items()]
        for start in range(0, len(texts), _TEXTS_A_CALL):
            part = texts[start : start + _TEXTS_A_CALL]
            self._patiently(
                self.mlflow.log_batch,
                run_id,
                params=[text for text in part if isinstance(text, Param)],
                tags=[text for text in part if isinstance(text, RunTag)],
            )

    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Keep `text` as the artifact `path`."""
        self._patiently(self.mlflow.log_text, run_id, text, path)

    def log_path(self, run_id: str, path: Path, folder: str | None) -> None:
        """Keep a file, or all that a folder holds, as artifacts."""
        log = self.mlflow.log_artifacts if path.is_dir() else self.mlflow.log_artifact
        self._patiently(log, run_id, str(path), folder)

    def set_status(self, run_id: str, status: str) -> None:
        """End the run with `status`."""
        self._patiently(self.mlflow.set_terminated, run_id, status)

    def _patiently(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the call returns, made again while another program holds a SQL store."""
        with quiet_logs():
            return wait_patiently(lambda: call(*args, **kwargs), self._will_pass, _PAUSE_SECONDS)

    def _will_pass(self, error: BaseException) -> bool:
        """Say whether the database is only busy: MLflow has the driver's error in its message alone.

        A server repeats by itself what its database refuses for the moment.
        """
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException):
            return False
        kind = kind_of(self.uri)
        if kind == "sqlite":
            return "database is locked" in str(error)
        if kind == "postgresql":
            return "(psycopg" in str(error) and "OperationalError" in str(error)
        return False
