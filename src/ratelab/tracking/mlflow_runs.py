"""The life of a run: FINISHED only if its block finished, and everything is stored before that is said."""

import contextlib
import signal
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from rich.text import Text

from ratelab.runtime.clipping import clip
from ratelab.runtime.endings import attempt, clean_up
from ratelab.runtime.passwords import without_password
from ratelab.runtime.signals import at_once, held_back
from ratelab.tracking.client import Client
from ratelab.tracking.interface import Diverged, Run, Tracker
from ratelab.tracking.links import links_to_print
from ratelab.tracking.losses import Losses, warn_of_loss
from ratelab.tracking.names import as_json, safe_params, safe_run_name, safe_tags
from ratelab.tracking.patience import Patience
from ratelab.tracking.reading import find_runs
from ratelab.tracking.recorded import METRICS, Recorded
from ratelab.tracking.troubles import StoreError
from ratelab.tracking.writer import MetricWriter

if TYPE_CHECKING:
    import keras

_ERROR_LENGTH = 500


class MlflowRun(Run):
    """One run of MLflow's; made by `MlflowTracker.run`.

    Args:
        client: the store's.
        writer: where its metrics go.
        losses: are told what could not be kept.
        run_id: MLflow's.
        name: the name people see.
    """

    def __init__(self, client: Client, writer: MetricWriter, losses: Losses, run_id: str, name: str) -> None:
        self.id = run_id
        self.name = name
        self._client = client
        self._writer = writer
        self._losses = losses
        self._failures: list[tuple[str, str]] = []  # reason and traceback
        self._is_told = True
        self._missing: list[str] = []
        self._untold: dict[str, str] = {}  # tags that the store has not taken
        self.lacks_metrics = self.is_left = False

    def leave(self) -> None:
        """Let the store have it as it is when the block ends: it is opened again, by its key."""
        self.is_left = True

    def metrics(self, key: str, steps: np.ndarray, values: np.ndarray, timestamps: np.ndarray) -> None:
        """Hand points of one metric over, as `MetricWriter.write` does; none after some were lost."""
        self._keep_metrics(lambda: self._writer.write(self.id, key, steps, values, timestamps))

    def _store_metrics(self) -> None:
        """Return when all of its metrics are stored, or the user has been warned that they are not."""
        self._keep_metrics(lambda: self._writer.flush(self.id))

    def _keep_metrics(self, step: Callable[[], None]) -> None:
        """Take a step in storing metrics, unless some were lost before; to lose them is a warning."""
        if self.lacks_metrics:
            return
        try:
            step()
        except Exception as error:
            if not self._writer.has_lost(self.id):  # the caller's mistake
                raise
            self.lacks_metrics = True
            self.warn(METRICS, error)

    def _log(self, params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        """Log both in one step: a run that has its tags has its params, whenever the program is killed."""
        (safe_p, long_params), (safe_t, long_tags) = safe_params(params), safe_tags(tags)
        self._client.log_texts(self.id, safe_p, safe_t)
        for name, texts in (("params_full.json", long_params), ("tags_full.json", long_tags)):
            if texts:
                with warn_of_loss(self, name):
                    self.artifact_text(as_json(texts), name)

    def artifact_text(self, text: str, path: str) -> None:
        """Keep `text` as the artifact `path`."""
        self._client.ask(self._client.mlflow.log_text, self.id, text, path)

    def artifact(self, local_path: Path, folder: str | None = None) -> None:
        """Keep a file, or all that a folder holds, under `folder` of the artifacts."""
        store = self._client.mlflow
        log = store.log_artifacts if Path(local_path).is_dir() else store.log_artifact
        self._client.ask(log, self.id, str(local_path), folder)

    def log_keras_model(self, model: "keras.Model", example: np.ndarray) -> None:
        """Keep the model as "model", with the signature that `example` (first axis: batch) gives it."""
        from ratelab.tracking.model import log_keras_model

        log_keras_model(self._client, self.id, model, example)

    def tag(self, key: str, text: str) -> None:
        """Set a tag; one that cannot be set is a warning."""
        with warn_of_loss(self, f"the tag {key}"):
            self._set_tag(key, text)

    def warn(self, what: str, error: Exception) -> None:
        """Tell the user, and in the tag `not_kept` whoever reads the run, what could not be kept."""
        self._losses.add(what, self.name, error)
        if what not in self._missing:
            self._missing.append(what)
            with contextlib.suppress(StoreError):  # it has been told
                self._set_tag("not_kept", ", ".join(self._missing))

    def _set_tag(self, key: str, text: str) -> None:
        """Set a tag; what the store does not take now, it is given once more with the status.

        Raises:
            StoreError: it refuses; one that is lost is not even asked.
        """
        self._untold[key] = text
        if not self._client.is_lost:
            self._client.set_tags(self.id, {key: text})
            del self._untold[key]

    def fail(self, reason: str, traceback_text: str) -> None:
        """Mark the run as failed although its block goes on; it becomes FAILED when the block ends.

        Returns when the tag and the traceback are stored, or the user has been warned that they are not.
        Called again, the tag has the last reason and the artifact all tracebacks.
        """
        shown = [without_password(text, self._client.uri) for text in (reason, traceback_text)]
        self._failures.append((shown[0], shown[1]))
        self._tell_failures()

    def _tell_failures(self) -> None:
        self._is_told = not self._client.is_lost  # else at the end, if it has come back
        reasons, tracebacks = zip(*self._failures, strict=True)
        with warn_of_loss(self, "the tag error"):
            self._set_tag("error", clip(reasons[-1], _ERROR_LENGTH))
        if self._is_told:
            with warn_of_loss(self, "traceback.txt"):
                self.artifact_text("\n".join(tracebacks), "traceback.txt")

    def _end(self) -> None:
        if not self._is_told:
            self._tell_failures()
        self._client.set_status(self.id, "FAILED" if self._failures else "FINISHED", self._untold)

    def _end_by(self, error: BaseException) -> None:
        """Store what can be stored, then the status; a second error becomes a note of the first."""
        status = status_after(error)
        reason = f"{type(error).__name__}: {error}" if status == "FAILED" else ""
        try:
            attempt(error, self._store_metrics)
            # Ctrl-C and signals need no reason: whoever sent them waits for the end
            if reason:
                self._describe(error, reason)
        finally:  # also if a second Ctrl-C ends the flush: the run must not stay RUNNING for ever
            attempt(error, lambda: self._client.set_status(self.id, status, self._untold))

    def _describe(self, error: BaseException, reason: str) -> None:
        if isinstance(error, Diverged):
            with warn_of_loss(self, "the tag diverged_step"):
                self._set_tag("diverged_step", str(error.step))
        self.fail(reason, "".join(traceback.format_exception(error)))


def status_after(error: BaseException) -> str:
    """Return the status of a run whose block was left by `error`.

    KILLED is for Ctrl-C, for the exit codes 128 + n by which a handler of signal n ends a program, and for
    -1, by which submitit ends a job that Slurm begins again.

    >>> status_after(KeyboardInterrupt()), *[status_after(SystemExit(code)) for code in (143, -1, 3)]
    ('KILLED', 'KILLED', 'KILLED', 'FAILED')
    """
    by_signal = isinstance(error, SystemExit) and error.code in {-1, *(128 + n for n in signal.Signals)}
    return "KILLED" if by_signal or isinstance(error, KeyboardInterrupt) else "FAILED"


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
        self._patience = Patience(uri)
        self._client = Client(uri, self._patience)
        self.experiment_id = self._client.open_experiment(experiment, artifacts)
        self._writer = MetricWriter(uri, self._patience)
        self._losses = Losses()
        self._has_given_up = False

    @property
    def is_lost(self) -> bool:
        """Whether it is waited for no more, or was in vain and has taken nothing since."""
        return self._has_given_up or self._client.is_lost

    @property
    def seconds_asked(self) -> float:
        """For how long the store has not answered the oldest question that is open; 0 if none is."""
        return self._patience.seconds_asked

    @contextmanager
    def run(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        key: str | None = None,
        is_resumed: bool = False,
        parent_id: str | None = None,
    ) -> Iterator[MlflowRun]:
        """Open a run for a `with` block, as the interface says; MLflow adds tags of its own."""
        run, name = None, safe_run_name(name)
        key = key or uuid.uuid4().hex
        with ExitStack() as stack:
            try:
                with held_back():  # a run that the store has and nobody ends would be RUNNING for ever
                    run_id = self._client.reopen_run(self.experiment_id, key) if is_resumed else None
                    if run_id is not None:
                        self._writer.forgive(run_id)
                    else:
                        run_id = self._client.create_run(self.experiment_id, name, key, parent_id)
                    run = MlflowRun(self._client, self._writer, self._losses, run_id, name)
                    stack.enter_context(at_once(partial(self._client.set_status, run_id, "KILLED", {})))
                run._log(params, tags)
                yield run
                if self._ends(run):
                    run._store_metrics()  # inside: a signal that comes meanwhile ends the run as KILLED
            except BaseException as error:
                if run is not None and self._ends(run):
                    with held_back():
                        run._end_by(error)
                raise
            if self._ends(run):
                with held_back():
                    run._end()

    def _ends(self, run: MlflowRun) -> bool:
        """Say whether the store is to be told how a run ends."""
        return not (run.is_left or self._has_given_up)

    def has_run(self, key: str) -> bool:
        """Say whether the store has a run under this key that is not deleted."""
        return self._client.has_run(self.experiment_id, key)

    def links(self, run_ids: Sequence[str], sweep_id: str | None) -> list[Text]:
        """Return how to see these runs in MLflow's UI, side by side."""
        return links_to_print(self.uri, self.experiment_id, run_ids, sweep_id)

    def find_runs(self, sweep_id: str) -> Recorded:
        """Store everything written so far, then return the runs of the sweep as they can be read."""
        self.flush()
        return find_runs(self.uri, sweep_id)

    def give_up(self) -> None:
        """Wait for the store no more; what it has not taken by now it does not get from here."""
        self._has_given_up = True
        self._patience.is_lost = True  # so that of a run that fails nothing is asked either
        self._writer.abandon()

    def flush(self) -> None:
        """Return when every metric written so far is stored."""
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store the rest and stop."""
        end_runs = [] if self._has_given_up else [self._client.end_runs]
        clean_up(error, self._writer.close, *end_runs, self._losses.close)
