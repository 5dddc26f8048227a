"""One run in this process, from its configuration to its record."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ratelab.comparison import Result, write_value
from ratelab.runs.checkpoints import Checkpoints
from ratelab.runs.display import Display, Places, Terminal
from ratelab.runs.feed import Feed
from ratelab.runs.journal import Journal, RunJournal
from ratelab.runs.planned import PlannedRun, prepare_run
from ratelab.runs.record import RunRecord, describe_look, restore
from ratelab.runs.resuming import check_runs, open_journal, plan_runs
from ratelab.runs.storing import Storing
from ratelab.runtime import devices, handover
from ratelab.runtime.endings import attempt
from ratelab.runtime.signals import held_back, raise_if_told_to_stop
from ratelab.tracking import Tracker, open_tracker
from ratelab.training import ProgramCache, Training, prefetch, with_checkpoints
from ratelab.validation import UserError

EPOCHS_AHEAD = 100  # that recording may lag behind training: memory for a few hundred bytes a step


def run_single(cfg: DictConfig, display: Display | None = None) -> Result:
    """Do one run as Hydra composed it, train and record it in this process, and show its result.

    Args:
        cfg: what Hydra hands to the function under `@hydra.main`. If it is what the hook before the run has
            seen, the run is not planned again.
        display: shows it; None: the terminal.

    Raises:
        UserError: for a mistake in the configuration, and for a run that diverged.
    """
    planned = handover.take()
    if not isinstance(planned, PlannedRun) or not planned.is_of(cfg):
        planned = prepare_run(cfg, HydraConfig.get())
    display = display or Terminal()
    devices.configure(planned.config.device)
    raise_if_told_to_stop()  # imports are where exceptions get lost
    if planned.config.print_schedule:
        from ratelab.report import schedule_lines

        display.say(*schedule_lines(planned.job.rates.table))
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    opened = open_journal(folder, hydra, cfg, "run", planned.labels.sweep_id)
    with contextlib.closing(opened) as journal:
        checkpoints = Checkpoints(folder, journal)
        result, places = _train(planned, journal, _take_up(planned, journal, display), checkpoints, display)
        if not result.lacks_metrics:
            journal.finish()
            checkpoints.clear()
    display.show_places(places)
    if result.status == "diverged":
        raise UserError(
            f"{planned.labels.group}: the loss was not finite at step {result.diverged_step}; "
            "the run is marked FAILED. Lower learning_rate."
        )
    value = f"{result.outcome.metric} {write_value(result.outcome, result.value)}"
    display.show_result(f"{result.judged_on} {value}, {result.seconds:.2f} s")
    return result


def _take_up(planned: PlannedRun, journal: Journal, display: Display) -> RunJournal:
    """Note what is to be trained, or show what the journal has of it; return its part."""
    if not check_runs(journal, [planned]):
        plan_runs(journal, [planned], [[planned.number]])
        return journal.of(planned.number)
    own = journal.of(planned.number)
    display.say(f"{own.steps:,} of {planned.steps:,} steps are kept; the rest goes on.")
    for _, before in own.chunks():
        display.keep_chunk(before)
    return own


def _train(
    planned: PlannedRun, journal: Journal, own: RunJournal, checkpoints: Checkpoints, display: Display
) -> tuple[Result, Places]:
    """Train and record; a run that diverged is a result, any other error passes on.

    Returns:
        The result, and where it can be seen.
    """
    if own.past is not None and own.past.ended is not None:
        with _open_store(planned, journal) as (tracker, feed):
            return _outcome(planned, restore(planned, feed, own), tracker, feed)
    job = planned.job
    try:
        with held_back():  # here and below: C++ of TensorFlow's prints, or loses, what is raised inside of it
            start = checkpoints.load((), len(own.past.places) if own.past else 0)
            training = Training([job], _programs_of_process().get(job), start)
    except Exception as error:  # a run that cannot begin is recorded as FAILED like one that broke
        attempt(error, functools.partial(_record_failure, planned, journal, own, error))
        raise
    with contextlib.ExitStack() as stack:
        # Training begins first: while XLA compiles and the first epochs run, which leaves Python's lock
        # alone, this thread imports MLflow and opens the run.
        every = planned.config.checkpoint.every
        epochs = stack.enter_context(prefetch(with_checkpoints(training, every), EPOCHS_AHEAD))
        tracker, feed = stack.enter_context(_open_store(planned, journal))
        record = stack.enter_context(RunRecord(planned, feed, own))
        feed.await_begin(planned.number)
        progress = stack.enter_context(contextlib.closing(display.begin()))
        left = planned.steps - own.steps
        progress.begin([(planned.pace, left)])
        progress.start(0, planned.name, planned.pace, left)
        stack.enter_context(_save_at_the_end(checkpoints, training, record))
        for (chunk,), checkpoint in epochs:
            assert chunk is not None  # noqa: S101 - the only run of its stack
            if record.is_new(chunk):
                display.keep_chunk(chunk)
                record.add(chunk)
                progress.advance(0, chunk, describe_look(planned, chunk))
            if checkpoint is not None:
                checkpoints.save((), checkpoint)
        with held_back():
            [test] = training.test()
        record.finish(test, training.model if _wants_model(planned) else None)
    return _outcome(planned, record.result, tracker, feed)


@contextlib.contextmanager
def _save_at_the_end(checkpoints: Checkpoints, training: Training, record: RunRecord) -> Iterator[None]:
    """Keep what the run needs to go on if the block is told to stop, or breaks."""
    try:
        yield
    except BaseException:
        last = training.passed
        if last is not None and last.epochs <= record.epochs:  # else training was ahead of the record
            checkpoints.save((), last)
        raise


def _outcome(planned: PlannedRun, result: Result, tracker: Tracker, feed: Feed) -> tuple[Result, Places]:
    """Return the result with what the store has of it, and where it can be seen."""
    feed.drain()
    run_id = feed.id_of(planned.number) or result.run_id
    result = replace(result, run_id=run_id, lacks_metrics=feed.lacks(planned.number))
    sweep_id = planned.labels.sweep_id
    ways = tracker.links([run_id], sweep_id) if run_id else ()  # it has no page where it was not opened
    return result, Places(tracker.uri, sweep_id, ways)


def _record_failure(planned: PlannedRun, journal: Journal, own: RunJournal, error: Exception) -> None:
    with _open_store(planned, journal) as (_, feed), RunRecord(planned, feed, own):
        raise error


@functools.cache
def _programs_of_process() -> ProgramCache:
    """Return the compiled programs that all runs of this process share: Hydra's basic launcher makes many."""
    return ProgramCache()


def forget_programs() -> None:
    """Compile anew: a function of the user's may be another one, under the same name."""
    _programs_of_process.cache_clear()


@contextlib.contextmanager
def _open_store(planned: PlannedRun, journal: Journal) -> Iterator[tuple[Tracker, Feed]]:
    tracking = planned.config.tracking
    with (
        open_tracker(tracking.uri, tracking.experiment, planned.directory) as tracker,
        Feed(Storing(tracker, journal), tracker, journal.path.parent) as feed,
    ):
        yield tracker, feed


def _wants_model(planned: PlannedRun) -> bool:
    """Say whether to log the model: as configured, else for a single run and not in a sweep."""
    wanted = planned.config.tracking.log_model
    return planned.labels.sweep_id is None if wanted is None else wanted
