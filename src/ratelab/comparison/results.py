"""How one run ended: all that a comparison asks of it, whether it comes from memory or from the store."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ratelab.comparison.outcomes import Split
from ratelab.comparison.plans import Plan
from ratelab.tasks import ACCURACY, Outcome

Status = Literal["finished", "diverged", "failed", "killed", "running"]

# The square of the largest float32: of what is larger no statistic is a number any more. A store has 1.8e308
# where a run gave an infinity.
_LARGEST = 1e77


class Measured(NamedTuple):
    """A look at the validation split: after which update, the metric; seconds and examples until then."""

    step: int
    value: float
    seconds: float
    examples: int


@dataclass(frozen=True)
class Unreadable:
    """A run in a store of which no result can be made: its name, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Result:
    """How one run ended, or how far it is.

    Attributes:
        seed: of the run.
        choices: the option chosen in each group: {"schedule": "fixed", "model": "softmax", ...}.
        settings: the resolved configuration, flattened, its values as text.
        data_digest: of the original data.
        origin: tags that say what made the run: commit, local changes, command, versions.
        run_id: MLflow's, "" where nothing is tracked.
        status: a diverged run is an outcome of the experiment, a failed one is an error of the program.
        outcome: the metric that judges it.
        split: on which it is judged; a tuning run on the validation split in any case; "imported" of a run
            of another program, whose metric keeps its name.
        test: what was measured on the test split, by the names of the metrics; empty unless it finished, and
            where the split was not looked at. Of another program the metric that it has measured.
        validation: one entry an epoch, of the metric that judges.
        final_rate: the last learning rate applied.
        diverged_step: the update whose loss was not finite.
        lacks_metrics: whether the store lacks some of its metrics; the rest of this is known all the same.
        sweep_id: of the sweep that it belongs to; "" for a run by itself.
        plan: of that sweep, if it adds seeds until all is decided.
    """

    seed: int
    choices: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    data_digest: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    status: Status = "failed"
    outcome: Outcome = ACCURACY
    split: Split = "test"
    test: Mapping[str, float] = field(default_factory=dict)
    validation: tuple[Measured, ...] = ()
    final_rate: float | None = None
    diverged_step: int | None = None
    lacks_metrics: bool = False
    sweep_id: str = ""
    plan: Plan | None = None

    @property
    def seconds(self) -> float:
        """Of training, until the last look at the validation split, without compilation and looks."""
        return self.validation[-1].seconds if self.validation else 0.0

    @property
    def is_tuning(self) -> bool:
        """Whether the run was made to choose something, and never saw the test split."""
        # settings are text, because MLflow keeps parameters so: of `test: false` the text is that of False
        return self.settings.get("test") == str(False)

    @property
    def is_outcome(self) -> bool:
        """Whether it counts: it finished or it diverged."""
        return self.status in {"finished", "diverged"}

    @property
    def judged_on(self) -> Split:
        """The split that its value comes from."""
        return "validation" if self.is_tuning else self.split

    @property
    def value(self) -> float | None:
        """The metric that judges it; None if it did not finish, or gave what is no number."""
        if self.status != "finished":
            return None
        in_validation = self.judged_on == "validation"
        found = self.validation[-1].value if in_validation else self.test[self.outcome.metric]
        return found if is_number(found) else None

    def counts_as(self, worst: float) -> float:
        """Return its value; where there is none, `worst`, which `find_worst` gives."""
        return worst if self.value is None else self.value

    def __float__(self) -> float:
        """Return what a sweeper that searches, as Optuna's, is to make as good as it can.

        It is the metric in validation, never that on the test split, with which nothing may be chosen. A run
        that diverged is worse than all others: its accuracy is 0, another metric an infinity.
        """
        if self.status != "diverged" and is_number(self.validation[-1].value):
            return self.validation[-1].value
        if self.outcome == ACCURACY:
            return 0.0
        return -math.inf if self.outcome.higher_is_better else math.inf

    @property
    def description(self) -> dict[str, str]:
        """Everything in which runs can differ: choices, settings, data."""
        return {**self.choices, **self.settings, "data digest": self.data_digest}

    def first_look_at(self, target: float) -> Measured | None:
        """Return the first look at the validation split that showed `target` or better."""
        for look in self.validation:
            if look.value == target or self.outcome.is_better(look.value, target):
                return look
        return None


def is_number(value: float) -> bool:
    """Say whether one can calculate with a value.

    >>> is_number(-1e30), is_number(math.nan), is_number(math.inf)
    (True, False, False)
    """
    return abs(value) < _LARGEST


def find_worst(results: Sequence[Result]) -> float | None:
    """Return what a run without a value counts as: the worst that the metric may be, or that any of them is.

    A run that diverged stays in its group: to leave it out would reward schedules for rates that are too
    large. No run that finished is worse than it.

    Args:
        results: the runs that it is compared with, itself among them, all judged by one metric.

    Returns:
        None where no run has a value, and what the metric is at worst is not known.

    >>> rmse = Outcome("rmse", higher_is_better=False, worst=1.0)
    >>> find_worst([Result(0, {}, status="finished", outcome=rmse, test={"rmse": 2.5})])
    2.5
    """
    found = [worst for run in results for worst in (run.value, run.outcome.worst) if worst is not None]
    known = [worst for worst in found if is_number(worst)]
    if not known:
        return None
    return min(known) if results[0].outcome.higher_is_better else max(known)
