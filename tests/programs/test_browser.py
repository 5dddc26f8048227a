"""A sweep as its user sees it in a browser: MLflow's pages by the links that were printed, and the report."""

import csv
import json
import os
import re
import shlex
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from ratelab.report.figures import palette
from support.browser import WAIT, find_cut, find_scrolling, open_page
from support.programs import begin, finish, ratelab, so_far, train, ui_server, wait_until

PICTURES = os.environ.get("PICTURES")  # the folder that they are written into, if they are
SEEDS = "range(0,10)" if PICTURES else "0,1"  # enough for a verdict, or for the tests
SWEEP = ["-m", "experiment=quick", "schedule=fixed,cosine"]
STEPS = 250  # of each run of it
NAMES = {"fixed seed=0", "fixed seed=1", "cosine seed=0", "cosine seed=1"}
# of MLflow's own pages: they ask who the user is, and for a shorter way to an artifact; not all servers know
MLFLOW = re.compile(r"ResizeObserver loop|status of (404|501) .*/ajax-api/")
expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two schedules with two seeds each, recorded in SQLite."""
    done = train(tmp_path_factory.mktemp("browser"), *SWEEP, f"seed={SEEDS}")
    assert (done.status, done.err) == (0, "")
    return done


@pytest.fixture(scope="module")
def links(sweep):
    """The pages of the sweep, by the command that it printed; they are served as long as tests need them."""
    [command] = re.findall(r"^See them side by side in MLflow: ratelab (.*)$", sweep.out, re.MULTILINE)
    with ui_server(sweep.folder, *shlex.split(command)) as (_, _, said):
        yield dict(re.findall(r"^  (.*): (http.*)$", said.read_text(), re.MULTILINE))


@pytest.fixture
def mlflow(browser, links):
    """A page for MLflow's UI, which asks no other host and writes no error of which we are the cause."""
    with open_page(browser) as watched:
        yield watched.page
        assert watched.hosts - {""} == {urlsplit(links["their charts"]).netloc}
        assert [error for error in watched.errors if not MLFLOW.search(error)] == []


def open_charts(page, address):
    """Open the page of runs and charts; beside them lies a panel, which is of no use here."""
    page.goto(address)
    page.get_by_role("button", name="Close").click()


def read_lines(page, runs):
    """Return steps and rates of every line in the chart of the learning rate, by the name of its run.

    Args:
        page: of MLflow's that has the chart, before all others.
        runs: how many lines are waited for.
    """
    chart = page.locator(".js-plotly-plot").first
    expect(chart).to_be_visible()
    lines = "new Map(g.data.filter(line => line.x.length).map(line => [line.name, [line.x, line.y]]))"
    page.wait_for_function(f"([g, runs]) => {lines}.size == runs", arg=[chart.element_handle(), runs])
    return dict(chart.evaluate(f"g => [...{lines}]"))


def assert_rates_of_every_step(sweep, lines):
    assert lines.keys() == NAMES
    for name, (steps, rates) in lines.items():
        recorded, values = sweep.points(sweep.runs[name], "learning_rate")
        assert steps == recorded == list(range(STEPS))
        np.testing.assert_array_equal(np.float32(rates), values)


def test_the_charts_have_the_runs_by_schedule_and_seed_and_a_line_of_rates_for_each(sweep, links, mlflow):
    open_charts(mlflow, links["their charts"])
    expect(mlflow.get_by_text("4 matching runs")).to_be_visible()
    runs = mlflow.get_by_role("link", name=re.compile(r" seed=\d$"))
    expect(runs).to_have_count(4)
    assert set(runs.all_inner_texts()) == NAMES
    assert [name[-1] for name in runs.all_inner_texts()] == ["0", "0", "1", "1"]
    assert_rates_of_every_step(sweep, read_lines(mlflow, 4))


def test_the_page_of_rates_has_a_line_for_each_run(sweep, links, mlflow):
    mlflow.goto(links["their learning rates"])
    assert_rates_of_every_step(sweep, read_lines(mlflow, 4))


def test_the_comparison_of_parameters_shows_what_was_swept_and_only_that(sweep, links, mlflow):
    open_charts(mlflow, links["their charts"])
    mlflow.get_by_role("checkbox", name="Select all runs").check()
    mlflow.get_by_role("button", name="Compare").click()
    expect(mlflow.get_by_role("heading", name="Comparing 4 Runs from 1 Experiment")).to_be_visible()
    table = mlflow.get_by_role("table").filter(has=mlflow.get_by_role("rowheader", name="schedule._target_"))
    alike = table.get_by_role("rowheader", name="epochs")
    expect(alike).to_be_visible()
    mlflow.get_by_role("switch", name="Parameters - Show diff only").click()
    expect(alike).to_have_count(0)
    given = [run.data.params for run in sweep.children.values()]
    names = set().union(*given)
    swept = {name for name in names if len({params.get(name) for params in given}) > 1}
    assert {"schedule._target_", "seed"} < swept
    assert {name.strip() for name in table.get_by_role("rowheader").all_inner_texts()} == swept


