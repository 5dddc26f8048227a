"""Every file and every command of docs/your_own_data.md, in their order, in a folder of their own."""

import re
import sys
from pathlib import Path

import pytest

from support import ROOT
from support.followed import call, read_blocks, write
from support.programs import ONE_WORKER, Done, is_parent

PAGE, BLOCKS = read_blocks("your_own_data.md")
# The same commands on a day, not on an evening: fewer epochs and seeds, one worker for so little, a smaller
# text and transformer.
QUICKER = {
    r"train\.py -m": f"train.py -m {ONE_WORKER}",
    r"\bepochs=\d+": "epochs=1",
    r"range\(0,\d+\)": "range(0,2)",
    "data=text model=transformer": "data=text data.file=README.md model=transformer model.layers=1",
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What a reader has who did what the page says, and all that was printed."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("src", "conf", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    printed = []
    for language, block in BLOCKS:
        if language == "sh":
            printed.append(call(block, folder, Path(sys.executable).parent, QUICKER))
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
