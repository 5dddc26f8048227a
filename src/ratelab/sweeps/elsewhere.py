"""Jobs that another launcher runs, such as Slurm's: how far they are, and what they say at the end.

Each records itself, in a journal of its own; that of the sweep says what they were to do, and whether all
have ended. So a sweep goes on by launching all of its jobs again: each finds what it had.
"""

import contextlib
import shlex
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from ratelab.comparison import Result
from ratelab.runs.display import Display, Places
from ratelab.runs.journal import Journal
from ratelab.runs.past import read_past
from ratelab.runs.resuming import check_runs, ended_jobs, jobs_of, open_journal, plan_runs
from ratelab.runtime import lost_metrics
from ratelab.runtime.passwords import without_password
from ratelab.sweeps.jobs import HydraProgram, Jobs
from ratelab.tracking import find_runs
from ratelab.validation import UserError

_SECONDS = 5.0  # between two looks at the store
_STILL = {"RUNNING", "SCHEDULED"}

Launch = Callable[[], Sequence[JobReturn]]


def run_elsewhere(program: HydraProgram, jobs: Jobs, launch: Launch) -> Sequence[JobReturn]:
    """Let a launcher run planned jobs, each of which records itself; print what they say together.

    While the launcher blocks, the store is asked how far they are, if there is one.

    Args:
        program: whose jobs they are.
        jobs: all of them.
        launch: returns when all have ended.

    Raises:
        UserError: submitit says that it could not launch them, or that one was lost.
    """
    if not jobs.runs:
        return _call(program, launch)
    display, uri = program.display, jobs.runs[0].config.tracking.uri
    watched = _watch(uri, program.sweep_id, len(jobs.runs), display) if uri else contextlib.nullcontext()
    with _noted(program, jobs), watched:
        returns = _call(program, launch)
    ended = [one.return_value for one in returns if one.status == JobStatus.COMPLETED]
    results = [one for one in ended if isinstance(one, Result)]
    for result in results:
        lost_metrics.note_run(result.run_id, result.lacks_metrics, None)
    if results:
        display.compare(results)
    if results and uri:
        words = shlex.join(["--sweep", program.sweep_id, "--uri", without_password(uri)])
        commands = [f"ratelab {command} {words}" for command in ("ui", "report")]
        display.show_places(Places(uri, program.sweep_id, commands))
    return returns


def _call(program: HydraProgram, launch: Launch) -> Sequence[JobReturn]:
    """Launch; what submitit says of jobs that Slurm refuses, or that were lost, is for the user to read."""
    try:
        return launch()
    except RuntimeError as error:  # all of submitit's are; who raised it tells them from a bug
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not frame.f_globals["__name__"].startswith("submitit."):
            raise
        name = program.config.hydra.runtime.choices["hydra/launcher"]
        raise UserError(f"hydra/launcher={name}: {str(error).strip()}") from error


@contextlib.contextmanager
def _noted(program: HydraProgram, jobs: Jobs) -> Iterator[None]:
    """Let the sweep have a journal for the block, of what its jobs are to do and, in the end, that they have.

    Raises:
        UserError: to go on, they are to do something else than what was noted.
    """
    folder = program.folder.absolute()
    opened = open_journal(folder, program.config.hydra, program.config, "sweep", program.sweep_id)
    with contextlib.closing(opened) as journal:
        if check_runs(journal, jobs.runs):
            ended = len(ended_jobs(folder, journal.past))
            program.display.say(f"{ended} of {len(jobs.runs)} runs had ended; the rest goes on.")
        else:
            plan_runs(journal, jobs.runs, [[run.number] for run in jobs.runs])
        yield
        _note_end(folder, journal, jobs)


def _note_end(folder: Path, journal: Journal, jobs: Jobs) -> None:
    """Note, if the journals of the jobs say so, that nothing is left to train or to store."""
    past = read_past(folder)
    if past is None or {run.number for run in jobs.runs} - ended_jobs(folder, past):
        return
    if all(job.has_finished for _, job in jobs_of(folder, past)):
        journal.finish()


@contextlib.contextmanager
def _watch(uri: str, sweep_id: str, number: int, display: Display) -> Iterator[None]:
    """Print while the block runs how many runs have begun and ended, whenever that changes."""
    over = threading.Event()

    def look() -> None:
        told = ""
        while not over.wait(_SECONDS):
            line = _describe(uri, sweep_id, number)
            if line != told:
                display.say(line)
            told = line

    # a daemon, and not waited for: a server that does not answer must not keep the program from its end
    threading.Thread(target=look, daemon=True, name="watch").start()
    try:
        yield
    finally:
        over.set()


def _describe(uri: str, sweep_id: str, number: int) -> str:
    try:
        statuses = [run.status for run in find_runs(uri, sweep_id).runs]
    except UserError:  # none has begun, or the store does not answer at this moment
        return f"0 of {number} runs have begun"
    running = sum(status in _STILL for status in statuses)
    return f"{len(statuses) - running} of {number} runs have ended, {running} running"
