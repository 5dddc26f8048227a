"""Every file and every command of docs/your_own_project.md, in their order, with nothing but a wheel."""

import re

import numpy as np
import pytest
import yaml

from support.followed import call, read_blocks, write
from support.programs import Done
from support.wheels import PIP, WITHOUT, build_wheel, make_environment

PAGE, BLOCKS = read_blocks("your_own_project.md")
# The same commands on a day, not on an evening: one seed, one worker for so little, shorter range tests.
QUICKER = {
    r"seed='range\(0,6\)'": "seed=0 hydra.launcher.workers=1",
    "ratelab lr-find ": "ratelab lr-find --steps 50 ",
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The project of a reader who did what the page says, and all that was printed."""
    folder = tmp_path_factory.mktemp("reader")
    build_wheel(folder)
    programs = make_environment(tmp_path_factory.mktemp("environment"))
    printed = []
    for language, block in BLOCKS:
        here = folder / "demo" if (folder / "demo").exists() else folder  # the first block goes there
        if language == "sh":
            printed.append(call(block, here, programs, QUICKER, **PIP, **WITHOUT, PYTHONWARNINGS="ignore"))
        else:
            write(block, here)
    return Done(folder / "demo", 0, "".join(printed), "")


def test_the_page_has_only_files_and_commands():
    assert {language for language, _ in BLOCKS} == {"python", "yaml", "sh"}


@pytest.mark.parametrize("pattern", QUICKER)
def test_what_is_made_quicker_is_on_the_page(pattern):
    assert re.search(pattern, PAGE)


def test_every_file_of_the_project_is_on_the_page(followed):
    own = re.findall(r"^# (\S+)$", "".join(block for _, block in BLOCKS), re.MULTILINE)
    made = {"multirun", "mlruns", "__pycache__"}
    files = [path.relative_to(followed.folder) for path in followed.folder.rglob("*") if path.is_file()]
    there = {str(path) for path in files if not made & set(path.parts)}
    listed = {*re.findall(r"`([\w/]+\.(?:py|yaml))`", PAGE.partition("```sh\npython train.py -m")[0]), *own}
    assert there - listed == {"README.md", "curves.svg", "lr_find.png", "report.html"}


def test_the_sweep_of_the_page_has_the_rates_that_its_files_say(followed):
    runs = [run for run in followed.everything if run.data.params.get("epochs") == "20"]
    runs = [run for run in runs if "kind" not in run.data.tags]  # neither the sweep nor the range test
    assert [(run.info.status, run.data.tags["data"]) for run in runs] == [("FINISHED", "noisy")] * 3
    steps = np.arange(200)
    expected = {
        "thirds": 0.5 * 0.3 ** (3 * steps // 200),
        "low_cosine": 0.5 * (0.1 + 0.9 * (1 + np.cos(np.pi * steps / 200)) / 2),
        "exponential": 0.5 * 0.7 ** (steps / 50),
    }
    assert {run.data.tags["schedule"] for run in runs} == set(expected)
    for run in runs:
        rates = expected[run.data.tags["schedule"]].astype(np.float32)
        np.testing.assert_array_equal(followed.steps(run)["learning_rate"], rates)


def test_what_the_page_prints_is_what_its_experiment_says(followed):
    shown = yaml.safe_load("data:\n" + followed.out.partition("\ndata:\n")[2].partition("\nallow_targets")[0])
    assert (shown["data"]["noise"], shown["data"]["examples"]) == (0.4, 600)
    assert shown["model"] == {"_target_": "mine.two_layers", "units": 32}
    assert (shown["schedule"]["factor"], shown["learning_rate"], shown["epochs"]) == (0.3, 0.5, 20)


def test_the_last_run_of_the_page_is_the_one_before_with_another_seed(followed):
    *_, before, again = sorted(followed.folder.glob("multirun/*/*/.hydra/config.yaml"))
    values = yaml.safe_load(before.read_text())
    assert (values["seed"], values["epochs"]) == (0, 40)
    assert yaml.safe_load(again.read_text()) == {**values, "seed": 5}
