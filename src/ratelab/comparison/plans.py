"""The plan of a sweep whose seeds are added until all is decided: the text in which a run records it."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratelab.comparison.outcomes import TIMES, TimeName
from ratelab.comparison.sequential import list_looks

Question = Literal["all", "best"]


class Plan(BaseModel):
    """When one looks, and what ends it; see conf/experiment/decide.yaml.

    Attributes:
        planned: seeds of each group that there were to be at most, before the first look.
        most: those that there are to be at most now.
        matters: the smallest difference that matters; None: whatever differs matters.
        question: "all": every pair is to be decided; "best": which group is the best.
        metric: that decides, as it is recorded, or one of `TIMES`; None: that of the task.
        target: the value in validation to reach, if the time to it decides.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    planned: int = Field(ge=1, lt=2**32)
    most: int = Field(ge=1, lt=2**32)
    matters: float | None = Field(gt=0, allow_inf_nan=False)
    question: Question
    metric: str | None = None
    target: float | None = Field(default=None, allow_inf_nan=False)

    @property
    def time(self) -> TimeName | None:
        """What decides, if it is a time to a target."""
        return next((name for name in TIMES if name == self.metric), None)

    @property
    def looks(self) -> list[int]:
        """After how many seeds of each group one looks."""
        return list_looks(self.planned, max(self.planned, self.most))

    def judged_by(self, metric: str | None) -> Self:
        """Return the plan of who judges by another metric: what matters of one says nothing of another.

        Args:
            metric: as in the plan; None: that of the plan.
        """
        if metric in {None, self.metric}:
            return self
        return self.model_copy(update={"metric": metric, "target": None, "matters": None})

    def write(self) -> str:
        """Return it as the text of a tag.

        >>> Plan(planned=60, most=60, matters=0.002, question="all").write()
        '{"planned":60,"most":60,"matters":0.002,"question":"all","metric":null,"target":null}'
        """
        return self.model_dump_json()

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """Return the plan that a tag holds; None where there is none.

        Raises:
            ValueError: the text holds none.
        """
        if text is None:
            return None
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            raise ValueError(f"its tag decide is {text!r}, no plan") from None


def newest(plans: Sequence[Plan | None]) -> Plan | None:
    """Return the plan that runs have in common but for `most`, as it was last; None where they have none."""
    known = [plan for plan in plans if plan is not None]
    if not known or len(known) < len(plans):
        return None
    last = max(known, key=lambda plan: plan.most)
    alike = {plan.model_copy(update={"most": last.most}) for plan in known}
    return last if alike == {last} else None
