"""From overrides to suggested base rates, with a figure and a run in the store."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from ratelab.commands.lr_find.range_test import RangeTest, range_test, rising_rates
from ratelab.commands.lr_find.suggestions import LossCurve, Suggestion, loss_curve, suggestions
from ratelab.config.composing import compose_jobs, overrides_of
from ratelab.config.sweeping import override_key
from ratelab.report.figures import csv_text
from ratelab.runs import description
from ratelab.runs.job_of import batches_of
from ratelab.runs.planned import PlannedRun, plan_run, prepare_store_of
from ratelab.runs.record import describe_look
from ratelab.runtime import devices, provenance
from ratelab.runtime.progress import for_terminal
from ratelab.tracking import Run, now_ms, open_tracker
from ratelab.training import Chunk
from ratelab.validation import UserError

SEEDS = "seed=0,1,2,3,4"
NOT_USED = {"schedule", "warmup", "learning_rate", "epochs", "batch", "test", "print_schedule", "resume"}


@dataclass(frozen=True)
class Question:
    """What is to be found.

    Attributes:
        overrides: as for training, but for the schedule; several values for the seed only.
        lowest: rate of the first step; > 0.
        highest: rate of the last one; > lowest.
        steps: of each run.
        config_dir: as in `compose_jobs`.
        config_name: as in `compose_jobs`.
    """

    overrides: tuple[str, ...]
    lowest: float
    highest: float
    steps: int
    config_dir: str | None = None
    config_name: str = "config"


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found.

    Attributes:
        planned: what was trained, with the first seed.
        test: the rates and losses.
        curve: the smoothed loss.
        suggested: base rates, one a rule.
    """

    planned: PlannedRun
    test: RangeTest
    curve: LossCurve
    suggested: list[Suggestion]

    @property
    def title(self) -> str:
        """What was trained, in a line."""
        choices, size = self.planned.labels.choices, self.planned.config.batch_size
        return f"{choices['model']}, {choices['optimizer']}, {choices['data']}, batches of {size}"


def find(question: Question, console: Console) -> Answer:
    """Make the range test, with its progress on the console, and apply the rules.

    Raises:
        UserError: for a mistake in the overrides, before anything is trained; if the loss never falls.
    """
    runs = _plan_runs(question)
    first, jobs = runs[0], [run.job for run in runs]
    batches = batches_of(first.config, len(first.job.data.train), question.steps)
    devices.configure(first.config.device)
    progress = for_terminal(console)

    def tell(chunk: Chunk) -> None:
        progress.advance(0, chunk, describe_look(first, chunk))

    try:
        steps, seeds = len(jobs) * question.steps, f"{len(jobs)} seed{'s' if len(jobs) > 1 else ''}"
        progress.begin([(first.pace, steps)])
        progress.start(0, f"range test, {seeds} of --steps={question.steps}", first.pace, steps)
        rates = rising_rates(question.lowest, question.highest, question.steps)
        test = range_test(jobs, batches, rates, tell)
    finally:
        progress.close()
    return Answer(first, test, loss_curve(test.rates, test.losses), suggestions(test))


def record(answer: Answer, question: Question, figure: Path, console: Console) -> None:
    """Log rates, losses, suggestions and the figure as one run, which no comparison takes for a training."""
    planned, test = answer.planned, answer.test
    tracking = planned.config.tracking
    ranges = {"lowest": question.lowest, "highest": question.highest, "steps": question.steps}
    own = {f"lr_find.{key}": value for key, value in ranges.items()}
    params = {**description.params(planned), **own, "seed": ",".join(map(str, test.seeds))}
    choices = {group: name for group, name in planned.labels.choices.items() if group not in NOT_USED}
    digest = planned.job.data.digest
    tags = {**choices, "kind": "lr_find", "data_digest": digest, **provenance.collect().tags}
    with open_tracker(tracking.uri, tracking.experiment, planned.directory) as tracker:
        with tracker.run("lr-find", params=params, tags=tags) as run:
            description.log_files(run, description.files(planned))
            _log_metrics(run, answer)
            run.artifact_text(_write_csv(test), "lr_find.csv")
            run.artifact(figure)
        for line in tracker.links([run.id], None):
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def _plan_runs(question: Question) -> list[PlannedRun]:
    """Plan the run of each seed, then make sure that the store works."""
    if unused := [word for word in question.overrides if override_key(word).partition(".")[0] in NOT_USED]:
        raise UserError(
            f"lr-find lets the rate rise in a way of its own and takes no {unused[0]}; "
            "see ratelab lr-find --help."
        )
    seeded = any(override_key(word) == "seed" for word in question.overrides)
    words = question.overrides if seeded else (*question.overrides, SEEDS)
    jobs = compose_jobs(words, question.config_dir, question.config_name)
    if len({_without_seed(job) for job in jobs}) > 1:
        raise UserError(
            "lr-find takes several values for the seed only; call it once for each of the others."
        )
    runs = [plan_run(job, job.hydra) for job in jobs]
    prepare_store_of(runs[0])
    return runs


def _without_seed(job: DictConfig) -> tuple[str, ...]:
    return tuple(word for word in overrides_of(job.hydra) if override_key(word) != "seed")


def _log_metrics(run: Run, answer: Answer) -> None:
    test = answer.test
    columns = {"learning_rate": test.rates.astype(np.float64), "smoothed_loss": answer.curve.losses}
    columns |= {f"train_loss_seed_{seed}": own for seed, own in zip(test.seeds, test.losses, strict=True)}
    for key, values in columns.items():
        (steps,) = np.nonzero(np.isfinite(values))
        run.metrics(key, steps, values[steps], np.full(len(steps), now_ms()))
    for one in answer.suggested:
        run.metrics(f"suggested_{one.name}", np.array([0]), np.array([one.rate]), np.array([now_ms()]))


def _write_csv(test: RangeTest) -> str:
    """Return a row a step: its rate and the loss of each seed, empty where it was not finite."""
    columns = zip(test.rates.tolist(), test.losses.T.tolist(), strict=True)
    rows = [
        [step, rate, *(None if np.isnan(loss) else loss for loss in losses)]
        for step, (rate, losses) in enumerate(columns)
    ]
    return csv_text(["step", "learning_rate", *(f"loss_seed_{seed}" for seed in test.seeds)], rows)
