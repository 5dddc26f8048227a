"""Regression: squared error, judged by its root."""

import math
from typing import Any

import numpy as np

from ratelab.tasks.task import Metric, Targets, Task, deviation, mean_of_rest
from ratelab.validation import UserError, checked


@checked
def regression(targets: Targets, classes: int | None = None) -> Task:
    """Learn numbers: loss = mean over the outputs of (output - target)^2, judged by its root (RMSE).

    R2 = 1 - mean squared error / variance of the targets of the split; of several outputs both are means.

    Args:
        targets: of the training split, float32 [n, outputs].
        classes: None; classes are no numbers to be approached.

    Raises:
        UserError: if the targets are classes.

    References:
        scikit-learn: r2_score with multioutput="variance_weighted".

    >>> regression(np.float32([[1.0], [3.0]])).outcome
    Outcome(metric='rmse', higher_is_better=False, worst=1.0)
    """
    if classes is not None:
        kind, other = ("classes", "classification") if targets.ndim == 1 else ("tokens", "next_token")
        raise UserError(
            f"task=regression: the targets of this data are {classes} {kind}; choose task={other}, or give "
            "data with targets in floating point."
        )
    spread = deviation(targets)
    return Task(
        loss=_squared_error,
        metrics={
            "rmse": Metric(_squared_error, False, spread, lambda mean, _: math.sqrt(mean)),
            "r2": Metric(_squared_error, True, 0.0, _ExplainedVariance()),
        },
        judge="rmse",
        output_shape=targets.shape[1:],
        worst_loss=spread**2,
    )


def _squared_error(targets: Any, outputs: Any) -> Any:
    """Return the mean over the outputs of (output - target)^2, float32[batch]."""
    import tensorflow as tf

    return mean_of_rest(tf.math.squared_difference(outputs, targets))


class _ExplainedVariance:
    """Gives R2, 1 - mean squared error / variance; nan of targets that are all the same."""

    def __init__(self) -> None:
        self._targets: Targets | None = None
        self._variance = np.nan

    def __call__(self, mean: float, targets: Targets) -> float:
        # Every epoch asks for the same split, and the variance of a million targets takes 10 ms.
        if targets is not self._targets:
            self._targets, self._variance = targets, deviation(targets) ** 2
        return 1 - mean / self._variance if self._variance else np.nan
