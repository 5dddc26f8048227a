"""Addresses of MLflow's pages that compare runs: its start page shows no chart."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from rich.style import Style
from rich.text import Text

from ratelab.runtime.hyperlinks import shows_hyperlinks
from ratelab.runtime.passwords import without_password
from ratelab.tracking.uris import is_served, resolve_store

UI = "http://127.0.0.1:5000"  # where `ratelab ui` listens
STORE = "sqlite:///mlruns/mlflow.db"  # what it shows
MOST_BY_STEP = 10  # runs on the page of rates, which reads every step of each: of thirty it takes minutes
LONGEST = 400  # letters of an address that is printed; a hyperlink may be longer
_VIEW = {"workflowType": "machine_learning"}  # else the UI opens its pages for language models


@dataclass(frozen=True)
class Link:
    """A page of MLflow's UI: what is seen there, and its address."""

    name: str
    address: str


def comparison_links(
    ui: str, experiment_id: str, run_ids: Sequence[str], sweep_id: str | None = None
) -> list[Link]:
    """Return the pages of MLflow's UI that show these runs: in charts, and, of a few, their rates by step.

    Args:
        ui: the address of the UI, as http://127.0.0.1:5000.
        experiment_id: the experiment of the runs.
        run_ids: the runs to compare.
        sweep_id: the sweep that they are all of; the address names it and not the runs.
    """
    home = f"{ui.rstrip('/')}/#"
    if sweep_id is None and len(run_ids) == 1:
        page = f"{home}/experiments/{experiment_id}/runs/{run_ids[0]}/model-metrics?{urlencode(_VIEW)}"
        return [Link("its charts", page)]
    ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
    # the parent of a sweep has no schedule
    of_sweep = f"tags.sweep_id = '{sweep_id}' AND tags.schedule LIKE '%'"
    runs = _VIEW | {
        "compareRunsMode": "CHART",
        "searchFilter": of_sweep if sweep_id else f"attributes.run_id IN ({ids})",
        # sorted by date, as it is without this, the UI folds the runs of a sweep under their parent;
        # it draws the first ten, which are to be some of every schedule
        "orderByKey": "params.`seed`",
        "orderByAsc": "true",
    }
    # MLflow's page reads `runs` only where it stands first
    metric = {
        "runs": json.dumps(list(run_ids)),
        "metric": json.dumps("learning_rate"),
        "experiments": json.dumps([experiment_id]),
        "plot_metric_keys": json.dumps(["learning_rate"]),
        "x_axis": "step",
        **_VIEW,
    }
    charts = Link(
        "their charts", f"{home}/experiments/{experiment_id}/runs?{urlencode(runs, quote_via=quote)}"
    )
    rates = Link("their learning rates", f"{home}/metric?{urlencode(metric, quote_via=quote)}")
    return [charts, rates] if len(run_ids) <= MOST_BY_STEP else [charts]


def write_links(links: Sequence[Link]) -> list[Text]:
    """Return a line for each link: a hyperlink where the terminal shows them, else the address, if short."""
    if shows_hyperlinks():
        return [Text.assemble("  ", (link.name, Style(link=link.address, underline=True))) for link in links]
    return [Text(f"  {link.name}: {link.address}") for link in links if len(link.address) <= LONGEST]


def links_to_print(uri: str, experiment_id: str, run_ids: Sequence[str], sweep_id: str | None) -> list[Text]:
    """Return the lines that say how to see exactly these runs in MLflow, side by side.

    A server has its UI; before a file or a database, one has to be started first, which prints the links of a
    sweep itself.

    Args:
        uri: of the store; its password is not shown.
        experiment_id: the experiment of the runs.
        run_ids: the runs.
        sweep_id: the sweep that they are all of, if they are of one.
    """
    heading = "See it in MLflow:" if len(run_ids) == 1 else "See them side by side in MLflow:"
    links = comparison_links(
        without_password(uri) if is_served(uri) else UI, experiment_id, run_ids, sweep_id
    )
    if is_served(uri):
        return [Text(heading), *write_links(links)]
    command = f"{heading} {write_command('ui', uri, sweep_id)}"
    if sweep_id and not shows_hyperlinks():
        return [Text(command)]
    return [Text(f"{command}, then open"), *write_links(links)]


def write_command(name: str, uri: str, sweep_id: str | None) -> str:
    """Return the command of ratelab's that shows the runs; without a sweep it begins with the newest runs."""
    words = ["ratelab", name]
    if uri != resolve_store(STORE, Path.cwd()):
        words += ["--uri", without_password(uri)]
    return shlex.join([*words, "--sweep", sweep_id] if sweep_id else words)
