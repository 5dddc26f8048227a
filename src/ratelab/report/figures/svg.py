"""A matplotlib figure as SVG text that can stand in a page: the same every time, its colours variables."""

import contextlib
import io
import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from ratelab.report.figures import palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WIDTH = 4.8  # inches; of 345 points a phone shows each as about one pixel
FONT_SIZE = 9.0
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a name may hold "$"
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT_SIZE,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 0.5,
    "ytick.labelsize": FONT_SIZE - 0.5,
    "legend.fontsize": FONT_SIZE - 0.5,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "lines.dash_capstyle": "butt",
    "lines.scale_dashes": False,
    "path.simplify": False,  # every point that is given is drawn
    **dict.fromkeys(("text.color", "axes.titlecolor", "legend.labelcolor"), palette.INK.stand_in),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), palette.INK.stand_in),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), palette.MUTED.stand_in),
    "grid.color": palette.GRID.stand_in,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw inside the block in the report's style, whatever the user's settings of matplotlib are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def as_svg(canvas: "Canvas", slug: str, title: str, description: str) -> str:
    """Return the figure as one <svg> element whose ids begin with `slug`.

    Args:
        canvas: drawn inside `style`.
        slug: letters, digits and hyphens; no other figure of the page has it.
        title: of the figure, in plain text.
        description: what it shows, for those who cannot see it.
    """
    import matplotlib

    # ids are hashes of what is drawn and of a salt, which by default is a new one every time
    matplotlib.rcParams["svg.hashsalt"] = slug
    file = io.StringIO()
    canvas.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    # it names matplotlib's version and addresses, which change what should be the same and look like links
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    # styles in one figure would hold for the whole page
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.S)
    text = re.sub(r"<[^>]+>", lambda tag: _rewrite_tag(tag[0], slug), text)
    return _add_names(text, slug, title, description)


def make_standalone(svg: str) -> str:
    """Return the text of an SVG file that follows the reader's light or dark mode by itself."""
    head, _, rest = svg.partition("<title ")
    paper = "svg{background:var(--paper)}"
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n{head}<style>{palette.css()}{paper}</style>\n<title {rest}'
    )


def _rewrite_tag(tag: str, slug: str) -> str:
    """Return a tag with its ids made unique, its coordinates to a hundredth of a point, colours by name."""
    tag = re.sub(r'( id="|xlink:href="#|url\(#)', rf"\g<1>{slug}-", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
    for tone in palette.TONES:
        tag = tag.replace(f": {tone.stand_in}", f": var(--{tone.name})")
    return tag.replace("'DejaVu Sans', sans-serif", "var(--font)")


def _add_names(svg: str, slug: str, title: str, description: str) -> str:
    """Return the element with its title and description, which screen readers find by their ids."""
    head, _, rest = svg.partition(">")
    label = f' stroke-linejoin="round" role="img" aria-labelledby="{slug}-title {slug}-desc"'
    names = f'<title id="{slug}-title">{escape(title)}</title>'
    words = f'<desc id="{slug}-desc">{escape(description)}</desc>'
    return f"{head}{label}>\n{names}\n{words}{rest}"
