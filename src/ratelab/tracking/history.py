"""What a store already holds: the runs that belong together."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratelab.tracking.environment import silence_mlflow
from ratelab.validation import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Recorded:
    """The runs of one sweep, or one single run: experiment, run ids in the order of their start, a title."""

    experiment_id: str
    run_ids: list[str]
    title: str
    sweep_id: str | None


def recorded(uri: str, sweep_id: str | None = None) -> Recorded:
    """Return the runs of a sweep; without `sweep_id`, of the newest sweep or the newest single run.

    Args:
        uri: what `prepare_store` returned.
        sweep_id: the tag of that name.

    Raises:
        UserError: if the store holds no such run.
    """
    silence_mlflow()
    from mlflow import MlflowClient

    if sweep_id is not None and not re.fullmatch(r"[\w.-]+", sweep_id):
        raise UserError(f"--sweep must be the sweep_id that a run has as a tag, got {sweep_id!r}.")
    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = f"tags.sweep_id = '{sweep_id}'" if sweep_id else "tags.schedule LIKE '%'"
    newest = client.search_runs(experiments, wanted, max_results=1, order_by=["attributes.start_time DESC"])
    if not newest:
        what = f"of sweep {sweep_id!r}" if sweep_id else "of ratelab's"
        raise UserError(f"there is no run {what} in this store; make one with `python src/train.py`.")
    run = newest[0]
    sweep_id = run.data.tags.get("sweep_id")
    if sweep_id is None:
        return Recorded(run.info.experiment_id, [run.info.run_id], f"run {run.info.run_name}", None)
    members = _all_runs(
        client, run.info.experiment_id, f"tags.sweep_id = '{sweep_id}' AND tags.schedule LIKE '%'"
    )
    return Recorded(run.info.experiment_id, members, f"sweep {sweep_id}", sweep_id)


def _all_runs(client: "MlflowClient", experiment_id: str, wanted: str) -> list[str]:
    """Return the ids of all runs that fit, in the order of their start; MLflow gives 1,000 a call."""
    ids: list[str] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], wanted, order_by=["attributes.start_time ASC"], page_token=token
        )
        ids += [run.info.run_id for run in page]
        token = page.token
        if not token:
            return ids
