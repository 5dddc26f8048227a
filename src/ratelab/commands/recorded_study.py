"""Results of runs that the store holds, equal to those that the program had when it made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratelab.commands.recorded_curves import Curves, read_curves, read_integer, read_validation
from ratelab.comparison import Study, Unreadable, study
from ratelab.comparison.outcomes import PREFIXES, TIMES, Outcomes, Split, choose_metric, resolve_task
from ratelab.comparison.plans import Plan, newest
from ratelab.comparison.results import Result, Status
from ratelab.tasks import ACCURACY, Outcome
from ratelab.tracking import (
    Recorded,
    RecordedRun,
    count_looks_at_test,
    find_runs,
    read_full_params,
)
from ratelab.tracking.checksums import check_points, check_texts, sum_points
from ratelab.tracking.names import PARAM_LENGTH, safe_params
from ratelab.validation import UserError

STATUSES: dict[str, Status] = {
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
    "RUNNING": "running",
    "SCHEDULED": "running",
}
ORIGIN = ("mlflow.source.git.commit", "git_dirty", "command", "versions")


def read_study(
    uri: str,
    sweep_id: str | None = None,
    *,
    experiment: str | None = None,
    run_ids: Sequence[str] = (),
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    target: float | str | None = None,
    metric: str | None = None,
) -> tuple[Recorded, Study]:
    """Return recorded runs, those of a sweep, of an experiment or those named, and what they say.

    A run that cannot be read is not among them; the study names it.

    Args:
        uri: what `find_store` returned.
        sweep_id: as in `find_runs`.
        experiment: as in `find_runs`.
        run_ids: as in `find_runs`.
        by: as in `compare`.
        baseline: as in `compare`.
        target: as in `compare`.
        metric: as in `load`.

    Raises:
        UserError: if the store holds no such run, or the runs cannot be compared in this way.
    """
    found = find_runs(uri, sweep_id, experiment=experiment, run_ids=run_ids)
    time = next((name for name in TIMES if name == metric), None)
    results, lost = load(uri, found.runs, metric)
    if found.missing:
        which = f"{found.missing} of {found.missing + len(found.runs)} runs of the sweep"
        lost.append(Unreadable(which, "not in the store: not begun yet, deleted, or lost"))
    read = {result.run_id for result in results}
    found = replace(found, runs=tuple(run for run in found.runs if run.run_id in read))
    tested = {result.data_digest for result in results if result.judged_on == "test"}
    looks = max((count_looks_at_test(uri, found.experiment_id, digest) for digest in tested), default=0)
    return found, study(
        results, by=by, baseline=baseline, target=target, time=time, unreadable=lost, looks_at_test=looks
    )


def load(
    uri: str, runs: Sequence[RecordedRun], metric: str | None = None
) -> tuple[list[Result], list[Unreadable]]:
    """Return the results of recorded runs; the store is read once for each metric, not for each run.

    Args:
        uri: what `find_store` returned.
        runs: what `find_runs` found there.
        metric: by which they are judged, as it is recorded: test_<name> or val_<name>; or one of `TIMES`;
            None: by that of their plan, if they have one in common, else by that of their task.

    Returns:
        The results, in the order of the runs, and the runs of which none can be made.

    Raises:
        UserError: if none has such a metric, or the runs are judged by different ones.
    """
    outcomes, plans, reasons = dict[str, Outcomes](), dict[str, Plan | None](), dict[str, str]()
    for run in runs:
        try:
            _check_origin(run)
            check_texts(run)
            plans[run.run_id] = Plan.read(run.tags.get("decide"))
            outcomes[run.run_id] = Outcomes.read(run.tags.get("outcomes"))
        except ValueError as error:  # whatever text another program has left
            reasons[run.run_id] = str(error)
    results = list[Result]()
    if outcomes:
        ours = [run for run in runs if run.run_id in outcomes]
        metric = metric or _find_decisive([plans[run.run_id] for run in ours])
        name, split = choose_metric([*outcomes.values()], None if metric in TIMES else metric, also=TIMES)
        curves = read_curves(uri, ours, f"val_{name}")
        for run in ours:
            judge = _Judge(outcomes[run.run_id], plans[run.run_id], name, split, metric)
            if name not in judge.outcomes.by_name:
                reasons[run.run_id] = f"it has no {PREFIXES[split]}_{name}"
                continue
            try:
                results.append(_make_result(_with_full_params(uri, run), judge, curves[run.run_id]))
            except (ValueError, ArithmeticError) as error:  # as above, or a number
                reasons[run.run_id] = str(error)
    lost = [run for run in runs if run.run_id in reasons]
    return results, [Unreadable(run.name or run.run_id, reasons[run.run_id]) for run in lost]


def _find_decisive(plans: Sequence[Plan | None]) -> str | None:
    """Return the metric by which runs were decided; None where they have no plan, or it names none."""
    plan = newest(plans)
    return None if plan is None else plan.metric


@dataclass(frozen=True)
class _Judge:
    """What is measured of a run, and which of it judges on which split."""

    outcomes: Outcomes
    decided: Plan | None
    name: str
    split: Split
    asked: str | None

    @property
    def outcome(self) -> Outcome:
        return self.outcomes.by_name[self.name]

    @property
    def plan(self) -> Plan | None:
        """That of the run's sweep, as it is for who asks for this metric."""
        if self.decided is None:
            return None
        is_usual = self.asked == f"test_{self.outcomes.judge}" and self.decided.metric is None
        return self.decided.judged_by(None if is_usual else self.asked)

    def read_test(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return what was measured on the test split, of all that the store has."""
        keys = {name: f"test_{name}" for name in self.outcomes.by_name}
        return {name: metrics[key] for name, key in keys.items() if key in metrics}


def _make_result(run: RecordedRun, judge: _Judge, curves: Curves) -> Result:
    """Return the result of a run.

    Raises:
        ValueError: there is none, and this is why.
        ArithmeticError: the same.
    """
    groups = {key.partition(".")[0] for key in run.params if "." in key}
    status = STATUSES[run.status]
    diverged = run.tags.get("diverged_step")
    status = "diverged" if status == "failed" and diverged else status
    finished = status == "finished"
    whole = status in {"finished", "diverged"} and not run.lacks_metrics
    if finished and not whole:
        raise ValueError("it is FINISHED, but its metrics could not all be stored (tag not_kept)")
    if whole:
        check_points(run, _sum_up(run, judge, curves, finished=finished))
    chosen = {group: run.tags[group] for group in sorted(groups) if group in run.tags}
    result = Result(
        seed=read_integer("seed", run.params.get("seed")),
        choices=resolve_task(chosen, judge.outcomes.judge),
        settings=dict(run.params),
        data_digest=run.tags.get("data_digest", ""),
        origin={key: run.tags[key] for key in ORIGIN if key in run.tags},
        run_id=run.run_id,
        status=status,
        outcome=judge.outcome,
        split=judge.split,
        test=judge.read_test(run.metrics) if finished else {},
        validation=read_validation(run, judge.outcome, curves, whole=whole),
        final_rate=run.metrics.get("learning_rate") if finished else None,
        diverged_step=read_integer("diverged_step", diverged) if diverged else None,
        sweep_id=run.tags.get("sweep_id", ""),
        plan=judge.plan,
    )
    _check_outcome(result)
    return result


def _sum_up(run: RecordedRun, judge: _Judge, curves: Curves, *, finished: bool) -> dict[str, int | None]:
    """Return the checksum of each metric that is read of a run; None: the store has no point of it."""
    looks, grown = curves.metric, curves.examples
    if looks is not None and grown is not None:
        grown = grown.at(looks.steps.tolist())
    histories = {f"val_{judge.name}": looks, "train_seconds": curves.seconds, "examples_seen": grown}
    sums = {key: None if one is None else sum_points(one.steps, one.values) for key, one in histories.items()}
    if finished:
        names = ["learning_rate", *(f"test_{name}" for name in judge.outcomes.by_name)]
        lasts = {name: run.metrics.get(name) for name in names}
        sums |= {name: None if value is None else sum_points([0], [value]) for name, value in lasts.items()}
    return sums


def _check_origin(run: RecordedRun) -> None:
    """Raise ValueError for a run of another program, for one that had hardly begun, or is about to."""
    if missing := [tag for tag in ("schedule", "config_digest") if tag not in run.tags]:
        raise ValueError(f"it is no run of ratelab's, for it has no tag {missing[0]!r}")
    if run.status not in STATUSES:
        raise ValueError(f"its status, {run.status!r}, is not known here")
    if not run.params:
        raise ValueError(
            f"it has no parameters: it was stopped as it began, or begins just now ({run.status})"
        )
    if not any(key.startswith("schedule.") for key in run.params):
        raise ValueError("it has no parameter 'schedule._target_'")
    # the study and its figures take these for numbers
    read_integer("batch_size", run.params.get("batch_size"), 1)
    read_integer("tracking.train_loss_every", run.params.get("tracking.train_loss_every", "1"), 1)
    if not _is_rate(run.params.get("learning_rate", "")):
        raise ValueError(f"its learning_rate is {run.params.get('learning_rate')!r}, no rate")


def _is_rate(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _check_outcome(result: Result) -> None:
    """Raise ValueError for a run that counts without a value to count."""
    if result.status != "finished":
        return
    metric, split = result.outcome.metric, result.judged_on
    lacks_it = not result.validation if split == "validation" else metric not in result.test
    if lacks_it:
        raise ValueError(f"it is FINISHED, but has no {PREFIXES[split]}_{metric}")
    if result.outcome == ACCURACY and not (result.value is not None and 0 <= result.value <= 1):
        raise ValueError(f"its accuracy is {result.value}")


def _with_full_params(uri: str, run: RecordedRun) -> RecordedRun:
    """Return the run, with its parameters told apart that an earlier version had cut without a digest."""
    cut = [key for key, text in run.params.items() if len(text) == PARAM_LENGTH and text.endswith("...")]
    if not cut:
        return run
    try:
        full = read_full_params(uri, run.run_id)
    except UserError as error:
        raise ValueError(f"its parameter {cut[0]} was cut, and params_full.json is lost: {error}") from None
    known = {key: full[key] for key in cut if key in full}
    return replace(run, params={**run.params, **safe_params(known)[0]})
