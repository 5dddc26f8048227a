"""A metric with a direction: the number that judges a run."""

from dataclasses import dataclass

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
