"""`make docs` for real: strict, with every link inside leading somewhere, and nothing from another host."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import ratelab
from ratelab import schedules
from ratelab.commands.cli import commands
from support import ROOT, SRC
from support.programs import HANGS

pytestmark = pytest.mark.skipif(
    find_spec("furo") is None, reason="the site needs Sphinx: pip install '.[docs]', or make test"
)
RECIPE = re.search(
    r"^docs:.*\n\t\$\(BIN\)/python (.*) docs build/site$", (ROOT / "Makefile").read_text(), re.M
)
PAGES = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """How the build ended, and the folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    options = RECIPE[1].replace("build/doctrees", str(folder / "doctrees")).split()
    done = subprocess.run(
        [sys.executable, *options, "docs", folder / "site"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    return done, folder / "site"


@pytest.fixture(scope="module")
def site(built):
    """The pages of the site as trees, by their addresses in it."""
    from bs4 import BeautifulSoup

    done, folder = built
    assert done.returncode == 0, done.stderr
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.html")}
    return {name: BeautifulSoup(path.read_text(), "html.parser") for name, path in files.items()}


def test_the_build_is_strict_and_has_nothing_to_say(built):
    assert "--fail-on-warning" in RECIPE[1]
    assert (built[0].returncode, built[0].stdout, built[0].stderr) == (0, "", "")


def test_every_page_of_the_documentation_can_be_reached_from_the_first(site):
    assert len(PAGES) >= 16
    listed = {link["href"].partition("#")[0] for link in site["index.html"].select(".sidebar-tree a")}
    assert {str(page) for page in PAGES} - listed == {"index.html"}


def test_every_link_inside_leads_to_a_file_and_to_a_place_in_it(built, site):
    _, folder = built
    targets = {name: {tag["id"] for tag in page.select("[id]")} | {"", "top"} for name, page in site.items()}
    followed, dead = 0, []
    for name, page in site.items():
        for link in page.select("a[href]"):
            address = urlsplit(urljoin(name, link["href"]))
            if address.scheme:
                continue
            followed += 1
            path = unquote(address.path) or name
            found = (folder / path).is_file() and unquote(address.fragment) in targets.get(path, {""})
            dead += [] if found else [f"{name}: {link['href']}"]
    assert dead == []
    assert followed > 1000


def test_nothing_is_asked_of_another_host(built, site):
    wanted = "script[src], link[href], img[src], source[srcset], iframe[src], object[data], video[src]"
    asked = [
        tag.get("src") or tag.get("href") or tag.get("srcset") or tag.get("data")
        for page in site.values()
        for tag in page.select(wanted)
    ]
    styles = [path.read_text() for path in built[1].rglob("*.css")]
    styles += [tag.text for page in site.values() for tag in page.select("style")]
    asked += [one for style in styles for one in re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)", style)]
    assert len(asked) > 100
    assert [each for each in asked if re.match(r"(\w+:)?//", each)] == []


def test_the_reference_has_every_command_option_of_a_group_and_name(site):
    titles = {title.find(string=True) for page in site.values() for title in page.select("h2, h3")}
    assert {f"ratelab {name}" for name in commands.commands} <= titles
    assert {f"{path.parent.name}={path.stem}" for path in (ROOT / "conf").glob("*/*.yaml")} <= titles
    ids = {tag["id"] for tag in site["reference/python.html"].select("dt[id]")}
    names = [f"ratelab.{name}" for name in ratelab.__all__]
    assert {*names, *(f"ratelab.schedules.{name}" for name in schedules.__all__ if name.islower())} <= ids
