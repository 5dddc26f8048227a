"""Addresses of MLflow's pages that compare runs: its start page shows no chart."""

import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from ratelab.runtime.passwords import without_password
from ratelab.tracking.uris import is_served

UI = "http://127.0.0.1:5000"  # where `ratelab ui` listens
MOST_BY_ID = 30  # run ids that an address may hold; more curves in one chart cannot be told apart


def comparison_links(
    ui: str, experiment_id: str, run_ids: Sequence[str], sweep_id: str | None = None
) -> list[str]:
    """Return addresses in MLflow's UI: these runs in charts, and, if they are few, their rates by step.

    Args:
        ui: the address of the UI, as http://127.0.0.1:5000.
        experiment_id: the experiment of the runs.
        run_ids: the runs to compare.
        sweep_id: the sweep that they are all of; a long address names it and not the runs.
    """
    ui = ui.rstrip("/")
    ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
    few = sweep_id is None or len(run_ids) <= MOST_BY_ID
    which = (
        f"attributes.run_id IN ({ids})" if few else f"tags.sweep_id = '{sweep_id}' AND tags.schedule LIKE '%'"
    )
    runs = {
        "compareRunsMode": "CHART",
        "searchFilter": which,
        # sorted by date, as it is without this, the UI folds the runs of a sweep under their parent
        "orderByKey": "tags.`mlflow.runName`",
        "orderByAsc": "true",
    }
    metric = {
        "runs": json.dumps(list(run_ids)),
        "metric": json.dumps("learning_rate"),
        "experiments": json.dumps([experiment_id]),
        "plot_metric_keys": json.dumps(["learning_rate"]),
        "x_axis": "step",
    }
    links = [f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(runs, quote_via=quote)}"]
    return [*links, f"{ui}/#/metric?{urlencode(metric, quote_via=quote)}"] if few else links


def links_to_print(uri: str, experiment_id: str, run_ids: Sequence[str], sweep_id: str | None) -> list[str]:
    """Return the lines that say how to see exactly these runs in MLflow, side by side.

    A server has its UI; before a file or a database, one has to be started first.

    Args:
        uri: of the store; its password is not shown.
        experiment_id: the experiment of the runs.
        run_ids: the runs.
        sweep_id: the sweep that they are all of, if they are of one.
    """
    heading = "See it in MLflow:" if len(run_ids) == 1 else "See them side by side in MLflow:"
    ui = without_password(uri)
    if not is_served(uri):
        heading, ui = f"{heading} start `ratelab ui`, then open", UI
    return [heading, *(f"  {link}" for link in comparison_links(ui, experiment_id, run_ids, sweep_id))]
