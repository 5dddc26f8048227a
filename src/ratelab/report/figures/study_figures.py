"""All figures of a study, comparison by comparison."""

import re
from collections.abc import Sequence

from ratelab.comparison import Study
from ratelab.report.figures.curves import Curves
from ratelab.report.figures.dots import draw_differences, draw_final, draw_tuning
from ratelab.report.figures.figure import Figure
from ratelab.report.figures.lines import draw_loss, draw_rates, draw_validation
from ratelab.report.figures.svg import style

TITLE_OF_TUNING = "The choice of the base rates"


def draw_figures(study: Study, curves: Sequence[Curves]) -> list[tuple[str, list[Figure]]]:
    """Return the figures of each comparison, and that of the base rates, under their titles.

    Args:
        study: what the report is about.
        curves: of each of its comparisons.
    """
    # files and addresses inside the page are named after the slugs, so a number tells comparisons apart
    sections: list[tuple[str, list[Figure]]] = []
    with style():
        for number, (comparison, own) in enumerate(zip(study.comparisons, curves, strict=True), 1):
            suffix = f"-{number}" if len(study.comparisons) > 1 else ""
            metric, judge = _make_slug(comparison.looked.metric), _make_slug(comparison.outcome.metric)
            drawn = [
                draw_rates(comparison, own, f"learning-rates{suffix}"),
                draw_loss(own, f"training-loss{suffix}"),
                draw_validation(own, f"validation-{metric}-by-steps{suffix}", by_examples=False),
                draw_validation(own, f"validation-{metric}-by-examples{suffix}", by_examples=True),
                draw_final(comparison, f"final-{judge}{suffix}"),
                draw_differences(comparison, f"paired-differences{suffix}"),
            ]
            sections.append((comparison.title, [figure for figure in drawn if figure is not None]))
        if study.tuned:
            tuning = draw_tuning(study.tuned, "base-rates")
            sections.append((TITLE_OF_TUNING, [tuning]))
    return sections


def _make_slug(metric: str) -> str:
    """Return the name of a metric as files and addresses may have it.

    >>> _make_slug("bits_per_character")
    'bits-per-character'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", metric)
