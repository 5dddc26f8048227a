"""docs/schedules.md: no schedule is missing, and the page is the one that `make gallery` writes."""

import re
import xml.etree.ElementTree

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ratelab import config
from ratelab.config import register_resolvers
from ratelab.runs.job_of import make_schedule
from ratelab.schedules import cosine, tabulate
from support import ROOT
from support.scripts import load_script

PAGE = ROOT / "docs" / "schedules.md"
OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml"))
FIGURES = sorted((ROOT / "docs" / "schedules").glob("*.svg"))


@pytest.fixture(scope="module")
def files():
    return load_script("make_gallery").gallery()


def test_the_page_and_its_figures_are_up_to_date(files):
    stale = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run make gallery"


def test_no_figure_is_left_over(files):
    assert set(FIGURES) == {path for path in files if path.suffix == ".svg"}


@pytest.mark.parametrize("name", [*OPTIONS, "warmup", "join", "scale"])
def test_every_schedule_has_figure_formula_reference_and_when_to_use_it(name):
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    assert f"![{name}](schedules/{name}.svg)" in section
    assert re.search(r"^Use it ", section, re.MULTILINE)
    assert re.search(r"^Reference: \S", section, re.MULTILINE)
    assert re.search(r"```\n(rate|first)\(", section)


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_a_figure_is_small_and_well_formed(path):
    assert path.stat().st_size < 60_000
    assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg")  # noqa: S314 - our own file


def configuration(schedule, **others):
    """The project's configuration with a schedule as a YAML file would give it."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        values = OmegaConf.to_container(compose("config"), resolve=True)
    text = OmegaConf.to_container(OmegaConf.create(schedule))
    return config.read({**values, "schedule": text, "learning_rate": 1.0, **others})


def yaml_in(page, name):
    return re.search(rf"```yaml\n(# conf/schedule/{name}\.yaml\n.*?)```", page.read_text(), re.DOTALL)[1]


def test_the_joined_schedule_of_the_page_is_what_the_page_says():
    made = make_schedule(configuration(yaml_in(PAGE, "two_parts")), 40)
    expected = [*np.ones(20), *(0.1 * cosine(1.0, 20)(np.arange(20)))]
    np.testing.assert_array_equal(tabulate(made, 40), np.float32(expected))


def test_the_own_schedule_of_the_page_on_your_own_works(tmp_path, monkeypatch):
    page = ROOT / "docs" / "your_own.md"
    code = re.search(r"```python\n(# my_schedules\.py\n.*?)```", page.read_text(), re.DOTALL)[1]
    (tmp_path / "my_schedules.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    made = make_schedule(configuration(yaml_in(page, "half_way"), allow_targets=["my_schedules"]), 4)
    np.testing.assert_array_equal(tabulate(made, 4), np.float32([1, 1, 0.1, 0.1]))
