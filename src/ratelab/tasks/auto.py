"""The task that fits the targets."""

from ratelab.tasks.classification import classification
from ratelab.tasks.next_token import next_token
from ratelab.tasks.regression import regression
from ratelab.tasks.task import Targets, Task
from ratelab.validation import checked


@checked
def auto(targets: Targets, classes: int | None) -> Task:
    """Choose by the targets: one class an example, rows of tokens, or numbers.

    Args:
        targets: of the training split.
        classes: how many classes there are, tokens among them; None: the targets are numbers.

    >>> import numpy as np
    >>> auto(np.int32([0, 1]), 2).judge, auto(np.float32([[0.5], [1.5]]), None).judge
    ('accuracy', 'rmse')
    """
    if classes is None:
        return regression(targets)
    return classification(targets, classes) if targets.ndim == 1 else next_token(targets, classes)
