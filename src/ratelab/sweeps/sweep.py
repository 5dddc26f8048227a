"""A sweep while it runs: its store and its parent run, its jobs in Hydra's way, what it says at its end."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from ratelab.comparison import Result, Study, write_value
from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.display import Places
from ratelab.runs.past import Past
from ratelab.runs.planned import PlannedRun
from ratelab.runs.resuming import open_journal
from ratelab.runtime.signals import held_back
from ratelab.sweeps.jobs import HydraProgram, Jobs, save_sweep_config
from ratelab.sweeps.naming import name_sweep
from ratelab.sweeps.recorder import Recorder
from ratelab.sweeps.resources import Resources
from ratelab.sweeps.resumed import cut_left, describe_resumed, restore_ended
from ratelab.sweeps.store import SweepRun, SweepStore, describe_wait, open_store
from ratelab.tasks import Outcome
from ratelab.tracking import Losses, Run, Tracker, warn_of_loss, write_command
from ratelab.validation import UserError

Body = Callable[[DictConfig], Result]


def run_jobs(program: HydraProgram, resources: Resources, jobs: Jobs) -> list[JobReturn]:
    """Run prepared jobs as one sweep with one parent run, and print what they say.

    Jobs of a program that is not ratelab's own run one after another, in Hydra's way.
    """
    if not jobs.runs:
        save_sweep_config(program)
        return _run_in_turn(program, jobs.composed)
    with open_sweep(program, resources, name_sweep(jobs), jobs.varied, len(jobs.runs)) as sweep:
        returns = sweep.run(jobs)
    if program.is_searched:
        _print_values(program, jobs, returns)
    return returns


@contextlib.contextmanager
def open_sweep(
    program: HydraProgram, resources: Resources, name: str, varied: frozenset[str], number: int | None
) -> Iterator["Sweep"]:
    """Open a sweep for the block; print the comparison at its end, close the store however it ends.

    Of a sweep that is searched this may be one trial of a hundred, which has nothing to be compared with.

    Args:
        program: whose jobs they are.
        resources: what the workers may take.
        name: of its parent run, for people.
        varied: the override keys whose values differ between the runs.
        number: how many runs there will be; None: that is not known yet.
    """
    save_sweep_config(program)
    jobs = {} if number is None else {"jobs": number}
    params = {"varied": ", ".join(sorted(varied)), **jobs}
    with contextlib.ExitStack() as stack:
        sweep = Sweep(program, resources, name, params, stack)
        yield sweep
        sweep.note_end()
        if not program.is_searched:
            sweep.finish()


class Sweep:
    """Runs that belong together; made by `open_sweep`.

    Args:
        program: as there.
        resources: as there.
        name: as there.
        params: of the parent run.
        stack: closes what the sweep opens.
    """

    def __init__(
        self,
        program: HydraProgram,
        resources: Resources,
        name: str,
        params: Mapping[str, Any],
        stack: contextlib.ExitStack,
    ) -> None:
        self._results: dict[int, Result] = {}
        self._program, self._resources, self._stack = program, resources, stack
        self._id, self._own = program.sweep_id, SweepRun(program.sweep_id, name, params)
        self._display = program.display
        self._store: SweepStore | None = None
        opened = open_journal(
            program.folder.absolute(), program.config.hydra, program.config, "sweep", self._id
        )
        self._journal = stack.enter_context(contextlib.closing(opened))
        self._checkpoints = Checkpoints(program.folder.absolute(), self._journal)

    @property
    def results(self) -> list[Result]:
        """Of the runs that ended, in the order of the jobs."""
        return [self._results[number] for number in sorted(self._results)]

    @property
    def past(self) -> Past:
        """What its journal held when it was opened."""
        return self._journal.past

    def run(self, jobs: Jobs) -> list[JobReturn]:
        """Train and record the runs of `jobs`; a run that fails does not keep the others from running.

        The workers are started first: while they import TensorFlow, this process imports MLflow and opens
        the store. What cannot be opened ends the sweep here, before anything has been trained.
        """
        stacks = cut_left(jobs.runs, self._resources, self._journal, self._checkpoints)
        with contextlib.ExitStack() as stack:
            workers = stack.enter_context(self._resources.start(stacks))
            if lines := [*describe_resumed(jobs.runs, self._journal), *describe_wait(jobs.runs)]:
                self._display.say(*lines)
            self._print_schedules(jobs.runs)
            progress = stack.enter_context(contextlib.closing(self._display.begin()))
            progress.begin(self._list_left(jobs.runs))
            store = self._open_store(jobs.runs[0])
            ended = restore_ended(jobs.runs, store.feed, self._journal)
            # From here on a signal is raised between two events, where the workers look, and not within one.
            stack.enter_context(held_back())
            recorder = stack.enter_context(
                Recorder(
                    jobs.runs,
                    workers,
                    store.feed,
                    self._journal,
                    self._checkpoints,
                    ended,
                    progress,
                    self._own.note_failure,
                )
            )
            bodies = {run.number: partial(recorder.await_run, run) for run in jobs.runs}
            # In the order of the stacks, so that no job waits for one that is trained after it.
            order = [number for one in stacks for number in one.numbers]
            returns = _run_in_turn(self._program, jobs.composed, bodies, order)
        self._results |= recorder.results
        return returns

    def note_end(self) -> None:
        """Wait for the store; note in the journal that the program is over."""
        if self._store is not None:
            self._store.feed.drain()
            self._results = {
                number: self._store.complete(number, result) for number, result in self._results.items()
            }
        self._journal.note_over()

    def _note_finished(self) -> None:
        """Note in the journal, if it is so, that nothing is left to train or to store."""
        is_left = any(not result.is_outcome or result.lacks_metrics for result in self.results)
        if self._journal.is_over and self._journal.has_sweep and not is_left:
            self._journal.finish()
            self._checkpoints.clear()

    def finish(self) -> None:
        """Print what the results say and where MLflow shows them; keep the report."""
        found = self._display.compare(self.results) if self.results else None
        if self._store is None:
            return
        tracker = self._store.tracker
        if tracker.is_lost:
            command = write_command("compare", tracker.uri, self._id)
            self._display.say(
                f"The store has not taken all. When it has, this shows what there is: {command}"
            )
            return
        run_ids = [result.run_id for result in self.results if result.run_id]
        self._display.show_places(Places(tracker.uri, self._id, tracker.links(run_ids, self._id)))
        if found is not None:
            self._report(found, tracker, self._store.parent)

    def _open_store(self, first: PlannedRun) -> SweepStore:
        """Open store and parent run, at the first call; all runs of a sweep have one store."""
        if self._store is None:
            self._stack.callback(self._note_finished)  # when the store has been told of all
            self._store = open_store(self._stack, self._own, self._journal, first)
        return self._store

    def _list_left(self, runs: Sequence[PlannedRun]) -> list[tuple[object, int]]:
        """Return the pace of each run that has not ended and how many updates it lacks."""
        own = [(run, self._journal.of(run.number)) for run in runs]
        going = [(run, part) for run, part in own if part.past is None or part.past.ended is None]
        return [(run.pace, run.steps - part.steps) for run, part in going]

    def _print_schedules(self, runs: Sequence[PlannedRun]) -> None:
        for run in runs:
            if run.config.print_schedule:
                from ratelab.report import schedule_lines

                self._display.say(run.name, *schedule_lines(run.job.rates.table))

    def _report(self, found: Study, tracker: Tracker, parent: Run) -> None:
        """Keep the report beside the jobs and with the parent run; a sweep does not fail because of it."""
        from ratelab.report import make_report

        path = self._program.folder.absolute() / "report.html"
        try:
            recorded = tracker.find_runs(self._id)
            if recorded is None:
                return
            make_report(found, recorded, tracker.uri, path)
            with warn_of_loss(parent, "report.html"):
                parent.artifact(path)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            advice = f"Make it with: {write_command('report', tracker.uri, self._id)}"
            self._display.say(f"warning: no report was made: {reason}", advice)
        else:
            self._display.show_report(path)


def _print_values(program: HydraProgram, jobs: Jobs, returns: Sequence[JobReturn]) -> None:
    """Print what the sweeper that searches is given of each run.

    Raises:
        UserError: if it looks for the smallest value where more is better, or the reverse.
    """
    for run, one in zip(jobs.runs, returns, strict=True):
        result = one.return_value if one.status is JobStatus.COMPLETED else None
        if isinstance(result, Result):
            _check_direction(program, result.outcome)
            value = write_value(result.outcome, float(result))
            print(f"validation {result.outcome.metric} {value}: {' '.join(run.labels.overrides)}", flush=True)


def _check_direction(program: HydraProgram, outcome: Outcome) -> None:
    wanted, wrong = ("maximize", "minimize") if outcome.higher_is_better else ("minimize", "maximize")
    if wrong in str(OmegaConf.select(program.config, "hydra.sweeper.direction")):
        raise UserError(
            f"hydra.sweeper.direction must be {wanted}, for the value of a run is its {outcome.metric} on "
            f"the validation split; got {wrong}."
        )


def _run_in_turn(
    program: HydraProgram,
    composed: Sequence[DictConfig],
    bodies: Mapping[int, Body] | None = None,
    order: Sequence[int] = (),
) -> list[JobReturn]:
    """Run jobs in Hydra's way: folder, log, callbacks, `HydraConfig`, the function under `@hydra.main`.

    Args:
        program: whose function is called for each job.
        composed: the configuration of each job.
        bodies: what the function gets as `run`, by the number of the job; without any it gets nothing.
        order: the numbers of jobs that come first, in this order.
    """
    setup_globals()
    jobs = {int(config.hydra.job.num): config for config in composed}
    returns: dict[int, JobReturn] = {}
    losses = Losses()
    for number in dict.fromkeys([*order, *jobs]):
        # `run_job` sets the logging of the job; what comes between two jobs is the sweep's.
        configure_log(program.config.hydra.hydra_logging, program.config.hydra.verbose)
        own = {} if bodies is None else {"run": bodies[number]}
        task = partial(program.task, **own)
        try:
            returns[number] = run_job(
                task_function=task,
                config=jobs[number],
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=program.context,
            )
        except OSError as error:  # of the files beside the job, for what the function raises is returned
            losses.add("what Hydra writes of it", f"job {number}", error)
            returns[number] = _run_without_folder(task, jobs[number])
    losses.close()
    configure_log(program.config.hydra.hydra_logging, program.config.hydra.verbose)
    return [returns[number] for number in sorted(returns)]


def _run_without_folder(task: TaskFunction, config: DictConfig) -> JobReturn:
    """Run a job as `run_job` does, without a folder: there may be no room for one, but its run is trained."""
    HydraConfig.instance().set_config(config)
    cfg = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    done = JobReturn(cfg=cfg, overrides=list(config.hydra.overrides.task))
    try:
        done.return_value, done.status = task(cfg), JobStatus.COMPLETED
    except Exception as error:
        done.return_value, done.status = error, JobStatus.FAILED
    return done
