"""How one run ended: all that a comparison asks of it, whether it comes from memory or from the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Status = Literal["finished", "diverged", "failed", "killed", "running"]

# A run that diverged stays in its group: to leave it out would reward schedules for rates that are too large.
DIVERGED_ACCURACY = 0.0


class Measured(NamedTuple):
    """A look at the validation split: after which update, its accuracy; seconds and examples until then."""

    step: int
    accuracy: float
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
        test_accuracy: None unless it finished, and where the test split was not looked at.
        validation: one entry an epoch.
        final_rate: the last learning rate applied.
        diverged_step: the update whose loss was not finite.
    """

    seed: int
    choices: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    data_digest: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    status: Status = "failed"
    test_accuracy: float | None = None
    validation: tuple[Measured, ...] = ()
    final_rate: float | None = None
    diverged_step: int | None = None

    @property
    def seconds(self) -> float:
        """Of training, until the last look at the validation split; the compilation included."""
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
    def accuracy(self) -> float:
        """What it counts as: on the test split, of a tuning run on the validation split; diverged, 0."""
        if self.status == "diverged":
            return DIVERGED_ACCURACY
        if self.is_tuning:
            return self.validation[-1].accuracy
        assert self.test_accuracy is not None  # noqa: S101 - of every run that finished
        return self.test_accuracy

    def __float__(self) -> float:
        """Return what a sweeper that searches, as Optuna's, is to maximise: the accuracy in validation.

        Never that on the test split, with which nothing may be chosen. Of a run that diverged it is 0.
        """
        if self.status == "diverged":
            return DIVERGED_ACCURACY
        return self.validation[-1].accuracy

    @property
    def description(self) -> dict[str, str]:
        """Everything in which runs can differ: choices, settings, data."""
        return {**self.choices, **self.settings, "data digest": self.data_digest}

    def first_look_at(self, target: float) -> Measured | None:
        """Return the first look at the validation split that showed `target` or more."""
        return next((look for look in self.validation if look.accuracy >= target), None)
