"""Addresses of MLflow's pages that compare runs: its start page shows no chart."""

import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode


def comparison_links(ui: str, experiment_id: str, run_ids: Sequence[str]) -> tuple[str, str]:
    """Return two addresses in MLflow's UI: these runs in charts, and their learning rates by step.

    Args:
        ui: the address of the UI, as http://127.0.0.1:5000.
        experiment_id: the experiment of the runs.
        run_ids: the runs to compare.
    """
    ui = ui.rstrip("/")
    ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
    runs = {
        "compareRunsMode": "CHART",
        "searchFilter": f"attributes.run_id IN ({ids})",
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
    return (
        f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(runs, quote_via=quote)}",
        f"{ui}/#/metric?{urlencode(metric, quote_via=quote)}",
    )
