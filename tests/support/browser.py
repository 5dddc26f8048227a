"""Chromium as Debian has it, driven by Playwright, and what pages say and ask for in it."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WAIT = 120_000  # milliseconds that no page here needs, however busy the machine is

# the words that leave the page, or the figure or table that they are in, or that are too small to be read
CUT = """() => {
  const page = document.documentElement, cut = [], texts = document.createTreeWalker(document.body, 4);
  if (page.scrollWidth > innerWidth) cut.push(`the page is ${page.scrollWidth} wide`);
  while (texts.nextNode()) {
    const text = texts.currentNode, range = document.createRange();
    if (!text.data.trim() || text.parentElement.closest("title, desc")) continue;
    range.selectNodeContents(text);
    const words = range.getBoundingClientRect();
    const paper = (text.parentElement.closest("svg, table") ?? page).getBoundingClientRect();
    const inside = words.left >= paper.left && words.right <= paper.right
      && words.top >= paper.top && words.bottom <= paper.bottom;
    if (!inside || words.height < 8) cut.push(text.data);
  }
  return cut;
}"""


@dataclass
class Watched:
    """A page, the errors that it wrote on its console, and the hosts that it asked for something.

    Attributes:
        page: Playwright's.
        errors: the messages, and exceptions that nothing caught.
        hosts: with their ports; "" for files and for what a page holds itself.
    """

    page: object
    errors: list = field(default_factory=list)
    hosts: set = field(default_factory=set)

    def __post_init__(self):
        self.page.set_default_timeout(WAIT)
        self.page.on("console", self._take)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _take(self, said):
        if said.type == "error":
            self.errors.append(f"{said.text} {said.location['url']}")


@contextmanager
def open_browser():
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: with it (Debian's package `chromium`) pages are looked at")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES) as browser,
    ):
        yield browser


@contextmanager
def open_page(browser, width=1280, **options):
    """An empty page, watched; the options are those of `new_context`."""
    with browser.new_context(viewport={"width": width, "height": 900}, **options) as context:
        yield Watched(context.new_page())


def find_cut(page):
    """Return the words of a report that do not fit into their place, and whether the page does not."""
    return page.evaluate(CUT)


def find_scrolling(page):
    """Say of each table of a report whether it scrolls sideways."""
    scrolls = "boxes => boxes.map(box => box.scrollWidth > box.clientWidth)"
    return page.locator(".scroll").evaluate_all(scrolls)
