"""Where runs are seen in MLflow's UI: short to read, and the right pages."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from ratelab.runtime.hyperlinks import names_one_that_shows_them
from ratelab.tracking import comparison_links, links
from ratelab.tracking.links import Link, links_to_print

CHARTS = (
    "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART"
    "&searchFilter={}&orderByKey=params.%60seed%60&orderByAsc=true"
)
RATES = (
    "http://127.0.0.1:5000/#/metric?runs=%5B%22a1%22%2C%20%22b2%22%5D&metric=%22learning_rate%22"
    "&experiments=%5B%221%22%5D&plot_metric_keys=%5B%22learning_rate%22%5D&x_axis=step"
    "&workflowType=machine_learning"
)


def test_the_links_name_the_runs_in_the_way_that_the_ui_reads() -> None:
    """All were looked at in Chromium with mlflow 3.17.2: these runs only, in its view for model training."""
    by_id = CHARTS.format("attributes.run_id%20IN%20%28%27a1%27%2C%20%27b2%27%29")
    assert comparison_links("http://127.0.0.1:5000/", "1", ["a1", "b2"]) == [
        Link("their charts", by_id),
        Link("their learning rates", RATES),
    ]
    of_sweep = CHARTS.format("tags.sweep_id%20%3D%20%27ab-1%27%20AND%20tags.schedule%20LIKE%20%27%25%27")
    assert comparison_links("http://127.0.0.1:5000", "1", ["a1", "b2"], "ab-1") == [
        Link("their charts", of_sweep),
        Link("their learning rates", RATES),
    ]
    page = "http://127.0.0.1:5000/#/experiments/1/runs/a1/model-metrics?workflowType=machine_learning"
    assert comparison_links("http://127.0.0.1:5000", "1", ["a1"]) == [Link("its charts", page)]


@pytest.mark.parametrize("number", [1, 2, 31, 300])
def test_the_runs_of_a_sweep_are_seen_by_one_short_command(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri, ids = f"sqlite:///{tmp_path}/mlruns/mlflow.db", [f"{n:032}" for n in range(number)]
    [line] = links_to_print(uri, "1", ids, "2026-01-31-ab")
    assert line.plain.endswith(" in MLflow: ratelab ui --sweep 2026-01-31-ab")
    assert len(line.plain) < 80


def test_a_command_for_a_store_elsewhere_names_it_as_a_shell_reads_it(tmp_path: Path) -> None:
    [line] = links_to_print("sqlite:////my%20disk/a b.db", "1", ["a1", "b2"], "x")
    assert line.plain.endswith("ratelab ui --uri 'sqlite:////my%20disk/a b.db' --sweep x")
    [line] = links_to_print("postgresql://me:hush@host/db", "1", ["a1", "b2"], "x")
    assert line.plain.endswith("ratelab ui --uri 'postgresql://me:***@host/db' --sweep x")


def test_a_terminal_that_shows_hyperlinks_gets_words_to_click_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "shows_hyperlinks", lambda: True)
    ids = [f"{n:032}" for n in range(10)]
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=80)
    for line in links_to_print("http://host", "1", ids, "ab-1"):
        console.print(line, soft_wrap=True, highlight=False)
    pages = [link.address for link in comparison_links("http://host", "1", ids, "ab-1")]
    assert re.findall(r"\x1b]8;id=\d+;(.*?)\x1b\\", file.getvalue()) == pages
    plain = re.sub(r"\x1b]8;.*?\x1b\\|\x1b\[\d*m", "", file.getvalue()).splitlines()
    assert plain == ["See them side by side in MLflow:", "  their charts", "  their learning rates"]


def test_an_address_that_would_fill_the_terminal_is_not_printed() -> None:
    many = links_to_print("http://host", "1", [f"{n:032}" for n in range(10)], "ab-1")
    assert [line.plain.partition(": ")[0] for line in many[1:]] == ["  their charts"]
    few = links_to_print("http://host", "1", ["a1", "b2"], "ab-1")
    assert [line.plain.partition(": ")[0] for line in few[1:]] == ["  their charts", "  their learning rates"]
    assert len(comparison_links("http://host", "1", ["a"] * 11, "ab-1")) == 1


def test_a_server_has_its_own_links_without_its_password() -> None:
    first, *lines = [
        line.plain for line in links_to_print("https://me:hush@host/mlflow", "1", ["a1", "b2"], None)
    ]
    assert first == "See them side by side in MLflow:"
    assert [line.partition("/#/")[0].partition(": ")[2] for line in lines] == [
        "https://me:***@host/mlflow"
    ] * 2


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "5000"}, False),
        ({"VTE_VERSION": "new"}, False),
        ({"TERM_PROGRAM": "vscode"}, True),
        ({"TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"WT_SESSION": "1"}, True),
        ({"VTE_VERSION": "7600", "TMUX": "1,2,3"}, False),
        ({"TERM_PROGRAM": "vscode", "STY": "1.pts"}, False),
        ({"TMUX": "1,2,3", "FORCE_HYPERLINK": "1"}, True),
        ({"TERM": "xterm-kitty", "FORCE_HYPERLINK": "0"}, False),
    ],
)
def test_hyperlinks_are_for_terminals_that_are_known_to_show_them(
    environment: dict[str, str], shown: bool
) -> None:
    assert names_one_that_shows_them(environment) is shown
