"""A study as data frames: a row for each group, each pair, each base rate that was tried."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ratelab.comparison.comparing import Comparison, Summary
from ratelab.comparison.pairs import Pair
from ratelab.comparison.statistics import Interval
from ratelab.comparison.study import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_csv", "as_json", "groups_frame", "pairs_frame", "tuning_frame"]


def groups_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each group of each comparison.

    Columns: comparison, group, n, mean, sd, low, high, interval, iqm, worst, worst_seed, diverged,
    final_rate, seconds, target, reached, steps_to_target, seconds_to_target, examples_to_target.
    """
    return _frame([_group(one, group) for one in study.comparisons for group in one.groups])


def pairs_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each pair of each comparison.

    Columns: comparison, first, second, n, difference, low, high, interval, p, p_holm, improvement,
    effect_size, verdict, sentence.
    """
    return _frame([_pair(one, pair) for one in study.comparisons for pair in one.pairs])


def tuning_frame(study: Study) -> "pd.DataFrame":
    """Return a row for each schedule and base rate that was tried.

    Columns: group, learning_rate, n, mean (accuracy on the validation split), diverged, best, edge.
    """
    rows = [
        {
            "group": one.name,
            "learning_rate": rate,
            "n": len(one.accuracy[place]),
            "mean": one.means[place],
            "diverged": one.diverged[place],
            "best": place == one.place,
            "edge": one.at_edge if place == one.place else "",
        }
        for one in study.tuned
        for place, rate in enumerate(one.rates)
    ]
    return _frame(rows)


def as_csv(study: Study, table: str) -> str:
    """Return one of the data frames, "groups", "pairs" or "tuning", as comma-separated values."""
    frame = {"groups": groups_frame, "pairs": pairs_frame, "tuning": tuning_frame}[table](study)
    return str(frame.to_csv(index=False))


def as_json(study: Study) -> str:
    """Return the study as JSON: its comparisons with groups, pairs and notes, the tuning, its own notes."""
    comparisons = [
        {
            "title": one.title,
            "target": one.target,
            "groups": [_group(one, group) for group in one.groups],
            "pairs": [_pair(one, pair) for pair in one.pairs],
            "notes": one.notes,
        }
        for one in study.comparisons
    ]
    tuning = tuning_frame(study).to_dict("records")
    return json.dumps({"comparisons": comparisons, "tuning": tuning, "notes": study.notes}, indent=2)


def _group(comparison: Comparison, group: Summary) -> dict[str, Any]:
    worst, seed = group.worst
    return {
        "comparison": comparison.title,
        "group": group.name,
        "n": len(group.seeds),
        "mean": group.mean,
        "sd": group.deviation,
        **_ends(group.interval),
        "iqm": group.middle,
        "worst": worst,
        "worst_seed": seed,
        "diverged": group.diverged,
        "final_rate": group.final_rate,
        "seconds": group.seconds,
        "target": comparison.target,
        "reached": group.reached,
        "steps_to_target": group.steps_to_target,
        "seconds_to_target": group.seconds_to_target,
        "examples_to_target": group.examples_to_target,
    }


def _pair(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    return {
        "comparison": comparison.title,
        "first": pair.first,
        "second": pair.second,
        "n": len(pair.seeds),
        "difference": pair.mean,
        **_ends(pair.interval),
        "p": pair.p,
        "p_holm": pair.corrected,
        "improvement": pair.improvement,
        "effect_size": pair.effect,
        "verdict": pair.verdict,
        "sentence": pair.sentence,
    }


def _ends(interval: Interval | None) -> Mapping[str, Any]:
    if interval is None:
        return {"low": None, "high": None, "interval": None}
    return {"low": interval.low, "high": interval.high, "interval": interval.method}


def _frame(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(list(rows))
