"""A study for other programs: data frames, CSV and JSON, its numbers in full precision."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ratelab.comparison import Study
from ratelab.report.projection import make_tables
from ratelab.report.tables import Row

if TYPE_CHECKING:
    import pandas as pd


def groups_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each group of each comparison.

    Columns: comparison, metric, group, n, mean, sd, low, high, interval, iqm, worst, worst_seed, diverged,
    final_rate, seconds, target, reached, steps_to_target, seconds_to_target, examples_to_target.
    """
    return _make_frame(row for section in make_tables(study).sections for row in section.groups.rows)


def pairs_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each pair of each comparison.

    Columns: comparison, metric, first, second, n, difference, low, high, interval, p, p_holm, improvement,
    effect_size, verdict, sentence.
    """
    return _make_frame(row for section in make_tables(study).sections for row in section.pairs.rows)


def tuning_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each schedule and base rate that was tried.

    Columns: metric, group, learning_rate, n, mean (on the validation split), diverged, best, edge.
    """
    return _make_frame(make_tables(study).tried)


def sensitivity_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each tuned schedule, then one for each pair: `group` less `minus`; widths in decades.

    Columns: metric, group, minus, n, lost, lost_low, lost_high, width, width_low, width_high.
    """
    table = make_tables(study).sensitivity
    return _make_frame(table.rows if table else ())


def as_csv(study: Study, table: str) -> str:
    """Return a data frame, "groups", "pairs", "tuning" or "sensitivity", as comma-separated values."""
    frames = {
        "groups": groups_frame,
        "pairs": pairs_frame,
        "tuning": tuning_frame,
        "sensitivity": sensitivity_frame,
    }
    frame = frames[table](study)
    # pandas writes the fewest digits that read back as the same float, and nothing where there is no value
    return str(frame.to_csv(index=False))


def as_json(study: Study) -> str:
    """Return the study as JSON.

    That is: its comparisons with groups, pairs and notes; the tuning; the sensitivity; its own notes.
    """
    tables = make_tables(study)
    comparisons: list[Mapping[str, Any]] = [
        {
            "title": section.comparison.title,
            "metric": section.comparison.metric,
            "higher_is_better": section.comparison.outcome.higher_is_better,
            "target": section.comparison.target,
            "groups": section.groups.rows,
            "profile": section.profile.rows,
            "pairs": section.pairs.rows,
            "notes": section.comparison.notes,
        }
        for section in tables.sections
    ]
    found = {
        "comparisons": comparisons,
        "tuning": tables.tried,
        "sensitivity": tables.sensitivity.rows if tables.sensitivity else (),
        "notes": tables.notes,
    }
    return json.dumps(found, indent=2)


def _make_frame(rows: Iterable[Row]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame([dict(row) for row in rows])
