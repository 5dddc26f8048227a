"""Every file and every command of docs/your_own_data.md, in their order, in a folder of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT
from support.programs import HANGS, Done, is_parent

PAGE = (ROOT / "docs" / "your_own_data.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# The same commands on a day, not on an evening: fewer epochs and seeds, a smaller text and transformer.
QUICKER = {
    r"\bepochs=\d+": "epochs=1",
    r"range\(0,\d+\)": "range(0,2)",
    "data=text model=transformer": "data=text data.file=README.md model=transformer model.layers=1",
}


def write(block, folder):
    """Write a block into the file that its first line names."""
    [name] = re.findall(r"\A# (\S+)$", block, re.MULTILINE)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block)


def call(block, folder):
    """Do the commands of a block, quicker, with the programs of this environment; each must end well."""
    for pattern, quick in QUICKER.items():
        block = re.sub(pattern, quick, block)
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu"],
        input=block,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, block + done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What a reader has who did what the page says, and all that was printed."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("src", "conf", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    printed = []
    for language, block in BLOCKS:
        if language == "sh":
            printed.append(call(block, folder))
        else:
            write(block, folder)
    return Done(folder, 0, "".join(printed), "")


def test_the_page_has_only_files_and_commands():
    assert {language for language, _ in BLOCKS} == {"python", "yaml", "sh"}


@pytest.mark.parametrize("pattern", QUICKER)
def test_what_is_made_quicker_is_on_the_page(pattern):
    assert re.search(pattern, PAGE)


def test_each_run_of_the_page_is_judged_by_the_metric_of_its_task(followed):
    runs = [run for run in followed.everything if not is_parent(run)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    measured = {(run.data.tags["data"], key) for run in runs for key in run.data.metrics}
    assert {(data, key) for data, key in measured if key.startswith("test_") and key != "test_loss"} == {
        ("table", "test_accuracy"),
        ("table", "test_rmse"),
        ("table", "test_r2"),
        ("arrays", "test_accuracy"),
        ("mnist1d", "test_accuracy"),
        ("text", "test_bits_per_character"),
        ("waves", "test_mae"),
    }


def test_the_comparison_of_the_page_is_of_the_loss(followed):
    assert "Test loss, once, after the last step" in followed.out


def test_a_run_of_the_page_learns_from_a_parquet_file(followed):
    given = {Path(run.data.params.get("data.file", "")).name: run for run in followed.everything}
    assert given["large.parquet"].data.metrics["test_r2"] > 0.5
