"""A task: what is learned, and how it is judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.validation import UserError, unknown_key

Targets = npt.NDArray[Any]
ByExample = Callable[[Any, Any], Any]
LOSS = "loss"


@dataclass(frozen=True)
class Outcome:
    """A metric by which runs are judged.

    Attributes:
        metric: its name; recorded as val_<metric> after every epoch and test_<metric> at the end.
        higher_is_better: whether more of it is better.
        worst: what a model that has learned nothing gives; None: not known. A run that diverged counts as
            this, or as the worst of the runs that it is compared with, if that is worse still.
    """

    metric: str
    higher_is_better: bool
    worst: float | None = None

    def is_better(self, one: float, other: float) -> bool:
        """Say whether one value is better than another.

        >>> Outcome("rmse", higher_is_better=False).is_better(0.25, 0.5)
        True
        """
        return one > other if self.higher_is_better else one < other


# Nothing learned would be a tenth for ten classes; 0 is what diverged runs have counted as from the start.
ACCURACY = Outcome("accuracy", higher_is_better=True, worst=0.0)


def _keep(mean: float, _targets: Targets) -> float:
    return mean


@dataclass(frozen=True)
class Metric:
    """A number by which a model is judged on a split: made of the mean of a number of each example.

    Attributes:
        by_example: from targets [batch, ...] and outputs float32[batch, ...], tensors of TensorFlow's, to
            float32[batch].
        higher_is_better: whether more of it is better.
        worst: as in `Outcome`.
        finish: from the mean over the examples of a split, and the targets of all of them, to the metric.
    """

    by_example: ByExample
    higher_is_better: bool
    worst: float | None = None
    finish: Callable[[float, Targets], float] = _keep


@dataclass(frozen=True)
class Task:
    """What is learned, and how it is judged.

    Attributes:
        loss: as `Metric.by_example`; training lowers its mean over a batch.
        metrics: by name; they are measured after every epoch on the validation split, and once on the test
            split. The loss is measured as well.
        judge: the metric that decides, or "loss".
        output_shape: what the model gives for one example; None: whatever the loss takes.
        worst_loss: as in `Outcome`.
        logits: whether the outputs are logits, so that a model that gives probabilities is refused.
        loss_in_xla: the same as `loss` in a form that is faster where the loop is compiled with XLA.
        weight: from targets to a factor of each example's loss in training, float32[batch]; None: all 1.

    Raises:
        UserError: if `judge` is not among the metrics, or one has the name of the loss.
    """

    loss: ByExample
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    judge: str = LOSS
    output_shape: tuple[int, ...] | None = None
    worst_loss: float | None = None
    logits: bool = False
    loss_in_xla: ByExample | None = None
    weight: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if LOSS in self.metrics:
            raise UserError("task: a metric may not be called 'loss', which is that of the task; rename it.")
        if self.judge not in (names := [LOSS, *self.metrics]):
            raise unknown_key("task: judge", self.judge, names)

    @property
    def by_example(self) -> dict[str, ByExample]:
        """What is summed up over the examples of a split: the loss, and what the metrics are made of."""
        return {LOSS: self.loss, **{name: metric.by_example for name, metric in self.metrics.items()}}

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Whatever is measured, with its direction."""
        loss = Outcome(LOSS, higher_is_better=False, worst=self.worst_loss)
        others = {
            name: Outcome(name, metric.higher_is_better, metric.worst)
            for name, metric in self.metrics.items()
        }
        return {**others, LOSS: loss}

    @property
    def outcome(self) -> Outcome:
        """The one that judges."""
        return self.outcomes[self.judge]

    def finish(self, sums: Mapping[str, float], targets: Targets) -> dict[str, float]:
        """Return the loss and the metrics of a split.

        Args:
            sums: over its examples, by name.
            targets: of all of them.
        """
        # Divided in float64, by the number of examples without padding.
        means = {name: total / len(targets) for name, total in sums.items()}
        finished = {name: float(one.finish(means[name], targets)) for name, one in self.metrics.items()}
        return {LOSS: means[LOSS], **finished}


def mean_of_rest(values: Any) -> Any:
    """Return the mean of each example, float32[batch], of values [batch, ...]."""
    import tensorflow as tf

    return tf.reduce_mean(values, axis=list(range(1, len(values.shape)))) if len(values.shape) > 1 else values


def deviation(targets: Targets) -> float:
    """Return the standard deviation of numbers [n, outputs] around the mean of each output.

    >>> deviation(np.float32([[1.0], [3.0]]))
    1.0
    """
    return float(np.sqrt(np.mean(np.var(targets.astype(np.float64), axis=0))))
