"""The body of a job: one run from its configuration to its record."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ratelab.comparison import Result
from ratelab.report import schedule_lines
from ratelab.runs.job_of import plan
from ratelab.runs.planned import Assignment, assign
from ratelab.runs.record import Recording
from ratelab.runs.session import Plan, Session, awaited
from ratelab.runtime import devices
from ratelab.runtime.signals import raise_if_told_to_stop
from ratelab.training import ProgramCache, Training, prefetch
from ratelab.validation import UserError

EPOCHS_AHEAD = 100  # that recording may lag behind training: memory for a few hundred bytes a step

__all__ = ["run"]

_programs = ProgramCache()


def run(cfg: DictConfig) -> Result:
    """Do one run as Hydra composed it; in a sweep of the launcher `ratelab`, wait for it to be done.

    Raises:
        UserError: for a mistake in the configuration, and for a single run that diverged.
    """
    hydra = HydraConfig.get()
    result_of = awaited()
    if result_of is not None:
        return result_of(int(hydra.job.num))
    assignment = assign(cfg, hydra, frozenset(), open_store=True)
    with Session(Plan(Path(hydra.runtime.cwd))) as session:
        result = _execute(assignment, session)
        session.results.append(result)
        session.finish()
    if result.status == "diverged":
        raise UserError(
            f"{assignment.labels.group}: the loss was not finite at step {result.diverged_step}; "
            "the run is marked FAILED. Lower learning_rate."
        )
    split = "test" if assignment.config.test else "validation"
    session.console.print(f"{split} accuracy {result.accuracy:.4f}, {result.seconds:.2f} s", highlight=False)
    return result


def _execute(assignment: Assignment, session: Session) -> Result:
    """Train in this process and record; a run that diverged is a result, any other error passes on."""
    devices.configure(assignment.config.device)
    raise_if_told_to_stop()  # imports are where exceptions get lost
    job = plan(assignment.config)
    if assignment.config.print_schedule:
        session.console.print("\n".join(schedule_lines(job.rates.table)), highlight=False)
    try:
        training = Training([job], _programs.get(job))
    except Exception:  # a run that cannot begin is recorded as FAILED like one that broke
        with Recording(assignment, session):
            raise
    # the run is opened in the store while the loop is being compiled and the first epochs run
    with prefetch(training, EPOCHS_AHEAD) as epochs, Recording(assignment, session) as recording:
        session.begin(1, assignment.steps)
        session.progress.start(0, assignment.name, assignment.steps)
        for (chunk,) in epochs:
            raise_if_told_to_stop()
            assert chunk is not None  # noqa: S101 - the only run of its stack
            recording.add(chunk)
            session.progress.advance(0, len(chunk.train_loss))
        model = training.model() if _wants_model(assignment) else None
        recording.finish(training.test()[0], model)
    return recording.result


def _wants_model(assignment: Assignment) -> bool:
    """Say whether to log the model: as configured, else for a single run and not in a sweep."""
    wanted = assignment.config.tracking.log_model
    return assignment.labels.sweep_id is None if wanted is None else wanted
