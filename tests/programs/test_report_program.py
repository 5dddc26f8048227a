"""The report of a whole sweep, and how a browser lays a report out."""

import subprocess

import pytest

from ratelab.report import make_report
from support import ROOT
from support.browser import find_cut, find_scrolling, open_page
from support.pages import Page
from support.studies import found, plain_study, recorded_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


def test_a_sweep_ends_with_its_report_which_the_parent_run_keeps(train_py, tmp_path):
    words = ["-m", "experiment=quick", "epochs=1", "schedule=fixed,staircase", "seed=0,1"]
    uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run(
        [*train_py, *words, uri, f"hydra.sweep.dir={tmp_path}/sweep"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    report = tmp_path / "sweep" / "report.html"
    assert done.stdout.splitlines()[-1] == f"report: {report}"
    kept = list(tmp_path.glob("artifacts/*/*/artifacts/report.html"))
    assert [path.read_bytes() for path in kept] == [report.read_bytes()]
    page = Page(report.read_text(encoding="utf-8"))
    assert len(page.all("figure")) == 5
    assert str(tmp_path) not in page.all("footer")[0]["text"]


@pytest.fixture(scope="module")
def report(tracker, tmp_path_factory):
    made = recorded_study(tracker)
    tracker.flush()
    path = tmp_path_factory.mktemp("report") / "report.html"
    make_report(made, found(), tracker.uri, path)
    return path


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["few", "many"])
def test_the_page_fits_a_phone_and_a_desktop(kind, width, report, tracker, browser, tmp_path):
    if kind == "many":
        names = [f"exponential schedule.decay_steps={n} schedule.decay_rate=0.5" for n in range(20)]
        report = tmp_path / "many.html"
        make_report(plain_study(names), found(), tracker.uri, report)
    with open_page(browser, width) as watched:
        watched.page.goto(report.as_uri())
        assert find_cut(watched.page) == []
        assert watched.errors == []  # which is where Chromium says what a page's policy refused


def test_no_table_scrolls_sideways_at_1000_pixels(tracker, browser, tmp_path):
    made = plain_study(["exponential", "linear_cosine", "noisy_linear_cosine"], seeds=range(8))
    make_report(made, found(), tracker.uri, tmp_path / "report.html")
    with open_page(browser, 1000) as watched:
        watched.page.goto((tmp_path / "report.html").as_uri())
        assert find_scrolling(watched.page) == [False] * 3
