"""What a run has recorded, held against what it gives when it is trained again: the first difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ratelab.training import Chunk

COLUMNS = ("learning_rate", "momentum", "batch_size", "train_loss")

Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kept:
    """What a store has of a run.

    Attributes:
        columns: of every step, by name; `momentum` where the schedule changed it.
        looks: what was measured on the validation split, by metric and by step.
        test: what was measured at the end.
        is_finished: it has done all of its steps.
        lacks_metrics: some of what it has measured could not be stored.
    """

    columns: Mapping[str, Column]
    looks: Mapping[str, Mapping[int, float]]
    test: Mapping[str, float]
    is_finished: bool
    lacks_metrics: bool

    @property
    def steps(self) -> int:
        """How many updates it had recorded."""
        return len(self.columns["train_loss"])


@dataclass(frozen=True)
class Difference:
    """One value that was another one; None: there was, or there is, no such value."""

    step: int
    name: str
    was: float | None
    now: float | None

    @property
    def size(self) -> float:
        """How large it is beside the larger of both values; infinite where one is missing or not finite."""
        if self.was is None or self.now is None:
            return np.inf
        return float(measure_difference(np.array([self.was]), np.array([self.now]))[0])


class Comparison:
    """Takes the epochs of a run that is trained again, in their order; tells of the first difference.

    Args:
        kept: what the store has.
        tolerance: a relative difference up to which values count as equal; 0: only equal ones do.

    Attributes:
        steps: how many updates were compared.
        largest: the largest difference among those that count as equal; None: all are identical.
    """

    def __init__(self, kept: Kept, tolerance: float) -> None:
        self._kept, self._tolerance = kept, tolerance
        self.steps = 0
        self.largest: Difference | None = None

    @property
    def is_through(self) -> bool:
        """Whether all steps of a record that ends early were compared: what would follow is not known."""
        return not self._kept.is_finished and self.steps >= self._kept.steps

    def add(self, chunk: Chunk) -> Difference | None:
        """Compare an epoch; return the first of its steps at which something differs."""
        first, steps = chunk.first_step, len(chunk.train_loss)
        given = {name: getattr(chunk, name) for name in COLUMNS}
        found = [self._compare_column(name, first, values, steps) for name, values in given.items()]
        self.steps = min(first + steps, self._kept.steps)
        by_step = min((one for one in found if one is not None), key=lambda one: one.step, default=None)
        if by_step is None and chunk.diverged_step is None:
            return self._compare_looks(int(chunk.steps[-1]), chunk.measured)
        return by_step

    def finish(self, test: Mapping[str, float] | None, last_step: int) -> Difference | None:
        """Compare what the end gave, after the last epoch.

        Args:
            test: what the test split gives, by metric; None where nobody looked.
            last_step: the number of the last update.
        """
        if last_step + 1 < self._kept.steps:
            step = last_step + 1
            return Difference(step, "train_loss", float(self._kept.columns["train_loss"][step]), None)
        measured = {f"test_{name}": value for name, value in (test or {}).items()}
        return self._first(
            self._judge(last_step, name, self._kept.test.get(name), measured.get(name))
            for name in {**measured, **self._kept.test}
        )

    def _compare_column(
        self, name: str, first: int, values: npt.NDArray[np.float32] | None, steps: int
    ) -> Difference | None:
        """Return the first step of an epoch at which a column differs, or ends."""
        own = self._kept.columns.get(name)
        if own is None or values is None:
            there = values if own is None else own[first:]
            if there is None or not len(there):
                return None
            value = float(there[0])
            return Difference(first, name, *((None, value) if own is None else (value, None)))
        was = own[first : first + steps]
        now = np.asarray(values[: len(was)], np.float64)
        sizes = measure_difference(was, now)
        if (beyond := sizes > self._tolerance).any():
            place = int(beyond.argmax())
            return Difference(first + place, name, float(was[place]), float(now[place]))
        if sizes.any():
            place = int(sizes.argmax())
            self._note(Difference(first + place, name, float(was[place]), float(now[place])))
        # Runs are recorded by epochs: one that ends within an epoch has diverged there, and now it goes on.
        ends_early = len(was) > 0 or self._kept.is_finished
        if len(was) < steps and ends_early and name == "train_loss":
            return Difference(first + len(was), name, None, float(values[len(was)]))
        return None

    def _compare_looks(self, step: int, measured: Mapping[str, float]) -> Difference | None:
        """Compare what was measured after an epoch."""
        before = {name: own[step] for name, own in self._kept.looks.items() if step in own}
        return self._first(
            self._judge(step, name, before.get(name), measured.get(name)) for name in {**measured, **before}
        )

    def _judge(self, step: int, name: str, was: float | None, now: float | None) -> Difference | None:
        """Return the difference of two values that count as different."""
        if was is None and (self._kept.lacks_metrics or not self._kept.is_finished):
            return None
        found = Difference(step, name, was, now)
        if found.size > self._tolerance:
            return found
        if found.size > 0:
            self._note(found)
        return None

    def _note(self, found: Difference) -> None:
        if self.largest is None or found.size > self.largest.size:
            self.largest = found

    @staticmethod
    def _first(found: Iterable[Difference | None]) -> Difference | None:
        # All are judged, also behind the first: the largest that count as equal is told as well.
        return next((one for one in [*found] if one is not None), None)


def measure_difference(was: Column, now: Column) -> Column:
    """Return relative differences, float64[n]: 0 where values are equal, infinite where one is not finite.

    >>> measure_difference(np.array([1.0, np.nan, np.inf, 2.0]), np.array([1.0, np.nan, 0.0, 1.0])).tolist()
    [0.0, 0.0, inf, 0.5]
    """
    equal = (was == now) | (np.isnan(was) & np.isnan(now))
    finite = np.isfinite(was) & np.isfinite(now)
    a, b = np.where(finite, was, 1.0), np.where(finite, now, 1.0)
    # Divided first: the difference of two large numbers of opposite signs would be infinite.
    scale = np.maximum(np.maximum(np.abs(a), np.abs(b)), np.finfo(float).tiny)
    sizes = np.where(finite, np.abs(a / scale - b / scale), np.inf)
    return np.where(equal, 0.0, np.maximum(sizes, np.finfo(float).tiny))
