"""What the documentation says exists, and what exists is documented."""

import re
import shlex

import pytest
import yaml
from hydra import compose, initialize_config_dir

from ratelab.commands.cli import commands
from ratelab.config import register_resolvers
from ratelab.config.composing import read_composed as read
from support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def places(page):
    """The places in a page that a link may name: its headings, as a code host writes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_headings_that_exist(page):
    links = re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text())
    missing = [(to, place) for to, place in links if place not in places(page.parent / to if to else page)]
    assert missing == []


def test_make_targets_in_the_pages_exist():
    named = {name for page in PAGES for name in re.findall(r"^make (\w+)", page.read_text(), re.MULTILINE)}
    assert {"sweep", "test", "check"} <= named
    assert named <= set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))


def test_every_make_target_says_what_it_is_for():
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    for target in phony:
        assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE), target


def test_every_command_is_in_the_readme():
    for name in commands.commands:
        assert f"ratelab {name}" in README


def test_every_group_and_option_is_in_the_readme():
    for group in (path for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "hydra"):
        row = re.search(rf"^\| `{group.name}` \|(.*)$", README, re.MULTILINE)[1]
        for option in group.glob("*.yaml"):
            assert f"`{option.stem}`" in row


def find_commands(start):
    """What follows on every line of the pages' blocks that starts so, as a shell gives it: lists of words."""
    blocks = [block for page in PAGES for block in re.findall(r"^```.*?^```", page.read_text(), re.M | re.S)]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line.removeprefix(start), comments=True) for line in lines if line.startswith(start)]
    return [words[: words.index(">") if ">" in words else None] for words in found]


def training_commands():
    ours = [words for words in find_commands("ratelab lr-find ") if "--config-dir" not in words]
    searches = [[word for word in words if "=" in word] for words in ours]
    return [*find_commands("python src/train.py"), *searches]


def test_the_readme_has_training_commands():
    assert len(training_commands()) >= 5


@pytest.mark.parametrize("words", training_commands(), ids=" ".join)
def test_training_commands_in_the_pages_compose(words):
    register_resolvers()
    firsts = [re.sub(r"=range\((\d+),.*\)", r"=\1", word) for word in words]  # of each sweep, the first job
    overrides = [word.partition(",")[0] for word in firsts if not word.startswith("-")]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        assert read(compose("config", overrides=overrides)).epochs >= 1


@pytest.mark.parametrize("words", find_commands("ratelab "), ids=" ".join)
def test_ratelab_commands_in_the_pages_are_understood(words):
    name, *others = words
    commands.commands[name].make_context(name, others)


def test_the_package_has_one_changelog_entry_to_be_released():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_help_names_every_key_of_data_and_of_tasks_and_no_other():
    """But the size of the validation split, which is a key of its own as well."""
    shown = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text())["hydra"]["help"]["template"]
    keys = {
        f"{group}.{key}"
        for group in ("data", "task")
        for file in (ROOT / "conf" / group).glob("*.yaml")
        for key in yaml.safe_load(file.read_text()).keys() - {"_target_", "validation_size"}
    }
    assert "data.target" in keys
    assert set(re.findall(r"\b(?:data|task)\.\w+", shown)) == keys
