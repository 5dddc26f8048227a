"""What is learned and how it is judged: the loss, the metrics, and which of them decides."""

from ratelab.tasks.outcome import ACCURACY, Outcome

__all__ = ["ACCURACY", "Outcome"]
