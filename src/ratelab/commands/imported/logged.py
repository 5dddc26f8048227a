"""Runs that plain MLflow code has logged, without a tag of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratelab.commands.imported.results import conclude, make_outcome, make_result, read_seed
from ratelab.commands.recorded_study import STATUSES
from ratelab.comparison import Result, Study, Unreadable
from ratelab.comparison.study import list_names
from ratelab.tasks import Outcome
from ratelab.tracking import RecordedRun, find_any_runs
from ratelab.validation import UserError, unknown_key

Texts = Mapping[str, str]  # params and tags of a run, as params.KEY and tags.KEY


@dataclass(frozen=True)
class Question:
    """Which runs are compared, and by what.

    Attributes:
        experiment: the name of their experiment.
        group_by: what makes the groups: params.KEY or tags.KEY, one or several.
        seed: what holds the seed, in the same way.
        metric: the name of the metric, of which the last value counts.
    """

    experiment: str
    group_by: Sequence[str]
    seed: str
    metric: str

    def name_group(self, texts: Texts) -> str:
        """Return the name of a run's group.

        >>> asked = Question("Default", ["params.lr", "tags.model"], "params.seed", "test_acc")
        >>> asked.name_group({"params.lr": "0.1", "tags.model": "mlp"})
        'lr=0.1 model=mlp'
        """
        if len(self.group_by) == 1:
            return _show(texts[self.group_by[0]])
        return " ".join(f"{key.partition('.')[2]}={_show(texts[key])}" for key in self.group_by)


def read_logged(uri: str, asked: Question, *, higher: bool | None, baseline: str | None) -> Study:
    """Return what the runs of an experiment say.

    Args:
        uri: what `find_store` returned.
        asked: which runs, and by what.
        higher: whether more of the metric is better; None: its name tells.
        baseline: as in `compare`.

    Raises:
        UserError: no run has such a param, tag or metric, or the runs cannot be compared.
    """
    runs = find_any_runs(uri, asked.experiment)
    texts = {run.run_id: _list_texts(run) for run in runs}
    _check_keys(runs, texts, asked)
    outcome, notes = make_outcome(asked.metric, higher)
    results, unreadable = [], []
    for run in runs:
        try:
            results.append(_read_run(run, texts[run.run_id], asked, outcome))
        except ValueError as error:
            unreadable.append(Unreadable(run.name or run.run_id, str(error)))
    notes += _note_params([result for result in results if result.is_outcome], texts, asked)
    return conclude(results, "--group-by", notes=notes, baseline=baseline, unreadable=unreadable)


def _list_texts(run: RecordedRun) -> dict[str, str]:
    params = {f"params.{key}": text for key, text in run.params.items()}
    return params | {f"tags.{key}": text for key, text in run.tags.items()}


def _check_keys(runs: Sequence[RecordedRun], texts: Mapping[str, Texts], asked: Question) -> None:
    """Raise UserError for a param, a tag or a metric that no run has."""
    if not runs:
        raise UserError(f"--experiment: {asked.experiment!r} has no run yet.")
    known = {key for one in texts.values() for key in one}
    for option, key in [*(("--group-by", key) for key in asked.group_by), ("--seed", asked.seed)]:
        if key not in known:
            raise unknown_key(option, key, [one for one in known if not one.startswith("tags.mlflow.")])
    metrics = {metric for run in runs for metric in run.metrics}
    if metrics and asked.metric not in metrics:
        raise unknown_key("--metric", asked.metric, metrics)


def _read_run(run: RecordedRun, texts: Texts, asked: Question, outcome: Outcome) -> Result:
    """Return the result of a run; raise ValueError where there is none, with the reason."""
    lacking = [key for key in (*asked.group_by, asked.seed) if key not in texts]
    if lacking:
        raise ValueError(f"it has no {lacking[0]}")
    if run.status not in STATUSES:
        raise ValueError(f"its status, {run.status!r}, is not known here")
    value = run.metrics.get(asked.metric)
    if run.status == "FINISHED" and value is None:
        raise ValueError(f"it is FINISHED, but has no {asked.metric}")
    seed = read_seed(asked.seed, texts[asked.seed])
    return make_result(asked.name_group(texts), seed, outcome, value, STATUSES[run.status], run.run_id)


def _show(text: str) -> str:
    """Return a text as a name: what cannot be seen, or breaks lines, as Python writes it."""
    return text if text and text.isprintable() and text == text.strip() else repr(text)


def _note_params(results: Sequence[Result], texts: Mapping[str, Texts], asked: Question) -> list[str]:
    """Return a note on the params in which runs of one group differ.

    Raises:
        UserError: runs of one group and one seed differ in some; which of them counts is not known.
    """
    differing: set[str] = set()
    first: dict[str, Result] = {}
    twins: dict[tuple[str, int], Result] = {}
    for result in results:
        group = result.choices["schedule"]
        differing |= _compare_params(texts, first.setdefault(group, result), result)
        twin = twins.setdefault((group, result.seed), result)
        between = _compare_params(texts, twin, result)
        if between:
            raise UserError(
                f"--group-by: two runs are of {group}, seed {result.seed}, and differ in "
                f"{list_names(sorted(between))}: {twin.run_id} and {result.run_id}. Name what tells them "
                "apart as well, or delete one of them."
            )
    differing.discard(asked.seed)
    if not differing:
        return []
    return [f"beside the seed, runs of one group differ in {list_names(sorted(differing))}"]


def _compare_params(texts: Mapping[str, Texts], one: Result, other: Result) -> set[str]:
    """Return the params in which two runs differ."""
    ours, theirs = texts[one.run_id], texts[other.run_id]
    return {key for key in {*ours, *theirs} if key.startswith("params.") and ours.get(key) != theirs.get(key)}
