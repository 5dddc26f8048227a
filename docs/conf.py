"""The documentation site as Sphinx reads it: `make docs`."""

import inspect
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from make_reference import make_reference
from sphinx.application import Sphinx

project = "ratelab"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "ratelab"
html_static_path = html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False  # LICENSE says whose it is

myst_heading_anchors = 4  # as on a code host, so that a link to a heading leads there on both
highlight_language = "none"  # a block without a language is of commands or of what they print
smartquotes_action = "D"  # only dashes: what is quoted is to be typed

default_role = "code"  # of single backticks in docstrings
napoleon_use_ivar = True  # a property is described once, though a class names it among its attributes
autodoc_typehints = "none"  # units and bounds are in the docstrings; pydantic's types take lines
autodoc_member_order = "bysource"


def setup(app: Sphinx) -> None:
    """Let pages be completed when they are read."""
    reference = make_reference()

    def complete(_: Sphinx, name: str, source: list[str]) -> None:
        source[0] += "\n" + reference.get(name, "")

    app.connect("source-read", complete)
    app.connect("autodoc-process-docstring", restore, priority=900)  # after napoleon


def restore(_: Sphinx, what: str, __: str, documented: object, ___: object, lines: list[str]) -> None:
    """Give a property its docstring back: napoleon takes the words before a colon in it for a type."""
    if what == "property":
        lines[:] = [*(inspect.getdoc(documented) or "").splitlines(), ""]
