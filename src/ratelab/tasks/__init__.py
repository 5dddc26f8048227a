"""What is learned and how it is judged: the loss, the metrics, and which of them decides."""

from ratelab.tasks.auto import auto
from ratelab.tasks.classification import classification
from ratelab.tasks.next_token import next_token
from ratelab.tasks.regression import regression
from ratelab.tasks.task import ACCURACY, LOSS, Metric, Outcome, Task

__all__ = [
    "ACCURACY",
    "LOSS",
    "Metric",
    "Outcome",
    "Task",
    "auto",
    "classification",
    "next_token",
    "regression",
]