def test_the_parent_run_has_the_report_and_gives_it_away_as_it_is(sweep, links, mlflow):
    """From inside MLflow's page it cannot give its data away, as it says: the page allows no download."""
    open_charts(mlflow, links["their charts"])
    mlflow.get_by_role("link", name="fixed seed=0").click()
    mlflow.get_by_role("link", name=sweep.parent.info.run_name).click()
    mlflow.get_by_role("tab", name="Artifacts").click()
    mlflow.get_by_text("report.html").first.click()
    frame = mlflow.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Verdicts")).to_be_visible()
    expect(frame.get_by_text("download the report there and open it")).to_be_visible()
    expect(frame.locator("figure")).to_have_count(5)
    with mlflow.expect_download() as download:
        mlflow.locator("button[data-component-id*='artifactview']").click()
    assert download.value.path().read_bytes() == (sweep.job_folder / "report.html").read_bytes()


@pytest.fixture(params=[("light", 390), ("light", 1280), ("dark", 390), ("dark", 1280)], ids=str)
def report(request, browser, sweep):
    """The report by itself in a mode of colours and a width; it asks for nothing and has no error."""
    scheme, width = request.param
    with open_page(browser, width, color_scheme=scheme) as watched:
        watched.page.goto((sweep.job_folder / "report.html").as_uri())
        yield watched.page
        assert (watched.hosts, watched.errors) == ({""}, [])


def test_nothing_in_the_report_is_cut_and_only_its_tables_scroll(report):
    assert find_cut(report) == []
    assert any(find_scrolling(report)) == (report.viewport_size["width"] == 390)


def test_its_figures_have_the_colours_of_the_mode_and_no_other(report):
    dark = report.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    tones = {tone.name: tone.dark if dark else tone.light for tone in palette.TONES}
    marks = report.locator("figure svg :is(path, text, use):not(defs *)")
    painted = """marks => marks.flatMap(mark => {
      const style = getComputedStyle(mark);
      return [style.fill, style.stroke].filter(color => color != "none");
    })"""
    colours = [re.findall(r"\d+", colour) for colour in marks.evaluate_all(painted)]
    shown = ("ink", "muted", "grid", "paper", "series-1", "series-2")
    assert {f"#{bytes(map(int, colour)).hex()}" for colour in colours} == {tones[name] for name in shown}


def test_axe_finds_no_fault_in_the_report(report):
    found = Axe().run(report).response
    assert found["passes"]
    assert [(fault["id"], fault["impact"]) for fault in found["violations"]] == []


def test_its_data_are_files_with_the_numbers_of_compare(browser, sweep):
    tables = {}
    with open_page(browser) as watched:
        watched.page.goto((sweep.job_folder / "report.html").as_uri())
        for link in watched.page.get_by_role("link").all():
            with watched.page.expect_download() as download:
                link.click()
            assert download.value.suggested_filename == link.inner_text()
            with download.value.path().open(newline="") as file:
                tables[link.inner_text()] = list(csv.DictReader(file))
    assert len(tables) == 5
    [compared] = json.loads(ratelab(sweep.folder, "compare", "--format", "json").out)["comparisons"]
    for group in compared["groups"]:
        own = [row for row in tables["final-accuracy.csv"] if row["group"] == group["group"]]
        assert {float(row["group_mean"]) for row in own} == {group["mean"]}
        assert min(float(row["accuracy"]) for row in own) == group["worst"]
        last = np.float32(tables["learning-rates.csv"][-1][group["group"]])
        assert last == np.float32(group["final_rate"])
    [pair] = compared["pairs"]
    rows = tables["paired-differences.csv"]
    assert {(row["first"], row["second"]) for row in rows} == {(pair["first"], pair["second"])}
    assert {float(row["mean"]) for row in rows} == {pair["difference"]}
    assert len(rows) == pair["n"] == 2


def take_picture(page, name):
    """Take what the page shows; `make pictures` asks that it is written."""
    picture = page.screenshot()
    assert len(picture) < 200_000  # bytes, in a repository
    if PICTURES:
        Path(PICTURES, name).write_bytes(picture)


def test_a_picture_of_the_charts(links, mlflow):
    open_charts(mlflow, links["their charts"])
    read_lines(mlflow, 10 if PICTURES else 4)  # of more runs it draws the first ten
    take_picture(mlflow, "mlflow.png")


def test_a_picture_of_the_report(browser, sweep):
    with open_page(browser) as watched:
        watched.page.goto((sweep.job_folder / "report.html").as_uri())
        take_picture(watched.page, "report.png")


def find_last_steps(folder):
    """Return the last step that the store has of each run that is running."""
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as store:
        rows = store.execute(
            "SELECT max(step) FROM metrics JOIN runs USING (run_uuid) "
            "WHERE key = 'learning_rate' AND status = 'RUNNING' GROUP BY run_uuid"
        )
        return [step for (step,) in rows]


def test_the_chart_of_rates_grows_while_a_sweep_runs(sweep, links, mlflow):
    before = sweep.parent.data.tags["sweep_id"]
    process = begin(sweep.folder, *SWEEP, "seed=0", "model=cnn", "epochs=20000")
    try:
        wait_until(lambda: len(find_last_steps(sweep.folder)) == 2, process)
        [running] = {run.data.tags["sweep_id"] for run in so_far(sweep.folder).everything} - {before}
        open_charts(mlflow, links["their charts"].replace(before, running))
        first = read_lines(mlflow, 2)
        seen = max(find_last_steps(sweep.folder))
        wait_until(lambda: min(find_last_steps(sweep.folder)) > seen, process)
        mlflow.reload()
        second = read_lines(mlflow, 2)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        finish(process, sweep.folder)
    assert first.keys() == second.keys() == {"fixed seed=0", "cosine seed=0"}
    for name, (steps, _) in first.items():
        assert max(second[name][0]) > max(steps)
