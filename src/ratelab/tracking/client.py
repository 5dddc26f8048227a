"""MLflow's client, without its global state and with the patience that it lacks."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ratelab.runtime.program_identity import this_program
from ratelab.tracking.checksums import CHECKSUMS
from ratelab.tracking.environment import open_client, quiet_logs
from ratelab.tracking.mlflow_internals import source_tags
from ratelab.tracking.names import check_location, safe_name
from ratelab.tracking.patience import Patience
from ratelab.tracking.recorded import ENDED_BY, PROGRAM
from ratelab.tracking.troubles import StoreError, check_is_active
from ratelab.tracking.uris import is_served, kind_of

P = ParamSpec("P")
R = TypeVar("R")

RUN_KEY = "ratelab.run_key"
# the tags that say how a run ended before
_OF_AN_END = {"error", "not_kept", "diverged_step", CHECKSUMS, ENDED_BY}
_TEXTS_A_CALL = 100  # MLflow's own limit
_PAUSE_SECONDS = 0.2


class Client:
    """MLflow's client through `ask` and `read`, and the calls that need more than one of its own.

    Each returns when the store has what it was given. While the store takes nothing for the moment it waits,
    two minutes at most; then it raises StoreError.

    Args:
        uri: what `prepare_store` returned.
        patience: with this store.
    """

    def __init__(self, uri: str, patience: Patience) -> None:
        self.uri = uri
        self._patience = patience
        self._unended: dict[str, tuple[str, Mapping[str, str]]] = {}  # statuses that the store did not take
        with patience.watched():  # of a database it asks already now whether that is its own
            self.mlflow = open_client(uri)

    @property
    def is_lost(self) -> bool:
        """Whether the store has just been waited for in vain."""
        return self._patience.is_lost

    def open_experiment(self, name: str, artifacts: Path | None) -> str:
        """Return the id of the experiment `name`; whoever comes first makes it.

        Args:
            name: MLflow's name of it.
            artifacts: the absolute folder for its artifacts; None: the server chooses.

        Raises:
            UserError: it has been deleted, and MLflow keeps the name.
        """
        found = self.read(self.mlflow.get_experiment_by_name, name)
        if found is None:
            return self._create_experiment(name, artifacts)
        experiment_id: str = found.experiment_id
        check_is_active(name, experiment_id, found.lifecycle_stage)
        return experiment_id

    def _create_experiment(self, name: str, artifacts: Path | None) -> str:
        location = None
        if artifacts is not None:
            location = (artifacts / safe_name(name).replace("/", "_")).as_uri()
            if kind_of(self.uri) == "postgresql":
                check_location(location)
        try:
            return self.ask(self.mlflow.create_experiment, name, artifact_location=location)
        except StoreError as error:
            if getattr(error.__cause__, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.open_experiment(name, artifacts)  # another process was faster: this finds what it made

    def has_run(self, experiment_id: str, key: str) -> bool:
        """Say whether the store has a run with this key that is not deleted."""
        return bool(self._find_runs(experiment_id, key))

    def reopen_run(self, experiment_id: str, key: str) -> str | None:
        """Let the run with this key go on and return its id; None if the store has none."""
        found = self._find_runs(experiment_id, key)
        if not found:
            return None
        run_id: str = found[0].info.run_id
        # first, or whoever looks just now would take it for a run that a dead program left
        self.set_tags(run_id, {PROGRAM: this_program().write()})
        for tag in _OF_AN_END & found[0].data.tags.keys():
            self.ask(self.mlflow.delete_tag, run_id, tag)
        self.ask(self.mlflow.update_run, run_id, status="RUNNING")
        return run_id

    def create_run(self, experiment_id: str, name: str, key: str, parent_id: str | None) -> str:
        """Return the id of a new run; an answer lost on the way leaves no second run behind.

        It has the tags that `mlflow.start_run` would set and, of ours, only who records it: with the others
        comes what it is.

        Args:
            experiment_id: what `open_experiment` returned.
            name: what people see.
            key: no other run has it: by it a run is found whose id never arrived.
            parent_id: the run that it is a child of.
        """
        tags = {**source_tags(), RUN_KEY: key, PROGRAM: this_program().write()}
        if parent_id is not None:
            tags["mlflow.parentRunId"] = parent_id
        try:
            run = self.ask(self.mlflow.create_run, experiment_id, tags=tags, run_name=name)
        except StoreError:
            found: list[str] = []
            with contextlib.suppress(StoreError):  # the first cause is the one to tell
                found = self._runs_with(experiment_id, key)
            if not found:
                raise
            return found[0]
        except BaseException:  # told to stop, perhaps when it was made already: nobody else would end it
            with contextlib.suppress(StoreError):
                for run_id in self._runs_with(experiment_id, key):
                    self.set_status(run_id, "KILLED", {})
            raise
        if is_served(self.uri):  # the HTTP client repeats a request whose answer was lost
            with contextlib.suppress(StoreError):
                self._delete_ghosts(experiment_id, key, run.info.run_id)
        return str(run.info.run_id)

    def _delete_ghosts(self, experiment_id: str, key: str, kept: str) -> None:
        for run_id in self._runs_with(experiment_id, key):
            if run_id != kept:
                self.ask(self.mlflow.delete_run, run_id)

    def _runs_with(self, experiment_id: str, key: str) -> list[str]:
        return [run.info.run_id for run in self._find_runs(experiment_id, key)]

    def _find_runs(self, experiment_id: str, key: str) -> list[Any]:
        wanted = f"tags.`{RUN_KEY}` = '{key}'"
        return list(self.read(self.mlflow.search_runs, [experiment_id], filter_string=wanted))

    def log_texts(self, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log params, then tags, a hundred a call: a program killed between leaves no tags without params."""
        from mlflow.entities import Param, RunTag

        texts: list[Any] = [Param(*item) for item in params.items()]
        texts += [RunTag(*item) for item in tags.items()]
        for start in range(0, len(texts), _TEXTS_A_CALL):
            part = texts[start : start + _TEXTS_A_CALL]
            self.ask(
                self.mlflow.log_batch,
                run_id,
                params=[text for text in part if isinstance(text, Param)],
                tags=[text for text in part if isinstance(text, RunTag)],
            )

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set a few tags, a call each: not the way of the metrics, which a server may refuse alone."""
        for key, value in tags.items():
            self.ask(self.mlflow.set_tag, run_id, key, value)

    def set_status(self, run_id: str, status: str, tags: Mapping[str, str]) -> None:
        """End the run with `status`, then set tags; what the store does not take `end_runs` gives it again.

        Args:
            run_id: which.
            status: MLflow's word.
            tags: that it has not taken yet.
        """
        self._unended[run_id] = status, tags
        self.ask(self.mlflow.set_terminated, run_id, status)
        del self._unended[run_id]
        with contextlib.suppress(StoreError):  # it has been told
            self.set_tags(run_id, tags)

    def end_runs(self) -> None:
        """Give the store the statuses that it did not take before: a full disk may have room again."""
        for run_id, (status, tags) in [*self._unended.items()]:
            with contextlib.suppress(StoreError):  # it has been told, as the error of its run
                self.set_status(run_id, status, tags)
        if self._unended:
            number = len(self._unended)
            runs = "1 run that ended stays" if number == 1 else f"{number} runs that ended stay"
            sys.stderr.write(f"warning: {runs} RUNNING in the store.\n")

    def read(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the call returns, as `ask` does; it changes nothing."""
        with quiet_logs():
            return self._patience.ask(
                call.__name__, lambda: call(*args, **kwargs), _PAUSE_SECONDS, is_read=True
            )

    def ask(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the call returns, made again while the store takes nothing for the moment."""
        with quiet_logs():
            return self._patience.ask(call.__name__, lambda: call(*args, **kwargs), _PAUSE_SECONDS)
