"""What runs are judged by: a metric with its direction; the text in which a run records it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ratelab.tasks import ACCURACY, LOSS, Outcome
from ratelab.validation import UserError, unknown_key

Split = Literal["test", "validation", "imported"]  # the last: a metric that another program has measured
TimeName = Literal["steps_to_target", "examples_to_target", "seconds_to_target"]
TIMES: tuple[TimeName, ...] = ("steps_to_target", "examples_to_target", "seconds_to_target")
COUNTS = TIMES[:2]  # whole numbers of each run
PREFIXES: dict[Split, str] = {
    "test": "test",
    "validation": "val",
}  # of the metrics in a store, of our own runs
# Which task `auto` was: a run says it by what judged.
CHOSEN = {"accuracy": "classification", "bits_per_character": "next_token", "rmse": "regression"}


class _Direction(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    higher_is_better: bool
    worst: float | None


class _Text(BaseModel):
    # what a later version adds is no reason not to read the run
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    judge: str
    metrics: dict[str, _Direction]


@dataclass(frozen=True)
class Outcomes:
    """All that is measured of a run, and which of it judges.

    Attributes:
        judge: the name of the metric that judges, one of `by_name`.
        by_name: every metric.
    """

    judge: str
    by_name: Mapping[str, Outcome]

    @property
    def judging(self) -> Outcome:
        """The metric that judges."""
        return self.by_name[self.judge]

    def write(self) -> str:
        """Return them as the text of a tag.

        >>> Outcomes("accuracy", {"accuracy": ACCURACY}).write()
        '{"judge":"accuracy","metrics":{"accuracy":{"higher_is_better":true,"worst":0.0}}}'
        """
        metrics = {
            name: _Direction(higher_is_better=one.higher_is_better, worst=one.worst)
            for name, one in self.by_name.items()
        }
        return _Text(judge=self.judge, metrics=metrics).model_dump_json()

    @classmethod
    def read(cls, text: str | None) -> "Outcomes":
        """Return what `write` has written; without a text those of runs from before there were tasks.

        Raises:
            ValueError: it is no such text.

        >>> Outcomes.read(None).judging
        Outcome(metric='accuracy', higher_is_better=True, worst=0.0)
        """
        if text is None:
            return cls(ACCURACY.metric, {ACCURACY.metric: ACCURACY, LOSS: Outcome(LOSS, False)})
        try:
            found = _Text.model_validate_json(text)
        except ValidationError:
            raise ValueError("its tag 'outcomes' is none that ratelab has written") from None
        if found.judge not in found.metrics:
            raise ValueError(f"its tag 'outcomes' names {found.judge!r}, which is not among its metrics")
        return cls(
            found.judge,
            {name: Outcome(name, one.higher_is_better, one.worst) for name, one in found.metrics.items()},
        )


def resolve_task(choices: Mapping[str, str], judge: str) -> dict[str, str]:
    """Return the choices of a run with the task that was learned, where `auto` chose it.

    Args:
        choices: as in `Result`.
        judge: the metric that judges, by the task.

    >>> resolve_task({"task": "auto"}, "rmse"), resolve_task({"task": "mine"}, "rmse")
    ({'task': 'regression'}, {'task': 'mine'})
    """
    resolved = dict(choices)
    if choices.get("task") == "auto":
        resolved["task"] = CHOSEN.get(judge, "auto")
    return resolved


def choose_metric(
    known: Sequence[Outcomes], metric: str | None, key: str = "--metric", also: Sequence[str] = ()
) -> tuple[str, Split]:
    """Return by which metric runs are judged, and on which split.

    Args:
        known: what is measured of each run, at least one.
        metric: as it is recorded, test_<name> or val_<name>; None: the one that judges each of the runs.
        key: where the user has given it.
        also: what else could be given there.

    Raises:
        UserError: if the runs are judged by different ones, or none has such a metric.

    >>> choose_metric([Outcomes.read(None)], "val_loss")
    ('loss', 'validation')
    """
    if metric is None:
        return find_shared(one.judging for one in known).metric, "test"
    names = dict.fromkeys(name for one in known for name in one.by_name)
    found = {f"{prefix}_{name}": (name, split) for split, prefix in PREFIXES.items() for name in names}
    if metric not in found:
        raise unknown_key(key, metric, [*found, *also])
    return found[metric]


def find_shared(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the metric by which all runs are judged, with the worst value that the first has for it.

    Raises:
        UserError: if they are judged by different ones.
    """
    # the worst value comes from the data, and may be another for each
    found = {(one.metric, one.higher_is_better): one for one in reversed([*outcomes])}
    if len(found) > 1:
        words = " and ".join(
            f"{metric} ({'higher' if higher else 'lower'} is better)" for metric, higher in sorted(found)
        )
        raise UserError(
            f"the runs are judged by different metrics, {words}, and are not compared; give --metric with "
            "one that all have, such as --metric test_loss, or compare fewer runs."
        )
    [shared] = found.values()
    return shared


def sign_of(outcome: Outcome) -> int:
    """Return what turns a difference of values into a gain: 1 where more is better, else -1."""
    return 1 if outcome.higher_is_better else -1
