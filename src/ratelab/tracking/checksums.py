"""Checksums of what a store has of a run: a database has none, and a flipped bit would be read as it is."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.tracking.names import safe_params, safe_tags
from ratelab.tracking.recorded import RecordedRun

CHECKSUMS = "checksums"  # the tag that holds them, from the moment when a run has its result
# The tags by which runs are found, judged and told apart, beside those named like a group of parameters.
# What is set after the end, or by people, is not among them.
_TELLING = {
    "batch",
    "command",
    "config_digest",
    "data_digest",
    "decide",
    "diverged_step",
    "git_dirty",
    "job",
    "mlflow.source.git.commit",
    "outcomes",
    "schedule",
    "seed",
    "sweep_id",
    "versions",
}
_LARGEST = np.finfo(np.float64).max  # what MLflow stores for an infinity


class Checksums:
    """Those of a run while it is recorded, each by the name of what it is of.

    Args:
        params: of the run, as they are given to the store.
        tags: the same.
    """

    def __init__(self, params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        self._params, self._tags = safe_params(params)[0], safe_tags(tags)[0]
        self._series: dict[str, int] = {}

    def add(self, key: str, step: int, value: float) -> None:
        """Take the next point of a metric of which every look counts."""
        self._series[key] = sum_points([step], [value], self._series.get(key, 0))

    def put(self, key: str, value: float) -> None:
        """Take the value of a metric of which the last one counts."""
        self._series[key] = sum_points([0], [value])

    def write(self, **ending: str) -> str:
        """Return them as the text of the tag, with the tags that say how the run ended."""
        own = _sum_texts(self._params, {**self._tags, **ending})
        sums = {key: f"{value:08x}" for key, value in {**own, **self._series}.items()}
        return json.dumps(sums, separators=(",", ":"))


def sum_points(steps: npt.ArrayLike, values: npt.ArrayLike, before: int = 0) -> int:
    """Return the checksum of points, in their order, behind those that `before` is of.

    It is of what every store gives back: NaN as NaN, an infinity as the largest number, no negative zero.
    """
    floats = np.asarray(values, np.float64)
    floats = np.nan_to_num(floats, nan=np.nan, posinf=_LARGEST, neginf=-_LARGEST) + 0.0
    points = np.stack([np.asarray(steps, np.int64), floats.view(np.int64)], axis=-1)
    return zlib.crc32(points.astype("<i8").tobytes(), before)


def check_texts(run: RecordedRun) -> None:
    """Raise ValueError if parameters or tags of a run are not what was recorded; without checksums pass."""
    if (sums := _read(run)) is not None:
        _compare(sums, _sum_texts(run.params, run.tags))


def check_points(run: RecordedRun, found: Mapping[str, int | None]) -> None:
    """Raise ValueError if metrics of a run are not what was recorded; without checksums pass.

    Args:
        run: which has them in its tag.
        found: the checksum of each metric by its name; None: the store has no point.
    """
    if (sums := _read(run)) is not None:
        _compare(sums, found)


def _sum_texts(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, int]:
    """Return the checksum of all parameters and that of the tags that tell runs apart."""
    keys = _TELLING | {key.partition(".")[0] for key in params if "." in key}
    parts = {"params": params, "tags": {key: tags[key] for key in keys & tags.keys()}}
    return {part: zlib.crc32(json.dumps(texts, sort_keys=True).encode()) for part, texts in parts.items()}


def _read(run: RecordedRun) -> dict[str, Any] | None:
    """Return the checksums in the tag of a run; None if it has none: another version has recorded it."""
    if CHECKSUMS not in run.tags:
        return None
    try:
        return dict(json.loads(run.tags[CHECKSUMS]))
    except (ValueError, TypeError):
        raise ValueError(f"its tag {CHECKSUMS!r} is none that ratelab has written") from None


def _compare(sums: Mapping[str, Any], found: Mapping[str, int | None]) -> None:
    for name, number in found.items():
        if sums.get(name) != (None if number is None else f"{number:08x}"):
            raise ValueError(
                f"what the store has of it ({name}) is not what was recorded: it was changed, or the file is "
                "damaged; `ratelab sync FOLDER --uri URI` gives a new store what the journal has of it"
            )
