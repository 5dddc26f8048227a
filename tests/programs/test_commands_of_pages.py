"""Every command of the pages that show many and tell no story, in their order, made quick: each ends well."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT
from support.followed import call, make_quick, read_blocks, write
from support.programs import ONE_WORKER, begin, so_far, ui_server, wait_until

OURS, FILE = r"(PYTHONPATH=\S+ )?(python|ratelab) ", r"# \S+\.\w+\n"
# The same commands in seconds: the digits, one epoch, two seeds, two looks, three rates, short range tests.
# One worker, for each takes seconds to compile.
QUICKER = {
    r"train\.py(?=.*( -m |experiment=(tuned|decide)))(?!.*(workers=|launcher=))": f"train.py {ONE_WORKER}",
    r"python src/train\.py(?! --help)": "python src/train.py data=digits batch_size=24",
    r"train\.py(?!.* (epochs=|--help))": "train.py epochs=1",
    r"range\(0,\d+\)": "range(0,2)",
    "experiment=tuned": "experiment=tuned hydra.sweeper.tuning.points=3 'hydra.sweeper.tuning.seeds=[1000]'",
    "experiment=decide": "experiment=decide decide.most=8",
    "ratelab lr-find(?! data=)": "ratelab lr-find data=digits batch_size=24 --steps 50",
    "data=text model=transformer": "data=text data.file=README.md model=transformer model.layers=1",
    r"--steps 100\d*": "--steps 50",
}
RESULTS = "group,seed,value\n" + "".join(f"{group},{seed},0.9{seed}\n" for group in "ab" for seed in range(3))
ELSEWHERE = ("FIRST", "PARTITION")  # in commands that need other machines
PAGES = (
    "../README.md",
    "cluster.md",
    "lr_find.md",
    "reproducibility.md",
    "schedules.md",
    "tutorial_claim.md",
    "your_own.md",
)


def read_parts(page):
    """The commands of a page, each with all its lines, and the files that it shows: in their order."""
    blocks = [block.replace("\\\n", " ") for _, block in read_blocks(page)[1]]
    return [
        part
        for block in blocks
        for part in ([block] if re.match(FILE, block) else block.splitlines(keepends=True))
        if re.match(rf"{FILE}|{OURS}", part) and not any(word in part for word in ELSEWHERE)
    ]


PARTS = [part for page in PAGES for part in read_parts(page)]
DIFFERENT = {}  # by what they are when made quick: that is done once
for one in PARTS:
    DIFFERENT.setdefault(re.sub(r" +#.*\n", "\n", make_quick(one, QUICKER)), one)


class Reader:
    """Who does what a page says, in a folder with what the project has."""

    def __init__(self, folder):
        self._folder = folder
        (folder / "README.md").symlink_to(ROOT / "README.md")
        for name in ("src", "conf"):  # a page may add to them
            shutil.copytree(ROOT / name, folder / name)
        (folder / "results.csv").write_text(RESULTS)

    def do(self, part):
        """Do a command, which is to end well, or write a file."""
        if part.startswith("# "):
            write(part, self._folder)
        elif part.startswith("ratelab ui"):
            with ui_server(self._folder, "ui") as (_, port, said):
                assert f"http://127.0.0.1:{port}/" in said.read_text()
        else:
            if part.startswith("ratelab resume"):
                self._kill_a_sweep()
            elif "RUN_ID" in part:
                part = part.replace("RUN_ID", self._train_one())
            assert self._call(part)

    def _call(self, part):
        return call(part, self._folder, Path(sys.executable).parent, QUICKER)

    def _train_one(self):
        self._call("python src/train.py tracking.experiment=one")
        client = so_far(self._folder).client
        [one] = client.search_runs([client.get_experiment_by_name("one").experiment_id])
        return one.info.run_id

    def _kill_a_sweep(self):
        words = ["experiment=quick", "epochs=300", ONE_WORKER, "schedule=fixed", "tracking.experiment=killed"]
        process = begin(self._folder, "-m", *words)
        named = "tags.mlflow.runName = 'fixed seed=0' AND metrics.val_loss > 0"
        client = so_far(self._folder).client

        def has_trained():
            made = client.get_experiment_by_name("killed")
            return made and client.search_runs([made.experiment_id], named)

        wait_until(has_trained, process)
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(tmp_path_factory.mktemp("reader"))


@pytest.mark.parametrize("part", DIFFERENT.values(), ids=lambda part: part[:60].strip())
def test_every_command_ends_well(reader, part):
    reader.do(part)


def test_the_main_job_ends_well(reader):
    said = subprocess.run(
        ["make", "--dry-run", "sweep"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    [command] = re.findall(r"^\.venv/bin/(python src/train\.py .*)$", said.stdout, re.MULTILINE)
    reader.do(command)


@pytest.mark.parametrize("pattern", QUICKER)
def test_what_is_made_quicker_is_on_a_page(pattern):
    assert any(re.search(pattern, part) for part in PARTS)
