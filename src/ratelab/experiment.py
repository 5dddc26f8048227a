"""One run from its configuration to its record: check, plan, train, track."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ratelab import devices, provenance
from ratelab.comparison import Result
from ratelab.config import Config
from ratelab.interruption import raise_if_told_to_stop
from ratelab.passwords import without_password
from ratelab.planning import plan
from ratelab.preflight import prepare, read
from ratelab.progress import Reporter
from ratelab.report import schedule_lines
from ratelab.session import Plan, Session, current, override_key
from ratelab.tracking import Diverged, NullRun, Run, now_ms
from ratelab.training import Chunk, Job, Program, Training, ahead
from ratelab.validation import UserError

Recorder = Run | NullRun
EPOCHS_AHEAD = 100  # that recording may lag behind training: memory for a few hundred bytes a step

__all__ = ["Labels", "run"]

_programs: dict[str, Program] = {}


@dataclass(frozen=True)
class Labels:
    """How a run is called.

    Attributes:
        schedule: the option chosen in the group `schedule`.
        group: the schedule and whatever else the sweep varies but the seed.
        overrides: as given on the command line.
    """

    schedule: str
    group: str
    overrides: list[str]


def run(cfg: DictConfig) -> Result:
    """Do one run as Hydra composed it: by itself, or as part of the sweep that is running.

    Raises:
        UserError: for a mistake in the configuration, and for a single run that diverged.
    """
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.cwd)
    config = prepare(read(cfg), directory)
    session = current()
    if session is not None:
        return _execute(config, _labels(session), session)
    with Session(Plan(directory)) as session:
        result = _execute(config, _labels(session), session)
        session.finish()
    if result.status == "diverged":
        raise UserError(
            f"{result.group}: the loss was not finite at step {result.diverged_step}; "
            "the run is marked FAILED. Lower learning_rate."
        )
    session.console.print(
        f"test accuracy {result.test_accuracy:.4f}, {result.seconds:.2f} s", highlight=False
    )
    return result


def _execute(config: Config, labels: Labels, session: Session) -> Result:
    """Train and record; a run that diverged is a result, any other error passes on."""
    devices.configure(config.device)
    raise_if_told_to_stop()  # imports are where exceptions get lost
    job = plan(config)
    if config.print_schedule:
        session.console.print("\n".join(schedule_lines(job.learning_rate)), highlight=False)
    ending = Result(labels.group, config.seed)
    try:
        training = _begin(config, job, labels, session)
        with ahead(training, EPOCHS_AHEAD) as chunks, _record(config, job, labels, session) as record:
            ending = replace(ending, run_id=record.id)
            _log_provenance(record, config, labels)
            ending = replace(ending, **_train(training, chunks, record, config, session.progress))
            if _wants_model(config, session):
                record.log_keras_model(training.model(), _pixels(job))
            ending = replace(ending, status="finished")
    except Diverged as error:
        ending = replace(ending, status="diverged", diverged_step=error.step)
    except Exception as error:
        session.fail_parent(error)
        raise
    finally:
        session.results.append(ending)
    return ending


def _begin(config: Config, job: Job, labels: Labels, session: Session) -> Training:
    """Build and check the model; a run that cannot begin is recorded as FAILED like one that broke."""
    try:
        return Training(job, _program(job))
    except Exception:
        with _record(config, job, labels, session):
            raise


@contextlib.contextmanager
def _record(config: Config, job: Job, labels: Labels, session: Session) -> Iterator[Recorder]:
    """Open the run in the store, while the loop is being compiled and the first epochs run."""
    session.open(config)
    name = f"{labels.group} seed={config.seed}"
    number = len(session.results) + 1
    session.progress.start(name, number, session.plan.jobs, job.epochs, len(job.learning_rate))
    params, tags = provenance.flatten(_public(config)), _tags(config, job, labels, session)
    with session.tracker.run(name, params=params, tags=tags, parent_id=session.parent_id) as record:
        yield record


def _train(
    training: Training, chunks: Iterator[Chunk], record: Recorder, config: Config, progress: Reporter
) -> dict[str, Any]:
    """Record each epoch as it comes, then the one look at the test split; return what the result holds."""
    rates, seconds = training.job.learning_rate, 0.0
    with _steps_file(record) as recorded:
        for chunk in chunks:
            raise_if_told_to_stop()
            recorded.append(chunk)
            seconds += chunk.seconds
            _log_chunk(record, chunk, config.tracking.train_loss_every)
            progress.advance(chunk.epoch + 1, len(chunk.train_loss))
            if chunk.diverged_step is not None:
                raise Diverged(chunk.diverged_step)
    loss, accuracy = training.test()
    last, now = np.array([len(rates) - 1]), np.array([now_ms()])
    for key, value in (("test_loss", loss), ("test_accuracy", accuracy)):
        record.metrics(key, last, np.array([value]), now)
    return {"test_accuracy": accuracy, "final_rate": float(rates[-1]), "seconds": seconds}


def _log_chunk(record: Recorder, chunk: Chunk, train_loss_every: int) -> None:
    """Record an epoch: every rate, some of the losses, the validation at the step where it was measured."""
    record.metrics("learning_rate", chunk.steps, chunk.learning_rate, chunk.timestamps)
    shown = chunk.steps % train_loss_every == 0
    record.metrics("train_loss", chunk.steps[shown], chunk.train_loss[shown], chunk.timestamps[shown])
    if chunk.diverged_step is None:
        for key, value in (("val_loss", chunk.val_loss), ("val_accuracy", chunk.val_accuracy)):
            record.metrics(key, chunk.steps[-1:], np.array([value]), chunk.timestamps[-1:])


@contextlib.contextmanager
def _steps_file(record: Recorder) -> Iterator[list[Chunk]]:
    """Collect chunks; log them as steps.parquet however the block ends."""
    chunks: list[Chunk] = []
    try:
        yield chunks
    finally:
        if chunks:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "steps.parquet"
                _write_parquet(chunks, path)
                record.artifact(path)


def _write_parquet(chunks: list[Chunk], path: Path) -> None:
    """Write a row a step: step, learning_rate and train_loss as float32, timestamp in milliseconds."""
    import pyarrow as pa
    import pyarrow.parquet

    columns = ("learning_rate", "train_loss", "timestamps", "steps")
    arrays = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in columns}
    arrays["step"], arrays["timestamp"] = arrays.pop("steps"), arrays.pop("timestamps")
    pa.parquet.write_table(pa.table(arrays), path)


def _log_provenance(record: Recorder, config: Config, labels: Labels) -> None:
    """Record what made this run: configuration, overrides, local changes, packages."""
    origin = provenance.collect()
    record.artifact_text(OmegaConf.to_yaml(OmegaConf.create(_public(config))), "config.yaml")
    record.artifact_text("\n".join(labels.overrides) + "\n", "overrides.txt")
    record.artifact_text(origin.packages, "packages.txt")
    if origin.diff:
        record.artifact_text(origin.diff, "git.diff")


def _labels(session: Session) -> Labels:
    """Name the run after its schedule and whatever else varies in its sweep."""
    hydra = HydraConfig.get()
    schedule = str(hydra.runtime.choices["schedule"])
    overrides = [without_password(text) for text in hydra.overrides.task]
    shown = session.plan.varied - {"schedule", "seed"}
    others = [text.lstrip("+") for text in overrides if override_key(text) in shown]
    return Labels(schedule, " ".join([schedule, *others]), overrides)


def _public(config: Config) -> dict[str, Any]:
    """Return the configuration without the URI of the store: it may hold a password."""
    return config.model_dump(by_alias=True, exclude={"tracking": {"uri"}})


def _tags(config: Config, job: Job, labels: Labels, session: Session) -> dict[str, str]:
    described = config.model_dump(by_alias=True, exclude={"tracking": True, "data": {"dir"}})
    sweep_id = {"sweep_id": session.plan.sweep_id} if session.plan.sweep_id else {}
    return {
        "schedule": labels.schedule,
        "seed": str(config.seed),
        "config_digest": provenance.digest(described),
        "data_digest": job.data.digest,
        **sweep_id,
        **provenance.collect().tags,
    }


def _wants_model(config: Config, session: Session) -> bool:
    """Say whether to log the model: as configured, else for a single run and not in a sweep."""
    wanted = config.tracking.log_model
    return session.plan.sweep_id is None if wanted is None else wanted


def _pixels(job: Job) -> npt.NDArray[np.float32]:
    """Return an example of the model's input, float32[1, height, width]."""
    return (job.data.test.images[:1] * np.float32(1 / job.data.largest)).astype(np.float32)


def _program(job: Job) -> Program:
    """Return the compiled program for this kind of job; compiled once a process."""
    if job.program_key not in _programs:
        _programs.clear()  # one at a time: each holds its data on the device
        _programs[job.program_key] = Program(job)
    return _programs[job.program_key]
