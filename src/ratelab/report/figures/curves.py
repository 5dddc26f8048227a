"""What the figures need from the store: read in bulk, no more of it than is drawn."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ratelab.comparison import Comparison, Group, Result, Study
from ratelab.comparison.results import is_number
from ratelab.tasks import ACCURACY, Outcome
from ratelab.tracking import History, read_histories, read_windows

WINDOWS = 200  # of the training loss
_NO_HISTORY = History(np.empty(0, np.int64), np.empty(0))

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """A quantity over the runs of a group: float64[n] each, x ascending.

    Attributes:
        x: where it was measured.
        mean: over the runs that have it there.
        low: the lowest of them.
        high: the highest of them.
        runs: how many they are.
    """

    x: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers
    runs: Numbers


@dataclass(frozen=True)
class Curve:
    """One group over its steps.

    Attributes:
        name: of the group.
        rates: the learning rate of every step, of one run; empty where the store has none.
        seed: of that run.
        loss: of training, over the first steps of windows.
        metric: that judges, on the validation split, over steps; a diverged run counts as the worst from
            then on.
        by_examples: the same over the number of training examples seen.
        diverged: for each run that did, the step.
    """

    name: str
    rates: History
    seed: int
    loss: Band
    metric: Band
    by_examples: Band
    diverged: tuple[int, ...]


@dataclass(frozen=True)
class Curves:
    """The groups of a comparison.

    Attributes:
        groups: in its order.
        width: how many steps a window of the training loss has.
        outcome: the metric that judges.
        worst: what diverged runs count as, in words.
    """

    groups: tuple[Curve, ...]
    width: int
    outcome: Outcome = ACCURACY
    worst: str = ""


def read_curves(uri: str, study: Study) -> list[Curves]:
    """Return the curves of each comparison.

    Of the learning rates one run of each group is read, of the training loss no more than the means over
    about 200 windows, whatever the number of runs and steps.

    Args:
        uri: what `prepare_store` returned.
        study: its runs must be in that store, or in none.
    """
    members = [group for comparison in study.comparisons for group in comparison.members]
    runs = [run for group in members for run in group.runs]
    ids = list(dict.fromkeys(run.run_id for run in runs if run.run_id))
    # one width for all comparisons, so that their runs are read together, each once
    width = window_width(runs)
    loss = read_windows(uri, ids, "train_loss", width) if ids else {}
    shown = {_pick_run(group).run_id: _NO_HISTORY for group in members}
    # one by one: of a rate for every step of every run at once the memory would not be bounded
    for run_id in filter(None, shown):
        shown[run_id] = read_histories(uri, [run_id], "learning_rate").get(run_id, _NO_HISTORY)
    return [_make_curves(comparison, width, loss, shown) for comparison in study.comparisons]


def window_width(runs: Sequence[Result]) -> int:
    """Return how many steps a window has: about 200 windows in all, each with equally many logged losses.

    >>> from ratelab.comparison import Measured
    >>> look = Measured(27_499, 0.9, 1.0, 2_750_000)
    >>> window_width([Result(0, {}, {"tracking.train_loss_every": "10"}, validation=(look,))])
    140
    """
    # a window that is no multiple of the distance between losses would hold one more now and then, and ripple
    every = max((int(run.settings.get("tracking.train_loss_every", 1)) for run in runs), default=1)
    steps = max((_count_steps(run) for run in runs), default=1)
    return every * math.ceil(steps / (WINDOWS * every))


def find_changes(rates: History) -> History:
    """Return the first step and those at which the rate is not that of the step before."""
    differs = np.append(True, np.diff(rates.values) != 0)[: len(rates.values)]
    return History(rates.steps[differs], rates.values[differs])


def _make_curves(
    comparison: Comparison,
    width: int,
    loss: Mapping[str, History],
    rates: Mapping[str, History],
) -> Curves:
    groups = []
    for group in comparison.members:
        shown, runs = _pick_run(group), group.runs
        groups.append(
            Curve(
                name=group.name,
                rates=rates[shown.run_id],
                seed=shown.seed,
                loss=band([loss[run.run_id] for run in runs if run.run_id in loss]),
                metric=band(_collect_looks(group)),
                by_examples=band(_collect_looks_by_examples(group)),
                diverged=tuple(_count_steps(run) - 1 for run in runs if run.status == "diverged"),
            )
        )
    return Curves(tuple(groups), width, comparison.looked, comparison.worst)


def _pick_run(group: Group) -> Result:
    """Return the run whose learning rates are drawn for the group: the first that got farthest."""
    # a run that diverged would end in the middle of the figure
    return max(group.runs, key=lambda run: (run.status == "finished", _count_steps(run)))


def _count_steps(run: Result) -> int:
    """Return how many steps it made, as far as its results tell."""
    last = run.validation[-1].step + 1 if run.validation else 1
    return max(last, (run.diverged_step or 0) + 1)


def band(histories: Sequence[History]) -> Band:
    """Return mean, lowest and highest over runs, at each place where any of them was measured.

    >>> runs = [History(np.array([0, 9]), np.array([1.0, 2.0])), History(np.array([0]), np.array([3.0]))]
    >>> band(runs).mean, band(runs).runs
    (array([2., 2.]), array([2., 1.]))
    """
    # runs need not be measured at the same places: they diverge, or their batches have other sizes
    values: dict[float, list[float]] = defaultdict(list)
    for history in histories:
        for x, value in zip(history.steps.tolist(), history.values.tolist(), strict=True):
            values[x].append(value)
    places = sorted(values)
    kinds = (np.mean, np.min, np.max, len)
    columns = [np.array([kind(values[x]) for x in places], float) for kind in kinds]
    return Band(np.array(places, float), *columns)


def _collect_looks(group: Group) -> list[History]:
    """Return the validation of each run; after it diverged, the worst wherever others were measured."""
    found = []
    places = sorted({look.step for run in group.runs for look in run.validation})
    for run in group.runs:
        looks = [look for look in run.validation if is_number(look.value)]
        steps = [look.step for look in looks]
        values = [look.value for look in looks]
        if run.status == "diverged":
            later = [step for step in places if step > max([-1, *steps])]
            steps, values = steps + later, values + [group.worst] * len(later)
        found.append(History(np.array(steps, np.int64), np.array(values, float)))
    return found


def _collect_looks_by_examples(group: Group) -> list[History]:
    """Return the same with the number of training examples seen until then in the place of steps."""
    # batches are not random: at one step all runs of a group have seen as many
    seen = {look.step: look.examples for run in group.runs for look in run.validation}
    return [
        History(np.array([seen[step] for step in own.steps.tolist()], np.int64), own.values)
        for own in _collect_looks(group)
    ]
