"""What a store has of a run by step, as far as a comparison reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ratelab.comparison.results import Measured
from ratelab.tasks import ACCURACY, Outcome
from ratelab.tracking import History, RecordedRun, read_histories

_BEYOND = 2**32  # seeds, steps and sizes are below


@dataclass(frozen=True)
class Curves:
    """What a store has of a run by step: each None where it has no point."""

    metric: History | None
    seconds: History | None
    examples: History | None


def read_curves(uri: str, runs: Sequence[RecordedRun], metric: str) -> dict[str, Curves]:
    """Return the curves of runs, by id."""
    ids = [run.run_id for run in runs]
    values, seconds = (read_histories(uri, ids, key) for key in (metric, "train_seconds"))
    # Of a batch that stays the examples seen follow from the step; of one that grows they are recorded at
    # every step, of which only those of the looks are read.
    grown = [run.run_id for run in runs if run.tags.get("batch", "constant") != "constant"]
    places = {step for run_id in grown if run_id in values for step in values[run_id].steps.tolist()}
    examples = read_histories(uri, grown, "examples_seen", at=sorted(places))
    return {run_id: Curves(values.get(run_id), seconds.get(run_id), examples.get(run_id)) for run_id in ids}


def read_integer(key: str, text: str | None, lowest: int = 0) -> int:
    """Return the number that a parameter or a tag holds.

    Raises:
        ValueError: it holds none, or one below the lowest.
    """
    number = int(text) if text is not None and text.isdecimal() else -1
    if not lowest <= number < _BEYOND:
        raise ValueError(f"its {key} is {text!r}, no such number")
    return number


def read_validation(
    run: RecordedRun, outcome: Outcome, curves: Curves, *, whole: bool
) -> tuple[Measured, ...]:
    """Return the looks at the validation split; of a run that does not count, those that are complete.

    Raises:
        ValueError: the run counts, and one of its metrics has points that another lacks, or no numbers.
    """
    if curves.metric is None or curves.seconds is None:
        return ()
    looks, seconds, name = curves.metric, curves.seconds, f"val_{outcome.metric}"
    if not whole:
        looks, seconds = looks.at(seconds.steps.tolist()), seconds.at(looks.steps.tolist())
    if not np.array_equal(looks.steps, seconds.steps):
        counts = f"{len(looks.steps)} points, train_seconds {len(seconds.steps)}"
        raise ValueError(f"{name} has {counts}, not at the same steps")
    bounds = [(looks.steps, _BEYOND), (seconds.values, np.finfo(float).max)]
    if outcome == ACCURACY:
        bounds.append((looks.values, 1.0))
    if not all(_lie_within(values, highest) for values, highest in bounds):
        raise ValueError(f"{name} or train_seconds has points that no run gives")
    seen = _count_examples_seen(run, looks, curves.examples, name)
    columns = (looks.steps, looks.values, seconds.values, seen)
    return tuple(Measured(*look) for look in zip(*(column.tolist() for column in columns), strict=True))


def _count_examples_seen(run: RecordedRun, looks: History, grown: History | None, name: str) -> np.ndarray:
    """Return how many training examples a run had seen at each look."""
    if grown is None:
        return (looks.steps + 1) * read_integer("batch_size", run.params.get("batch_size"), 1)
    grown = grown.at(looks.steps.tolist())
    if not np.array_equal(grown.steps, looks.steps):
        raise ValueError(f"examples_seen lacks a step of {name}'s")
    if not _lie_within(grown.values, _BEYOND**2 / 2):
        raise ValueError("examples_seen has points that no run gives")
    return grown.values.astype(np.int64)


def _lie_within(values: np.ndarray, highest: float) -> bool:
    """Say whether all are numbers, none of them below 0 or above the highest."""
    return bool(((values >= 0) & (values <= highest)).all())
