"""From overrides to suggested base rates, with a figure and a run in the store."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from ratelab.commands.lr_find.range_test import RangeTest, range_test, rising_rates
from ratelab.commands.lr_find.suggestions import LossCurve, Suggestion, loss_curve, suggestions
from ratelab.config import Config
from ratelab.config.overrides import OverriddenJob, jobs_of, override_key
from ratelab.report.figures.figure import csv_text
from ratelab.runs import description
from ratelab.runs.job_of import batches_of, plan
from ratelab.runs.planned import Assignment, assign
from ratelab.runs.session import print_links
from ratelab.runtime import devices, provenance
from ratelab.runtime.progress import for_terminal
from ratelab.runtime.quick_imports import quick_imports
from ratelab.tracking import Run, now_ms, open_tracker
from ratelab.validation import UserError

SEEDS = "seed=0,1,2,3,4"
NOT_USED = {"schedule", "warmup", "learning_rate", "epochs", "batch", "test", "print_schedule"}


@dataclass(frozen=True)
class Question:
    """What is to be found.

    Attributes:
        overrides: as for training, but for the schedule; several values for the seed only.
        lowest: rate of the first step; > 0.
        highest: rate of the last one; > lowest.
        steps: of each run.
    """

    overrides: tuple[str, ...]
    lowest: float
    highest: float
    steps: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found.

    Attributes:
        assignment: what was trained, with the first seed.
        test: the rates and losses.
        curve: the smoothed loss.
        suggested: base rates, one a rule.
    """

    assignment: Assignment
    test: RangeTest
    curve: LossCurve
    suggested: list[Suggestion]

    @property
    def title(self) -> str:
        """What was trained, in a line."""
        choices, size = self.assignment.labels.choices, self.assignment.config.batch_size
        return f"{choices['model']}, {choices['optimizer']}, {choices['data']}, batches of {size}"


def find(question: Question, console: Console) -> Answer:
    """Make the range test, with its progress on the console, and apply the rules.

    Raises:
        UserError: for a mistake in the overrides, before anything is trained; if the loss never falls.
    """
    assignment, configs = _asked(question)
    jobs = [plan(one) for one in configs]
    batches = batches_of(assignment.config, len(jobs[0].data.train.labels), question.steps)
    devices.configure(assignment.config.device)
    progress = for_terminal(console)
    try:
        progress.begin(1, len(jobs) * question.steps)
        progress.start(0, f"range test, {len(jobs)} seed{'s' * (len(jobs) > 1)}", len(jobs) * question.steps)
        rates = rising_rates(question.lowest, question.highest, question.steps)
        test = range_test(jobs, batches, rates, lambda steps: progress.advance(0, steps))
    finally:
        progress.close()
    return Answer(assignment, test, loss_curve(test.rates, test.losses), suggestions(test))


def record(answer: Answer, question: Question, figure: Path, console: Console) -> None:
    """Log rates, losses, suggestions and the figure as one run, which no comparison takes for a training."""
    assignment, test = answer.assignment, answer.test
    config = assignment.config
    ranges = {"lowest": question.lowest, "highest": question.highest, "steps": question.steps}
    own = {f"lr_find.{key}": value for key, value in ranges.items()}
    params = {**description.params(config), **own, "seed": ",".join(map(str, test.seeds))}
    choices = {group: name for group, name in assignment.labels.choices.items() if group not in NOT_USED}
    tags = {**choices, "kind": "lr_find", "data_digest": assignment.data_digest, **provenance.collect().tags}
    with quick_imports():
        tracker = open_tracker(config.tracking.uri, config.tracking.experiment, Path.cwd())
    with tracker:
        with tracker.run("lr-find", params=params, tags=tags) as run:
            description.log_files(run, assignment)
            _log_metrics(run, answer)
            run.artifact_text(_as_csv(test), "lr_find.csv")
            run.artifact(figure)
        print_links(console, tracker.links([run.id], None))


def _asked(question: Question) -> tuple[Assignment, list[Config]]:
    """Return what is trained, and the configuration of each seed."""
    if unused := [word for word in question.overrides if override_key(word).partition(".")[0] in NOT_USED]:
        raise UserError(
            f"lr-find lets the rate rise in a way of its own and takes no {unused[0]}; "
            "see ratelab lr-find --help."
        )
    seeded = any(override_key(word) == "seed" for word in question.overrides)
    jobs = jobs_of(question.overrides if seeded else (*question.overrides, SEEDS))
    if len({_without_seed(job) for job in jobs}) > 1:
        raise UserError(
            "lr-find takes several values for the seed only; call it once for each of the others."
        )
    first = assign(jobs[0].config, jobs[0].config.hydra, frozenset(), open_store=True)
    assignment = replace(first, labels=replace(first.labels, sweep_id=None))
    configs = [first.config.model_copy(update={"seed": int(job.config.seed)}) for job in jobs]
    return assignment, configs


def _without_seed(job: OverriddenJob) -> tuple[str, ...]:
    return tuple(word for word in job.words if override_key(word) != "seed")


def _log_metrics(run: Run, answer: Answer) -> None:
    test = answer.test
    columns = {"learning_rate": test.rates.astype(np.float64), "smoothed_loss": answer.curve.losses}
    columns |= {f"train_loss_seed_{seed}": own for seed, own in zip(test.seeds, test.losses, strict=True)}
    for key, values in columns.items():
        (steps,) = np.nonzero(np.isfinite(values))
        run.metrics(key, steps, values[steps], np.full(len(steps), now_ms()))
    for one in answer.suggested:
        run.metrics(f"suggested_{one.name}", np.array([0]), np.array([one.rate]), np.array([now_ms()]))


def _as_csv(test: RangeTest) -> str:
    """Return a row a step: its rate and the loss of each seed, empty where it was not finite."""
    columns = zip(test.rates.tolist(), test.losses.T.tolist(), strict=True)
    rows = [
        [step, rate, *(None if np.isnan(loss) else loss for loss in losses)]
        for step, (rate, losses) in enumerate(columns)
    ]
    return csv_text(["step", "learning_rate", *(f"loss_seed_{seed}" for seed in test.seeds)], rows)
