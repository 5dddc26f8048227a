"""The report of a whole sweep, and how a browser lays a report out."""

import json
import re
import shutil
import subprocess

import pytest

from ratelab.report import make_report
from support import ROOT
from support.pages import Page
from support.studies import found, plain_study, recorded_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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


FRAME = """<!DOCTYPE html>
<iframe id="page" src="PAGE" style="width:WIDTHpx;height:800px;border:0"></iframe>
<pre id="seen"></pre>
<script>
onload = () => {
  const page = document.getElementById("page").contentDocument, root = page.documentElement;
  const boxes = [...page.querySelectorAll("svg text")].map(text => text.getBoundingClientRect());
  document.getElementById("seen").textContent = JSON.stringify({
    scroll: root.scrollWidth, client: root.clientWidth,
    texts: boxes.map(box => [box.left, box.right, box.height]),
    tables: [...page.querySelectorAll(".scroll")].map(table => table.scrollWidth - table.clientWidth),
  });
}
</script>
"""
HEADLESS = [
    *("--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"),
    *("--allow-file-access-from-files", "--window-size=1600,1000", "--enable-logging=stderr"),
]


def measured_in_chromium(path, width, folder):
    """What the page says of its widths, in a frame as wide as a phone: windows have a least width."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("PAGE", path.name).replace("WIDTH", str(width)))
    shutil.copy(path, folder / path.name)
    command = [CHROMIUM, *HEADLESS, f"--user-data-dir={folder}/profile", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Content Security Policy" not in done.stderr  # which is where it says what it refused
    return json.loads(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)[1])


@pytest.fixture(scope="module")
def report(tracker, tmp_path_factory):
    made = recorded_study(tracker)
    tracker.flush()
    path = tmp_path_factory.mktemp("report") / "report.html"
    make_report(made, found(), tracker.uri, path)
    return path


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; with it the page is laid out")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["few", "many"])
def test_the_page_fits_a_phone_and_a_desktop(kind, width, report, tracker, tmp_path):
    if kind == "many":
        names = [f"exponential schedule.decay_steps={n} schedule.decay_rate=0.5" for n in range(20)]
        report = tmp_path / "many.html"
        make_report(plain_study(names), found(), tracker.uri, report)
    (tmp_path / "shown").mkdir()
    seen = measured_in_chromium(report, width, tmp_path / "shown")
    assert seen["client"] == width
    assert seen["scroll"] <= width
    assert seen["texts"]
    for left, right, height in seen["texts"]:
        assert left >= 0
        assert right <= width
        assert height >= 8  # CSS pixels: legible


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; with it the page is laid out")
def test_no_table_scrolls_sideways_at_1000_pixels(tracker, tmp_path):
    made = plain_study(["exponential", "linear_cosine", "noisy_linear_cosine"], seeds=range(8))
    make_report(made, found(), tracker.uri, tmp_path / "report.html")
    (tmp_path / "shown").mkdir()
    seen = measured_in_chromium(tmp_path / "report.html", 1000, tmp_path / "shown")
    assert seen["tables"] == [0, 0, 0]
