"""Reading a store behind an MLflow server, through MLflow's client, which asks run by run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ratelab.tracking.client import Client
from ratelab.tracking.recorded import LARGEST_FINITE, History, Reader, RecordedRun
from ratelab.tracking.troubles import StoreError

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_NO_SUCH_RUN = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


class ServedReader(Reader):
    """A server, which is waited for as `Client` does.

    Args:
        client: of the server.

    Raises:
        StoreError: in every method; the server does not answer for two minutes, or refuses.
    """

    def __init__(self, client: Client) -> None:
        self._read, self._mlflow = client.read, client.mlflow

    def experiments(self) -> dict[str, str]:
        """Return ids by names."""
        return {one.name: one.experiment_id for one in self._read(self._mlflow.search_experiments)}

    def run(self, run_id: str) -> RecordedRun | None:
        """Return one run."""
        try:
            return _convert(self._read(self._mlflow.get_run, run_id))
        except StoreError as error:
            if getattr(error.__cause__, "error_code", "") not in _NO_SUCH_RUN:
                raise
            return None

    def runs(
        self, tags: Mapping[str, str | None], experiment_id: str | None = None, *, newest: bool = False
    ) -> list[RecordedRun]:
        """Return the runs that have all these tags."""
        where = list(self.experiments().values()) if experiment_id is None else [experiment_id]
        wanted = " AND ".join(_condition(*tag) for tag in tags.items())
        if newest:
            order = ["attributes.start_time DESC"]
            found = self._read(self._mlflow.search_runs, where, wanted, max_results=1, order_by=order)
            return [*map(_convert, found)]
        return [_convert(run) for run in self._search_all(where, wanted)]

    def looks_at_test(self, experiment_id: str, digest: str) -> set[str]:
        """Return the sweeps that have looked at a test split, and the runs of none."""
        tested = "params.test = 'True' AND attributes.status = 'FINISHED'"
        wanted = f"{_condition('data_digest', digest)} AND {tested}"
        found = map(_convert, self._search_all([experiment_id], wanted))
        return {run.tags.get("sweep_id", run.run_id) for run in found}

    def running(self, tag: str) -> list[RecordedRun]:
        """Return the runs that have not ended and have this tag, whatever its value."""
        wanted = f"attributes.status = 'RUNNING' AND {_condition(tag, None)}"
        return [*map(_convert, self._search_all([*self.experiments().values()], wanted))]

    def last_time(self, run_id: str, key: str) -> int | None:
        """Return when the last point of a metric was measured, in ms since 1970; None: there is none."""
        points = self._read(self._mlflow.get_metric_history, run_id, key)
        return max((int(point.timestamp) for point in points), default=None)

    def _search_all(self, experiment_ids: list[str], wanted: str) -> "Iterator[MlflowRun]":
        """Yield all runs that fit, in the order of their start; MLflow gives 1,000 a call."""
        token = None
        while True:
            page = self._read(
                self._mlflow.search_runs,
                experiment_ids,
                wanted,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def histories(
        self, run_ids: Sequence[str], key: str, at: Sequence[int] | None = None
    ) -> dict[str, History]:
        """Return one metric of many runs."""
        found = {run_id: self._ask(run_id, key) for run_id in run_ids}
        return found if at is None else {run_id: history.at(at) for run_id, history in found.items()}

    def windows(self, run_ids: Sequence[str], key: str, width: int) -> dict[str, History]:
        """Return means over windows, which this program computes."""
        return {run_id: average(self._ask(run_id, key), width) for run_id in run_ids}

    def _ask(self, run_id: str, key: str) -> History:
        points: list[Any] = list(self._read(self._mlflow.get_metric_history, run_id, key))
        points.sort(key=lambda point: (point.step, point.timestamp))
        return History(
            np.array([point.step for point in points], np.int64),
            np.array([point.value for point in points], float),
        )


def _condition(key: str, value: str | None) -> str:
    """Return the part of a filter that a tag makes."""
    if value is None:
        return f"tags.`{key}` LIKE '%'"
    quote = '"' if "'" in value else "'"  # MLflow has no way to write a quote inside of its own kind
    return f"tags.`{key}` = {quote}{value}{quote}"


def average(history: History, width: int) -> History:
    """Return the means over windows of steps, as `read_windows` does."""
    finite = np.abs(history.values) < LARGEST_FINITE
    places, which = np.unique(history.steps[finite] // width, return_inverse=True)
    sums = np.bincount(which, history.values[finite], len(places))
    return History(places * width, sums / np.bincount(which, minlength=len(places)))


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
        experiment_id=info.experiment_id,
    )
