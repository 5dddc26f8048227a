"""Every command of docs/tutorial.md, in their order, on the digits; what it shows is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT, SRC
from support.followed import call, read_blocks
from support.programs import HANGS, ONE_WORKER, RATELAB, Done, is_parent, wait_until
from support.servers import free_port

PAGE, BLOCKS = read_blocks("tutorial.md")
# The same commands in seconds: a small data set, one worker for so little, at most two looks at the seeds.
QUICKER = {
    "python src/train.py": f"python src/train.py data=digits batch_size=24 epochs=2 {ONE_WORKER}",
    "experiment=decide": "experiment=decide decide.most=8",
}
READY = "Ctrl-C ends the server.\n"


def open_pages(folder):
    """Start `ratelab ui`, end it as soon as it is ready, and return what it printed."""
    said = folder / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [*RATELAB, "ui", "--port", str(free_port())],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SRC)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: said.read_text().endswith(READY), process)
    finally:
        process.terminate()
        process.wait(timeout=HANGS)
    return said.read_text()


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What a reader has who did what the page says, and all that was printed."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("src", "conf"):
        (folder / name).symlink_to(ROOT / name)
    printed = []
    for block in (block for language, block in BLOCKS if language == "sh"):
        if block == "ratelab ui\n":
            printed.append(open_pages(folder))
        else:
            printed.append(call(block, folder, Path(sys.executable).parent, QUICKER, PYTHONPATH=str(SRC)))
    return Done(folder, 0, "".join(printed), "")


def test_the_page_has_commands_what_they_print_and_how_to_install():
    installation, *others = BLOCKS
    assert installation == ("", "make sweep\n. .venv/bin/activate\n")
    assert {language for language, _ in others} == {"sh", "text"}


def test_the_first_command_is_that_of_make_sweep():
    [first, *_] = [block for language, block in BLOCKS if language == "sh"]
    recipe = re.search(r"^sweep:.*\n\t\$\(BIN\)/(.*\n)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert first == recipe


@pytest.mark.parametrize("pattern", QUICKER)
def test_what_is_made_quicker_is_on_the_page(pattern):
    assert re.search(pattern, PAGE)


def test_every_run_of_the_page_is_recorded(followed):
    runs = followed.everything
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len([run for run in runs if is_parent(run)]) == 3
    assert len([run for run in runs if not is_parent(run)]) >= 30 + 42 + 40 + 12


def test_what_the_page_shows_is_printed(followed):
    """The titles, without their numbers, however the terminal breaks them; verdicts depend on the data."""

    def words(text):
        return re.sub(r"(\S*\d\S*|\W)+", " ", text)

    shown = [block for language, block in BLOCKS if language == "text" and not block.startswith("*")]
    titles = [words(block.partition("\n")[0]) for block in shown]
    printed = words(followed.out)
    assert len(titles) == 6
    assert [title for title in titles if title not in printed] == []


def test_the_figures_are_where_the_page_says(followed):
    assert "report.html" in followed.out
    assert len(list((followed.folder / "figures").glob("*.svg"))) >= 3
