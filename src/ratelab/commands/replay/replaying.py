"""A recorded run trained again, with the others of its stack, and compared epoch by epoch."""

import contextlib
from collections.abc import Sequence

from ratelab.commands.replay.comparing import Comparison, Difference
from ratelab.commands.replay.reading import Recording
from ratelab.runs.display import Terminal
from ratelab.runs.planned import PlannedRun
from ratelab.runs.record import describe_look
from ratelab.runtime import devices
from ratelab.runtime.progress import Reporter
from ratelab.runtime.signals import held_back, raise_if_told_to_stop
from ratelab.training import Chunk, ProgramCache, Training, prefetch
from ratelab.validation import UserError

_EPOCHS_AHEAD = 100  # as a run that is recorded; a comparison is not slower than that


def check_plans(recording: Recording, planned: Sequence[PlannedRun]) -> None:
    """Make the jobs, and see whether they are those of the runs.

    Raises:
        UserError: the data are others than then, or the runs cannot be one stack.
    """
    for run, plan in zip(recording.members, planned, strict=True):
        if (digest := plan.job.data.digest) != run.tags.get("data_digest"):
            raise UserError(
                f"the data of run {run.run_id} are not those that it was trained on: its tag data_digest is "
                f"{run.tags.get('data_digest')}, and {plan.config.data.target} gives {digest} now. To replay "
                "it, get those data back."
            )
    if len({(plan.kind, plan.config.seed, plan.config.device) for plan in planned}) > 1:
        raise UserError(
            f"{recording.run.run_id}: the runs that its tag stack names differ in more than what runs of one "
            "stack may; the tag, or one of them, was changed."
        )


def replay_run(
    recording: Recording, planned: Sequence[PlannedRun], comparison: Comparison
) -> Difference | None:
    """Train the runs as one program and compare the one that is asked for, until something differs.

    Args:
        recording: of that run.
        planned: it and the others, in the order of the stack.
        comparison: takes its epochs.

    Raises:
        UserError: they cannot be trained here.
    """
    devices.configure(planned[0].config.device)
    raise_if_told_to_stop()  # imports are where exceptions get lost
    jobs = [plan.job for plan in planned]
    with held_back():  # C++ of TensorFlow's prints, or loses, what is raised inside of it
        training = Training(jobs, ProgramCache().get(jobs[0], len(jobs)))
    place, last_step = recording.place, -1
    # A run that was stopped is not trained beyond that; runs of one stack have equally many steps.
    steps = planned[0].steps if recording.kept.is_finished else recording.kept.steps
    with contextlib.ExitStack() as stack:
        epochs = stack.enter_context(prefetch(training, _EPOCHS_AHEAD))
        progress = stack.enter_context(contextlib.closing(Terminal().begin()))
        progress.begin([(plan.pace, steps) for plan in planned])
        progress.start(0, recording.run.name, planned[0].pace, steps * len(planned))
        for chunks in epochs:
            _advance(progress, planned, chunks, steps)
            chunk = chunks[place]
            if chunk is None:  # it has diverged, and others of its stack go on
                break
            last_step = int(chunk.steps[-1])
            if (found := comparison.add(chunk)) is not None:
                return found
            if comparison.is_through:
                return None
        with held_back():
            tests = training.test() if recording.kept.is_finished else None
    return comparison.finish(None if tests is None else tests[place], last_step)


def _advance(
    progress: Reporter, planned: Sequence[PlannedRun], chunks: Sequence[Chunk | None], steps: int
) -> None:
    """Tell how far each run is, and which have ended, of so many steps each."""
    for plan, chunk in zip(planned, chunks, strict=True):
        if chunk is not None:
            progress.advance(0, chunk, describe_look(plan, chunk))
            left = max(0, steps - int(chunk.steps[-1]) - 1)
            if chunk.diverged_step is not None or not left:
                progress.end(0, left)
