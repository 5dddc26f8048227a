"""Addresses of MLflow's pages that compare runs: its start page shows no chart."""

import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

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
