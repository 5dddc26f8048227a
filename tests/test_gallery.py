"""docs/schedules.md: no schedule is missing, and the page is the one that `make gallery` writes."""

import importlib.util
import re
import xml.etree.ElementTree

import pytest

from conftest import ROOT

PAGE = ROOT / "docs" / "schedules.md"
OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml"))
FIGURES = sorted((ROOT / "docs" / "schedules").glob("*.svg"))


@pytest.fixture(scope="module")
def files():
    spec = importlib.util.spec_from_file_location("make_gallery", ROOT / "docs" / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.gallery()


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
