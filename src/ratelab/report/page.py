"""The report as one HTML page that needs nothing else: no network, no script, no font."""

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ratelab.comparison import Study
from ratelab.report.facts import facts, heading, when
from ratelab.report.figures import palette
from ratelab.report.figures.dots import SYMBOLS
from ratelab.report.figures.figure import Figure
from ratelab.report.tables import tables
from ratelab.tracking import Recorded

_TEMPLATE = "template.html.j2"


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of one comparison.

    Attributes:
        title: of the comparison.
        sentences: a symbol, the verdict, the sentence; no symbol and verdict for one about all pairs.
        notes: on the comparison.
    """

    title: str
    sentences: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def page(study: Study, found: Recorded, figures: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """Return the HTML.

    Args:
        study: what the report is about.
        found: where its runs come from.
        figures: what `draw_figures` returned.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = importlib.resources.files("ratelab.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"drawn": Markup, "data_uri": data_uri}
    return environment.from_string(source).render(
        css=Markup(palette.css()),  # noqa: S704 - our own constants
        heading=heading(study),
        title=found.title,
        when=when(found),
        verdicts=verdicts(study),
        notes=study.notes,
        tables=tables(study),
        figures=figures,
        facts=facts(study, found),
        tuned=bool(study.tuned),
    )


def verdicts(study: Study) -> list[Verdicts]:
    """Return the verdicts of each comparison."""
    return [
        Verdicts(
            one.title,
            tuple((SYMBOLS.get(c.verdict or "", ""), c.verdict or "", c.sentence) for c in one.conclusions),
            one.notes,
        )
        for one in study.comparisons
    ]


def data_uri(table: str) -> str:
    r"""Return CSV as an address that holds it.

    >>> data_uri("a,b\n")
    'data:text/csv;charset=utf-8,a,b%0A'
    """
    return f"data:text/csv;charset=utf-8,{quote(table, safe=',')}"
