"""What a store has of a run that is to be replayed: the run, the others of its stack, their files."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ratelab.commands.replay.comparing import COLUMNS, Kept
from ratelab.tracking import RecordedRun, find_run, find_runs, read_artifacts, read_histories
from ratelab.tracking.recorded import LARGEST_FINITE
from ratelab.validation import UserError

_NEEDED = ("step", "learning_rate", "train_loss", "batch_size")


@dataclass(frozen=True)
class Recording:
    """A run and what it has left.

    Attributes:
        run: as the store has it.
        members: the runs that were trained as one program, in their order there, itself among them.
        configs: their config.yaml, as text.
        changes: the local changes to the checkout, as `git diff` prints them; None where they are lost.
        kept: what it has recorded.
    """

    run: RecordedRun
    members: Sequence[RecordedRun]
    configs: Sequence[str]
    changes: str | None
    kept: Kept

    @property
    def place(self) -> int:
        """Which of the members it is."""
        return [member.run_id for member in self.members].index(self.run.run_id)


def read_recording(store: str, run_id: str) -> Recording:
    """Return what a store has of a run.

    Raises:
        UserError: it is none that can be replayed; the message says why.
    """
    run = find_run(store, run_id)
    _check_run(run)
    members = _find_members(store, run)
    with tempfile.TemporaryDirectory() as folder:
        files = read_artifacts(store, run_id, ["steps.parquet", "git.diff"], Path(folder))
        if "steps.parquet" not in files:
            raise UserError(
                f"{run_id} has no artifact steps.parquet: it has recorded no step ({run.status})."
            )
        columns = _read_steps(files["steps.parquet"])
        changes = _read_changes(run, files.get("git.diff"))
    configs = [_read_config(store, member) for member in members]
    return Recording(run, members, configs, changes, _keep(store, run, columns))


def _check_run(run: RecordedRun) -> None:
    """Raise UserError unless a run is one of ours that trained, and has ended."""
    if run.tags.get("kind") == "sweep":
        raise UserError(f"{run.run_id} is a sweep; replay takes one of its runs: name a child of it.")
    if not run.tags.keys() >= {"schedule", "config_digest", "data_digest"}:
        raise UserError(f"{run.run_id} is not a run that ratelab has trained.")
    if run.status not in {"FINISHED", "FAILED", "KILLED"}:
        raise UserError(f"{run.run_id} is {run.status}; replay it when it has ended.")


def _find_members(store: str, run: RecordedRun) -> list[RecordedRun]:
    """Return the runs of the stack in their order, by the tags that the run has; itself where it has none."""
    tag, sweep_id, job = (run.tags.get(key, "") for key in ("stack", "sweep_id", "job"))
    numbers = tag.split(",")
    if not tag or numbers == [job]:
        return [run]
    if job not in numbers:
        raise UserError(f"{run.run_id}: its tag stack, {tag!r:.80}, does not name its own job, {job!r:.20}.")
    jobs = {one.tags.get("job"): one for one in find_runs(store, sweep_id).runs} | {job: run}
    lost = [number for number in numbers if number not in jobs]
    if lost:
        raise UserError(
            f"{run.run_id} was trained as one program with job {lost[0]:.20} of its sweep, which is not in "
            "the store any more; without it the bits are others. Restore that run."
        )
    return [jobs[number] for number in numbers]


def _read_config(store: str, run: RecordedRun) -> str:
    with tempfile.TemporaryDirectory() as folder:
        files = read_artifacts(store, run.run_id, ["config.yaml"], Path(folder))
        if "config.yaml" not in files:
            raise UserError(f"{run.run_id} has no artifact config.yaml: what it trained is not known.")
        return files["config.yaml"].read_text(encoding="utf-8", errors="replace")


def _read_changes(run: RecordedRun, path: Path | None) -> str | None:
    """Return the local changes, for which there is no file where there were none."""
    if path is None:
        return "" if run.tags.get("git_dirty") == "false" else None
    return path.read_text(encoding="utf-8", errors="replace")


def _read_steps(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of steps.parquet.

    Raises:
        UserError: it is no such file, or not of steps one after another.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
        names = [name for name in ("step", *COLUMNS) if name in table.column_names]
        columns = {name: table[name].to_numpy().astype(np.float64) for name in names}
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"steps.parquet of the run cannot be read: {reason:.200}") from None
    if missing := [name for name in _NEEDED if name not in columns]:
        raise UserError(f"steps.parquet of the run has no column {missing[0]}: it is not of ratelab's.")
    steps = columns.pop("step")
    if not np.array_equal(steps, np.arange(len(steps))):
        raise UserError("steps.parquet of the run must have a row for every step from 0 on; it was changed.")
    return columns


def _keep(store: str, run: RecordedRun, columns: dict[str, npt.NDArray[Any]]) -> Kept:
    """Read what was measured, and put all of it together."""
    names = [name for name in run.metrics if name.startswith("val_") or name == "noise_scale"]
    looks = {}
    for name in names:
        found = read_histories(store, [run.run_id], name).get(run.run_id)
        if found is not None:
            values = map(_undo_clipping, found.values.tolist())
            looks[name] = dict(zip(found.steps.tolist(), values, strict=True))
    test = {name: _undo_clipping(value) for name, value in run.metrics.items() if name.startswith("test_")}
    return Kept(columns, looks, test, run.status == "FINISHED", run.lacks_metrics)


def _undo_clipping(value: float) -> float:
    """Return an infinity for what a store has of it.

    >>> _undo_clipping(-1.797e308), _undo_clipping(0.5)
    (-inf, 0.5)
    """
    return float(np.copysign(np.inf, value)) if abs(value) > LARGEST_FINITE else value
