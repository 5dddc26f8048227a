"""The next token of a text: cross entropy of each token, judged by the bits that a token costs."""

import math
from typing import Any

from ratelab.tasks.classification import cross_entropy
from ratelab.tasks.task import Metric, Targets, Task, mean_of_rest
from ratelab.validation import UserError, checked


@checked
def next_token(targets: Targets, classes: int | None) -> Task:
    """Learn which token follows each: loss = mean over the tokens of -log softmax(outputs)[next].

    Judged by bits per character, loss / log 2, where a token is a character.

    Args:
        targets: of the training split, int32 [n, context].
        classes: the size of the vocabulary.

    Raises:
        UserError: if the targets are no rows of tokens.

    >>> import numpy as np
    >>> next_token(np.int32([[0, 1], [1, 0]]), 2).outcome
    Outcome(metric='bits_per_character', higher_is_better=False, worst=1.0)
    """
    if classes is None or targets.ndim != 2:
        other = "regression" if classes is None else "classification"
        raise UserError(
            "task=next_token: needs rows of tokens as targets, int32 [n, context], as data=text has them, "
            f"got {targets.dtype} {list(targets.shape)}; choose task={other}."
        )
    bits = Metric(_cross_entropy_of_rows, False, math.log2(classes), lambda mean, _: mean / math.log(2))
    return Task(
        loss=_cross_entropy_of_rows,
        metrics={"bits_per_character": bits},
        judge="bits_per_character",
        output_shape=(targets.shape[1], classes),
        worst_loss=math.log(classes),
        logits=True,
    )


def _cross_entropy_of_rows(targets: Any, logits: Any) -> Any:
    return mean_of_rest(cross_entropy(targets, logits))
