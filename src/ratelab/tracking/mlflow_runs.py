"""The life of a run: FINISHED only if its block finished, and everything is stored before that is said."""

import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ratelab.runtime.signals import at_once, held_back
from ratelab.tracking.client import Client
from ratelab.tracking.environment import brief_requests
from ratelab.tracking.interface import Diverged, Run, Tracker
from ratelab.tracking.links import links_to_print
from ratelab.tracking.names import as_json, clip, safe_params, safe_tags
from ratelab.tracking.reading import Recorded, find_runs
from ratelab.tracking.writer import MetricWriter

if TYPE_CHECKING:
    import keras

_ERROR_LENGTH = 500


class MlflowRun(Run):
    """One run of MLflow's; made by `MlflowTracker.run`.

    Args:
        client: the store's.
        writer: where its metrics go.
        run_id: MLflow's.
        name: the name people see.
    """

    def __init__(self, client: Client, writer: MetricWriter, run_id: str, name: str) -> None:
        self.id = run_id
        self.name = name
        self._client = client
        self._writer = writer
        self._failures: list[str] = []

    def metrics(self, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray) -> None:
        """Hand points of one metric over, as `MetricWriter.write` does."""
        self._writer.write(self.id, key, steps, values, timestamps)

    def params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; what MLflow would cut or refuse is also kept in full as `params_full.json`."""
        safe, changed = safe_params(params)
        self._client.log_texts(self.id, params=safe)
        if changed:
            self.artifact_text(as_json(changed), "params_full.json")

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; what MLflow would cut or refuse is also kept in full as `tags_full.json`."""
        safe, changed = safe_tags(tags)
        self._client.log_texts(self.id, tags=safe)
        if changed:
            self.artifact_text(as_json(changed), "tags_full.json")

    def artifact_text(self, text: str, path: str) -> None:
        """Keep `text` as the artifact `path`."""
        self._client.log_text(self.id, text, path)

    def artifact(self, local_path: Path, folder: str | None = None) -> None:
        """Keep a file, or all that a folder holds, under `folder` of the artifacts."""
        self._client.log_path(self.id, Path(local_path), folder)

    def log_keras_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Keep the model as "model", with the signature that `example` (first axis: batch) gives it."""
        from ratelab.tracking.model import log_keras_model

        log_keras_model(self._client.mlflow, self.id, model, example)

    def fail(self, reason: str, traceback_text: str) -> None:
        """Mark the run as failed although its block goes on; it becomes FAILED when the block ends.

        Returns when the tag and the traceback are stored. Called again, the tag has the last reason and the
        artifact all tracebacks.
        """
        self._failures.append(traceback_text)
        self.tags({"error": clip(reason, _ERROR_LENGTH)})
        self.artifact_text("\n".join(self._failures), "traceback.txt")

    def _end(self) -> None:
        self._client.set_status(self.id, "FAILED" if self._failures else "FINISHED")

    def _end_by(self, error: BaseException) -> None:
        """Store what can be stored, then the status; a second error becomes a note of the first.

        It waits for a store as every call does, but not for a server that has just failed to answer.
        """
        status = status_after(error)
        stored = False
        try:
            stored = _attempt(error, self._writer.flush)
            # Ctrl-C and signals need no reason: whoever sent them waits for the end
            if stored and status == "FAILED":
                stored = _attempt(error, lambda: self._describe(error))
        finally:  # also if a second Ctrl-C ends the flush: the run must not stay RUNNING for ever
            with brief_requests(not stored):
                _attempt(error, lambda: self._client.set_status(self.id, status))

    def _describe(self, error: BaseException) -> None:
        if isinstance(error, Diverged):
            self.tags({"diverged_step": error.step})
        self.fail(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def status_after(error: BaseException) -> str:
    """Return the status of a run whose block was left by `error`.

    KILLED is for Ctrl-C and for the exit codes 128 + n by which a handler of signal n ends a program.

    >>> status_after(KeyboardInterrupt()), status_after(SystemExit(143)), status_after(SystemExit(3))
    ('KILLED', 'KILLED', 'FAILED')
    """
    by_signal = isinstance(error, SystemExit) and error.code in {128 + number for number in signal.Signals}
    return "KILLED" if by_signal or isinstance(error, KeyboardInterrupt) else "FAILED"


def _attempt(error: BaseException, action: Callable[[], None]) -> bool:
    """Say whether an action succeeded; why it did not is noted at the error that is on its way already."""
    try:
        action()
    except Exception as second:
        if second is not error:  # the writer raises its error at every call
            error.add_note(f"tracking: and then {type(second).__name__}: {second}")
        return False
    return True


class MlflowTracker(Tracker):
    """The way to one experiment of a store of MLflow's, with a thread for the metrics.

    To make one asks the store for the experiment, which waits for it as every call does.

    Args:
        uri: what `prepare_store` returned.
        experiment: the name of MLflow's experiment, made if there is none.
        artifacts: the folder for artifacts; None: a server chooses its own.

    Raises:
        UserError: the experiment has been deleted, and MLflow keeps its name.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path | None) -> None:
        self.uri = uri
        self._client = Client(uri)
        self.experiment_id = self._client.open_experiment(experiment, artifacts)
        self._writer = MetricWriter(uri)

    @contextmanager
    def run(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent_id: str | None = None,
    ) -> Iterator[MlflowRun]:
        """Open a run for a `with` block, as the interface says; MLflow adds tags of its own."""
        safe, changed = safe_tags(tags)
        if parent_id:
            safe["mlflow.parentRunId"] = parent_id
        with ExitStack() as stack:
            run = None
            try:
                with held_back():  # a run that the store has and nobody ends would be RUNNING for ever
                    run_id = self._client.create_run(self.experiment_id, name, safe)
                    run = MlflowRun(self._client, self._writer, run_id, name)
                    stack.enter_context(at_once(partial(self._client.set_status, run_id, "KILLED")))
                run.params(params)
                if changed:
                    run.artifact_text(as_json(changed), "tags_full.json")
                yield run
                self._writer.flush()  # inside: metrics that cannot be stored fail the run
            except BaseException as error:
                if run is not None:
                    with held_back():
                        run._end_by(error)
                raise
            with held_back():
                run._end()

    def links(self, run_ids: Sequence[str], sweep_id: str | None) -> list[str]:
        """Return how to see these runs in MLflow's UI, side by side."""
        return links_to_print(self.uri, self.experiment_id, run_ids, sweep_id)

    def find_runs(self, sweep_id: str) -> Recorded:
        """Store everything written so far, then return the runs of the sweep as they can be read."""
        self.flush()
        return find_runs(self.uri, sweep_id)

    def flush(self) -> None:
        """Return when every metric written so far is stored."""
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store the rest and stop."""
        if error is None:
            self._writer.close()
        else:
            _attempt(error, self._writer.close)
