"""What results of other programs have in common, wherever they come from."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from ratelab.comparison import Result, Study, Unreadable, study
from ratelab.comparison.results import Status
from ratelab.comparison.study import list_names
from ratelab.tasks import Outcome
from ratelab.validation import UserError, shorten

# A name tells the direction by one of these words, if all others in it are such as change nothing.
_DIRECTIONS = {
    "higher": {"acc", "accuracy", "auc", "bleu", "dice", "f1", "iou", "precision", "recall", "reward"},
    "lower": {
        "cer",
        "crossentropy",
        "err",
        "error",
        "loss",
        "mae",
        "mse",
        "nll",
        "perplexity",
        "rmse",
        "wer",
    },
}
_OF_SPLITS = {"dev", "eval", "final", "test", "train", "val", "valid", "validation"}
_MOST_SEEDS = 1_000  # of more the signs that are drawn for a test would take gigabytes
_OF_MEANS = {"absolute", "macro", "mean", "micro", "root", "roc", "score", "squared", "weighted"}


def make_outcome(metric: str, higher: bool | None) -> tuple[Outcome, list[str]]:
    """Return a metric with its direction, and a note if that was taken from its name.

    Args:
        metric: its name.
        higher: whether more is better; None: the name tells.

    Raises:
        UserError: it does not.

    >>> make_outcome("val_loss", None)[0]
    Outcome(metric='val_loss', higher_is_better=False, worst=None)
    """
    if higher is not None:
        return Outcome(metric, higher), []
    words = set(re.findall(r"[^\W_]+", metric.lower())) - _OF_SPLITS - _OF_MEANS
    found = [direction for direction, known in _DIRECTIONS.items() if words and words <= known]
    if not found:
        raise UserError(
            f"--metric: the name {shorten(metric)} does not tell whether more of it is better; "
            "give --higher-is-better or --lower-is-better."
        )
    other = "lower" if found == ["higher"] else "higher"
    note = f"that {found[0]} is better is taken from the name {metric}; --{other}-is-better says otherwise"
    return Outcome(metric, found == ["higher"]), [note]


def read_seed(key: str, text: str) -> int:
    """Return the seed that a text is; pandas writes `3.0` in a column with gaps.

    Raises:
        ValueError: it is none.

    >>> read_seed("seed", "3.0")
    3
    """
    found = re.fullmatch(r"([+-]?\d{1,40})(\.0*)?", text, re.ASCII)
    if found is None:
        raise ValueError(f"{key} must be a whole number, got {shorten(text)}")
    return int(found[1])


def make_result(
    group: str,
    seed: int,
    outcome: Outcome,
    value: float | None,
    status: Status = "finished",
    run_id: str = "",
) -> Result:
    """Return the result of a run of another program.

    Args:
        group: its name.
        seed: of the run.
        outcome: the metric that judges.
        value: of that metric; None: it has none.
        status: of the run.
        run_id: MLflow's.
    """
    test = {} if value is None else {outcome.metric: value}
    choices = {"schedule": group}
    return Result(seed, choices, run_id=run_id, status=status, outcome=outcome, split="imported", test=test)


def conclude(
    results: Sequence[Result],
    where: str,
    *,
    notes: Sequence[str],
    baseline: str | None,
    unreadable: Sequence[Unreadable] = (),
) -> Study:
    """Return what the results say.

    Args:
        results: by `make_result`.
        where: the option that they come from.
        notes: to be told before those of the study.
        baseline: as in `compare`.
        unreadable: runs that have no result.

    Raises:
        UserError: there is but one group, or one has very many seeds.
    """
    seeds: dict[str, set[int]] = {}
    for result in results:
        if result.is_outcome:
            seeds.setdefault(result.choices["schedule"], set()).add(result.seed)
    if len(seeds) == 1:
        [only] = seeds
        raise UserError(f"{where}: there is only one group, {shorten(only)}; it takes two to compare.")
    most = max(map(len, seeds.values()), default=0)
    if most > _MOST_SEEDS:
        raise UserError(f"{where}: a group has {most:,} seeds; give {_MOST_SEEDS:,} of each at most.")
    found = study(results, by=["schedule"], baseline=baseline, unreadable=unreadable)
    return replace(found, notes=(*notes, *_note_seeds(seeds), *found.notes))


def _note_seeds(seeds: Mapping[str, Set[int]]) -> list[str]:
    """Return a note on the groups without a seed that another group has."""
    everywhere = {seed for own in seeds.values() for seed in own}
    lacking = {group: sorted(everywhere - own) for group, own in seeds.items() if own != everywhere}
    if not lacking:
        return []
    named = [f"{group} ({list_names([*map(str, gaps)])})" for group, gaps in lacking.items()]
    return [f"groups that lack seeds which others have: {list_names(named)}"]
