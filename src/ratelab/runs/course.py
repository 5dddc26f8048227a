"""The course of a run: what its epochs say together, and how it ended; no store in it."""

from collections.abc import Mapping
from dataclasses import replace

from ratelab.comparison import Measured, Result
from ratelab.comparison.outcomes import COUNTS, choose_metric, resolve_task
from ratelab.comparison.targets import read_target
from ratelab.runs import description
from ratelab.runs.planned import PlannedRun
from ratelab.runtime import provenance
from ratelab.tracking.names import safe_params
from ratelab.training import Chunk


class Course:
    """Takes the epochs of a run as they come, then how it ended.

    Args:
        planned: the run.

    Attributes:
        epochs: how many it took.
        steps: how many updates these had.
        seconds: of training.
        last: the last epoch; None before the first.
    """

    def __init__(self, planned: PlannedRun) -> None:
        self.epochs = self.steps = 0
        self.seconds = 0.0
        self.last: Chunk | None = None
        self._examples = 0
        self._looks = list[Measured]()
        self._ended = begun_result(planned)

    @property
    def result(self) -> Result:
        """How the run ended; "failed" until it is known better. The store's id is not in it."""
        return replace(self._ended, validation=tuple(self._looks))

    def add(self, chunk: Chunk) -> None:
        """Take an epoch; the last one of a run that diverged ends it."""
        self.epochs += 1
        self.last, self.steps = chunk, self.steps + len(chunk.train_loss)
        self.seconds += chunk.seconds
        if chunk.diverged_step is not None:
            self._ended = replace(self._ended, status="diverged", diverged_step=chunk.diverged_step)
            return
        self._examples += int(chunk.batch_size.sum())
        value = chunk.validation[self._ended.outcome.metric]
        self._looks.append(Measured(int(chunk.steps[-1]), value, self.seconds, self._examples))

    def finish(self, test: Mapping[str, float] | None) -> None:
        """Take what the test split gave, if that was looked at: all epochs are done."""
        assert self.last is not None  # noqa: S101 - a run has at least one epoch
        rate = float(self.last.learning_rate[-1])
        self._ended = replace(self._ended, status="finished", test=dict(test or {}), final_rate=rate)


def begun_result(planned: PlannedRun) -> Result:
    """Return the result of a run that has just begun: "failed" until it is known better."""
    outcomes, plan = description.outcomes_of(planned), description.plan_of(planned)
    metric = plan.metric if plan and plan.time is None else None
    name, split = choose_metric([outcomes], metric, "decide.metric", also=COUNTS)
    judging = outcomes.by_name[name]
    if plan and plan.target is not None:
        read_target(plan.target, judging, "decide.target")
    return Result(
        seed=planned.config.seed,
        choices=resolve_task(planned.labels.choices, outcomes.judge),
        settings=safe_params(description.params(planned))[0],  # as the store has them
        data_digest=planned.job.data.digest,
        origin=provenance.collect().tags,
        outcome=judging,
        split=split,
        sweep_id=planned.labels.sweep_id or "",
        plan=plan,
    )
