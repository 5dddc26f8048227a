"""What a store already holds, as values: runs, those that belong together, the points of a metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

PROGRAM = "program"  # the tag that says which program records a run
ENDED_BY = "ended_by"  # and that which says that this program died
METRICS = "metrics"  # as the tag `not_kept` names them
LARGEST_FINITE = 1e308  # MLflow stores an infinity as the largest float64


@dataclass(frozen=True)
class RecordedRun:
    """One run as the store has it: MLflow's status, the last value of each metric, when it was made (ms)."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    started: int | None = None
    ended: int | None = None
    experiment_id: str = ""

    @property
    def lacks_metrics(self) -> bool:
        """Whether some of its metrics could not be stored, as the program that made it has noted."""
        return METRICS in self.tags.get("not_kept", "").split(", ")


@dataclass(frozen=True)
class Recorded:
    """Runs of one experiment that belong together: of a sweep in the order of its jobs, else of their start.

    Attributes:
        experiment_id: MLflow's.
        runs: without the parent run.
        title: what they are.
        sweep_id: the sweep that they are all of; None for a single run, an experiment or a choice.
        parent_id: the run of the sweep as a whole, if there is one.
        missing: how many runs it has beside them, by what that run says.
    """

    experiment_id: str
    runs: tuple[RecordedRun, ...]
    title: str
    sweep_id: str | None = None
    parent_id: str | None = None
    missing: int = 0

    @property
    def run_ids(self) -> list[str]:
        """The ids of the runs."""
        return [run.run_id for run in self.runs]


@dataclass(frozen=True)
class History:
    """All points of one metric of one run, by step: int64[n] and float64[n]."""

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def at(self, steps: Sequence[int]) -> "History":
        """Return the points at these steps."""
        kept = np.isin(self.steps, steps)
        return History(self.steps[kept], self.values[kept])


class Reader(Protocol):
    """What is asked of a store: a database answers in SQL, a server through MLflow's client."""

    def experiments(self) -> dict[str, str]:
        """Return the ids of the experiments that are not deleted, by their names."""

    def run(self, run_id: str) -> RecordedRun | None:
        """Return the run with this id, deleted or not; None if there is none."""

    def runs(
        self, tags: Mapping[str, str | None], experiment_id: str | None = None, *, newest: bool = False
    ) -> list[RecordedRun]:
        """Return the runs that have all these tags, oldest first, but those that are deleted.

        Args:
            tags: their values; None: any.
            experiment_id: the experiment to look in; None: all that are not deleted.
            newest: only the last of them.
        """

    def looks_at_test(self, experiment_id: str, digest: str) -> set[str]:
        """Return the sweeps of an experiment that have looked at a test split, and the runs of none.

        Args:
            experiment_id: where to look, but at what is deleted.
            digest: of the data, the tag data_digest.

        Returns:
            Ids of sweeps and runs.
        """

    def histories(
        self, run_ids: Sequence[str], key: str, at: Sequence[int] | None = None
    ) -> dict[str, History]:
        """Return one metric of many runs, perhaps at some steps only; runs without it may be missing."""

    def windows(self, run_ids: Sequence[str], key: str, width: int) -> dict[str, History]:
        """Return the means of one metric over windows of steps; what is not finite does not count."""
