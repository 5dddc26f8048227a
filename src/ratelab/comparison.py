"""Finished runs, turned into the numbers of a comparison."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Group", "Result", "summarise"]


@dataclass(frozen=True)
class Result:
    """How one run ended.

    Attributes:
        group: what it is compared as: the schedule, and whatever else the sweep varies but the seed.
        seed: of the run.
        run_id: MLflow's, "" where nothing is tracked.
        status: a diverged run is an outcome of the experiment, a failed one is an error of the program.
        test_accuracy: None unless it finished.
        final_rate: the last learning rate applied.
        seconds: of training, the compilation included.
        diverged_step: the update whose loss was not finite.
    """

    group: str
    seed: int
    run_id: str = ""
    status: Literal["finished", "diverged", "failed"] = "failed"
    test_accuracy: float | None = None
    final_rate: float | None = None
    seconds: float = 0.0
    diverged_step: int | None = None


@dataclass(frozen=True)
class Group:
    """All runs of one schedule: counts, test accuracy (mean, lowest, highest), final rate, mean seconds."""

    name: str
    runs: int
    diverged: int
    failed: int
    accuracy: tuple[float, float, float] | None
    final_rate: float | None
    seconds: float


def summarise(results: Iterable[Result]) -> list[Group]:
    """Group results by name, in the order in which the names first appear.

    >>> a = Result("fixed", 0, "1", "finished", 0.9, 0.1, 2.0)
    >>> b = Result("fixed", 1, "2", "diverged")
    >>> summarise([a, b])[0].accuracy
    (0.9, 0.9, 0.9)
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    return [_summary(name, members) for name, members in groups.items()]


def _summary(name: str, members: list[Result]) -> Group:
    accuracies = [r.test_accuracy for r in members if r.test_accuracy is not None and r.status == "finished"]
    rates = {r.final_rate for r in members if r.final_rate is not None and r.status == "finished"}
    return Group(
        name=name,
        runs=len(members),
        diverged=sum(r.status == "diverged" for r in members),
        failed=sum(r.status == "failed" for r in members),
        accuracy=(float(np.mean(accuracies)), min(accuracies), max(accuracies)) if accuracies else None,
        final_rate=rates.pop() if len(rates) == 1 else None,
        seconds=float(np.mean([r.seconds for r in members if r.status == "finished"] or [0.0])),
    )
