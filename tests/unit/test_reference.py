"""The site's reference has every command with its options, and every key of conf/ with its comment."""

import re

import pytest
from omegaconf import OmegaConf

from ratelab.commands.cli import commands
from support import ROOT
from support.in_process import ratelab
from support.scripts import load_script

CONF = ROOT / "conf"
FILES = sorted(CONF.rglob("*.yaml"))


@pytest.fixture(scope="module")
def reference():
    return load_script("make_reference").make_reference()


def section(page, title):
    """What stands below a heading, as it is read: without Markdown's marks."""
    text = re.search(rf"^###? {re.escape(title)}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)[1]
    return re.sub(r"[`\\]|\]\([^)]*\)", "", text)


def test_only_pages_that_exist_are_completed(reference):
    assert {f"{name}.md" for name in reference} == {
        "reference/commands.md",
        "reference/configuration.md",
    }
    assert all((ROOT / "docs" / f"{name}.md").exists() for name in reference)


@pytest.mark.parametrize("name", sorted(commands.commands.keys() - {"train"}))
def test_a_command_has_every_word_of_its_help(reference, name, tmp_path):
    helped = ratelab(tmp_path, name, "--help")
    assert helped.status == 0
    words = re.sub(r"\bUsage:|\bOptions:|`", "", helped.out).split()
    shown = section(reference["reference/commands"], f"ratelab {name}").split()
    assert "--help" in words
    assert sorted(word for word in words if word not in shown) == []


def test_training_has_the_options_of_hydra(reference):
    shown = section(reference["reference/commands"], "ratelab train")
    options = {
        "--cfg, -c CFG",
        "--multirun, -m",
        "--config-dir, -cd CONFIG_DIR",
        "--config-name, -cn CONFIG_NAME",
    }
    assert {option for option in options if f"* {option}\n" in shown} == options


def leaves(values, prefix=""):
    """The name of every value inside a mapping."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_of_a_file_is_listed(reference, path):
    page = reference["reference/configuration"]
    group = path.parent.relative_to(CONF).as_posix()
    shown = page.partition("\n## ")[0] if group == "." else section(page, f"{group}={path.stem}")
    is_global = group == "." or "# @package _global_" in path.read_text()
    values = OmegaConf.to_container(OmegaConf.load(path))
    keys = leaves(values, "" if is_global else f"{group.replace('/', '.')}.")
    listed = re.findall(r"^\* `?([\w./]+):", shown, re.MULTILINE)
    assert listed == [key for key in keys if key != "defaults"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_comment_of_a_file_is_there(reference, path):
    page = re.sub(r"[`\\]|\]\([^)]*\)", "", reference["reference/configuration"])
    comments = re.findall(r"^ *# +(.*)$", path.read_text(), re.MULTILINE)
    lines = [line.replace("`", "").replace("[", "") for line in comments if "@package" not in line]
    assert [line for line in lines if line not in page.replace("[", "")] == []


def test_a_file_of_an_experiment_says_what_it_chooses(reference):
    shown = section(reference["reference/configuration"], "experiment=toy")
    assert "* chooses data=digits, model=softmax, schedule=exponential\n" in shown
