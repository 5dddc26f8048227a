"""What a store already holds: runs that belong together, and their metrics in bulk."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ratelab.tracking.environment import open_client
from ratelab.tracking.mlflow_internals import find_engine, metrics_table
from ratelab.validation import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from sqlalchemy import Engine

_RUNS_A_QUERY = 500
_STEPS_A_QUERY = 10_000  # SQLite takes 32,766 values
_FINITE = 1e308  # MLflow stores an infinity as the largest float64
_OURS = "tags.schedule LIKE '%'"  # a run that trained; not a sweep as a whole, nor a run of another program


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


@dataclass(frozen=True)
class Recorded:
    """Runs of one experiment that belong together: of a sweep in the order of its jobs, else of their start.

    Attributes:
        experiment_id: MLflow's.
        runs: without the parent run.
        title: what they are.
        sweep_id: the sweep that they are all of; None for a single run, an experiment or a choice.
        parent_id: the run of the sweep as a whole, if there is one.
    """

    experiment_id: str
    runs: tuple[RecordedRun, ...]
    title: str
    sweep_id: str | None = None
    parent_id: str | None = None

    @property
    def run_ids(self) -> list[str]:
        """The ids of the runs."""
        return [run.run_id for run in self.runs]


@dataclass(frozen=True)
class History:
    """All points of one metric of one run, by step: int64[n] and float64[n]."""

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def find_runs(
    uri: str, sweep_id: str | None = None, *, experiment: str | None = None, run_ids: Sequence[str] = ()
) -> Recorded:
    """Return the runs of a sweep, of an experiment, or those named; by default of the newest sweep.

    Args:
        uri: what `prepare_store` returned.
        sweep_id: the tag of that name.
        experiment: the name of an experiment, all of whose runs are meant.
        run_ids: MLflow's ids, of one experiment.

    Raises:
        UserError: if the store holds no such run.
    """
    client = open_client(uri)
    if run_ids:
        return _find_named(client, run_ids)
    if experiment is not None:
        return _find_experiment(client, experiment)
    return _find_sweep(client, sweep_id)


def _find_sweep(client: "MlflowClient", sweep_id: str | None) -> Recorded:
    """Return the runs of a sweep, by default of that of the newest run, which may be of none."""
    # it becomes part of a query
    if sweep_id is not None and not re.fullmatch(r"[\w.-]+", sweep_id):
        raise UserError(f"--sweep must be the sweep_id that a run has as a tag, got {sweep_id!r}.")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = f"tags.sweep_id = '{sweep_id}'" if sweep_id else _OURS
    newest = client.search_runs(experiments, wanted, max_results=1, order_by=["attributes.start_time DESC"])
    if not newest:
        what = f"of sweep {sweep_id!r}" if sweep_id else "of ratelab's"
        raise UserError(f"there is no run {what} in this store; make one with `python src/train.py`.")
    run = newest[0]
    sweep_id = run.data.tags.get("sweep_id")
    if sweep_id is None:
        return Recorded(run.info.experiment_id, (_convert(run),), f"run {run.info.run_name}")
    members = _search_all(client, run.info.experiment_id, f"tags.sweep_id = '{sweep_id}'")
    parents = [one.info.run_id for one in members if one.data.tags.get("kind") == "sweep"]
    runs = sorted(
        (_convert(one) for one in members if "schedule" in one.data.tags),
        key=lambda one: int(one.tags.get("job", 0)),
    )
    parent = parents[0] if parents else None
    return Recorded(run.info.experiment_id, tuple(runs), f"sweep {sweep_id}", sweep_id, parent)


def _find_experiment(client: "MlflowClient", name: str) -> Recorded:
    found = client.get_experiment_by_name(name)
    runs = _search_all(client, found.experiment_id, _OURS) if found else []
    if not found or not runs:
        known = sorted(one.name for one in client.search_experiments())
        raise UserError(f"--experiment: {name!r} has no run of ratelab's here. Known: {', '.join(known)}.")
    return Recorded(found.experiment_id, tuple(_convert(run) for run in runs), f"experiment {name}")


def _find_named(client: "MlflowClient", run_ids: Sequence[str]) -> Recorded:
    from mlflow.exceptions import MlflowException

    runs = []
    for run_id in dict.fromkeys(run_ids):
        try:
            runs.append(client.get_run(run_id))
        except MlflowException:
            raise UserError(f"{run_id!r} is not the id of a run in this store.") from None
    if foreign := [run.info.run_id for run in runs if "schedule" not in run.data.tags]:
        raise UserError(f"{foreign[0]} is not a run that trained; name its children, or give --sweep.")
    runs.sort(key=lambda run: run.info.start_time)
    return Recorded(runs[0].info.experiment_id, tuple(map(_convert, runs)), f"{len(runs)} runs")


def _search_all(client: "MlflowClient", experiment_id: str, wanted: str) -> "list[MlflowRun]":
    """Return all runs that fit, in the order of their start; MLflow gives 1,000 a call."""
    runs: list[MlflowRun] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], wanted, order_by=["attributes.start_time ASC"], page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _convert(run: "MlflowRun") -> RecordedRun:
    info, data = run.info, run.data
    return RecordedRun(
        run_id=info.run_id,
        name=info.run_name,
        status=info.status,
        params=data.params,
        tags=data.tags,
        metrics=data.metrics,
        started=info.start_time,
        ended=info.end_time,
    )


def read_histories(
    uri: str, run_ids: Sequence[str], key: str, at: Sequence[int] | None = None
) -> dict[str, History]:
    """Return one metric of many runs, by the id of the run; runs without it are left out.

    A SQL store answers one query for 500 runs; a server is asked run by run.

    Args:
        uri: what `prepare_store` returned.
        run_ids: which runs.
        key: the name of the metric.
        at: the steps that are wanted; None: every point.
    """
    client = open_client(uri)
    engine = find_engine(client)
    if engine is None:
        found = {run_id: _ask(client, run_id, key) for run_id in run_ids}
    else:
        found = {}
        wanted = (
            at if at is None or len(at) <= _STEPS_A_QUERY else None
        )  # else all are read, then picked from
        for first in range(0, len(run_ids), _RUNS_A_QUERY):
            found |= _query(engine, run_ids[first : first + _RUNS_A_QUERY], key, at=wanted)
    if at is not None:
        found = {run_id: _pick(history, at) for run_id, history in found.items()}
    return {run_id: history for run_id, history in found.items() if len(history.steps)}


def _pick(history: History, at: Sequence[int]) -> History:
    """Return the points at these steps."""
    kept = np.isin(history.steps, at)
    return History(history.steps[kept], history.values[kept])


def read_windows(uri: str, run_ids: Sequence[str], key: str, width: int) -> dict[str, History]:
    """Return one metric of many runs, averaged over windows of steps, by the id of the run.

    A SQL store averages, so that no more than the means are read; of a server's points this program does.
    Values that are not finite do not count; a window without others, and a run without windows, is left out.

    Args:
        uri: what `prepare_store` returned.
        run_ids: which runs.
        key: the name of the metric.
        width: steps of a window, at least 1; window w holds the steps from w * width to (w + 1) * width - 1.

    Returns:
        Of each run the first step of each window, ascending, and the mean over the points in it.
    """
    client = open_client(uri)
    engine = find_engine(client)
    if engine is None:
        found = {run_id: _average(_ask(client, run_id, key), width) for run_id in run_ids}
    else:
        found = {}
        for first in range(0, len(run_ids), _RUNS_A_QUERY):
            found |= _query(engine, run_ids[first : first + _RUNS_A_QUERY], key, width)
    return {run_id: history for run_id, history in found.items() if len(history.steps)}


def _average(history: History, width: int) -> History:
    """Return the means over windows of steps, as `read_windows` does."""
    finite = np.abs(history.values) < _FINITE
    places, which = np.unique(history.steps[finite] // width, return_inverse=True)
    sums = np.bincount(which, history.values[finite], len(places))
    return History(places * width, sums / np.bincount(which, minlength=len(places)))


def _query(
    engine: "Engine",
    run_ids: Sequence[str],
    key: str,
    width: int | None = None,
    at: Sequence[int] | None = None,
) -> dict[str, History]:
    """Return the points, perhaps at some steps only, or with a width the means over windows."""
    from sqlalchemy import false, func, select

    table = metrics_table()
    wanted = [table.c.run_uuid.in_(run_ids), table.c.key == key]
    if at is not None:
        wanted.append(table.c.step.in_(at))
    if width is None:
        rows = select(table.c.run_uuid, table.c.step, table.c.value, table.c.is_nan).where(*wanted)
        rows = rows.order_by(table.c.run_uuid, table.c.step)
    else:
        first = (table.c.step // width * width).label("first")
        finite = (table.c.is_nan.is_(False), func.abs(table.c.value) < _FINITE)
        rows = select(table.c.run_uuid, first, func.avg(table.c.value), false()).where(*wanted, *finite)
        rows = rows.group_by(table.c.run_uuid, first).order_by(table.c.run_uuid, first)
    with engine.connect() as connection:
        found = connection.execute(rows).fetchall()
    return _group_by_run(found)


def _group_by_run(rows: Sequence[Any]) -> dict[str, History]:
    """Return the columns id, step, value, is_nan, sorted by id and step, as one history a run."""
    if not rows:
        return {}
    ids, steps, values, is_nan = zip(*rows, strict=True)
    numbers = np.where(is_nan, np.nan, values)
    names, starts = np.unique(np.array(ids), return_index=True)
    parts = zip(
        names.tolist(), np.split(np.array(steps), starts[1:]), np.split(numbers, starts[1:]), strict=True
    )
    return {name: History(own_steps.astype(np.int64), own) for name, own_steps, own in parts}


def _ask(client: "MlflowClient", run_id: str, key: str) -> History:
    points: list[Any] = list(client.get_metric_history(run_id, key))
    points.sort(key=lambda point: (point.step, point.timestamp))
    return History(
        np.array([point.step for point in points], np.int64),
        np.array([point.value for point in points], float),
    )
