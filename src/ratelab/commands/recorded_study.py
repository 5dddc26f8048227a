"""Results of runs that the store holds, equal to those that the program had when it made them."""

from collections.abc import Mapping, Sequence

import numpy as np

from ratelab.comparison.results import Measured, Result, Status
from ratelab.comparison.study import Study, study
from ratelab.tracking import History, Recorded, RecordedRun, find_runs, read_histories

_STATUS: dict[str, Status] = {
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
    "RUNNING": "running",
    "SCHEDULED": "running",
}
ORIGIN = ("mlflow.source.git.commit", "git_dirty", "command", "versions")

__all__ = ["ORIGIN", "load", "read_study"]


def read_study(
    uri: str,
    sweep_id: str | None = None,
    *,
    experiment: str | None = None,
    run_ids: Sequence[str] = (),
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    target: float | None = None,
) -> tuple[Recorded, Study]:
    """Return recorded runs, those of a sweep, of an experiment or those named, and what they say.

    Args:
        uri: what `prepare_store` returned.
        sweep_id: as in `find_runs`.
        experiment: as in `find_runs`.
        run_ids: as in `find_runs`.
        by: as in `compare`.
        baseline: as in `compare`.
        target: as in `compare`.

    Raises:
        UserError: if the store holds no such run, or the runs cannot be compared in this way.
    """
    found = find_runs(uri, sweep_id, experiment=experiment, run_ids=run_ids)
    return found, study(load(uri, found.runs), by=by, baseline=baseline, target=target)


def load(uri: str, runs: Sequence[RecordedRun]) -> list[Result]:
    """Return the results of recorded runs; the store is read once for each metric, not for each run.

    Args:
        uri: what `prepare_store` returned.
        runs: what `find_runs` found there.
    """
    ids = [run.run_id for run in runs]
    accuracy, seconds = (read_histories(uri, ids, key) for key in ("val_accuracy", "train_seconds"))
    grown = [run.run_id for run in runs if run.tags.get("batch", "constant") != "constant"]
    places = {step for run_id in grown if run_id in accuracy for step in accuracy[run_id].steps.tolist()}
    examples = read_histories(uri, grown, "examples_seen", at=sorted(places))
    return [_result(run, accuracy, seconds, examples) for run in runs]


def _result(
    run: RecordedRun,
    accuracy: Mapping[str, History],
    seconds: Mapping[str, History],
    examples: Mapping[str, History],
) -> Result:
    groups = {key.partition(".")[0] for key in run.params if "." in key}
    status = _STATUS[run.status]
    diverged = run.tags.get("diverged_step")
    finished = status == "finished"
    return Result(
        seed=int(run.params["seed"]),
        choices={group: run.tags[group] for group in sorted(groups) if group in run.tags},
        settings=dict(run.params),
        data_digest=run.tags.get("data_digest", ""),
        origin={key: run.tags[key] for key in ORIGIN if key in run.tags},
        run_id=run.run_id,
        status="diverged" if status == "failed" and diverged else status,
        test_accuracy=run.metrics.get("test_accuracy") if finished else None,
        validation=_validation(run, accuracy, seconds, examples),
        final_rate=run.metrics.get("learning_rate") if finished else None,
        diverged_step=int(diverged) if diverged else None,
    )


def _validation(
    run: RecordedRun,
    accuracy: Mapping[str, History],
    seconds: Mapping[str, History],
    examples: Mapping[str, History],
) -> tuple[Measured, ...]:
    if run.run_id not in accuracy or run.run_id not in seconds:
        return ()
    looks = accuracy[run.run_id]
    if run.run_id in examples:
        grown = examples[run.run_id]
        seen = grown.values[np.searchsorted(grown.steps, looks.steps)].astype(np.int64)
    else:
        seen = (looks.steps + 1) * int(run.params["batch_size"])
    columns = (looks.steps, looks.values, seconds[run.run_id].values, seen)
    return tuple(Measured(*look) for look in zip(*(column.tolist() for column in columns), strict=True))
