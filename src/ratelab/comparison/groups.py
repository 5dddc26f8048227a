"""Runs in groups: what they differ in, how a group is called, which runs are replicates of each other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ratelab.comparison.results import Result, Status, find_worst
from ratelab.comparison.times import Time
from ratelab.runtime.clipping import clip_apart
from ratelab.validation import UserError, unknown_key

# No outcome depends on them, or it is the seed, over which runs are paired.
_ASIDE = {"seed", "test", "print_schedule", "allow_targets", "data.dir", "data.validation_size"}
# What runs did that have no such key: they were recorded before, or `task=auto` chose for them.
_BEFORE = {
    "task": "auto",
    "task._target_": "ratelab.tasks.auto",
    "task.class_weights": "None",
    "task.label_smoothing": "0.0",
    "schedule.floor": "0.0",
    "optimizer.clip_norm": "None",
    "optimizer.decay_on": "all",
}
# Of these, data can have only one.
_TASKS_OF_DATA = {"auto", "classification", "next_token", "regression"}
# which config group decides a key, where it is not the key's prefix
_DECIDED_BY = {"data digest": "data", "validation_size": "data"}
_DIGEST_LETTERS = 15  # "sha256:" and enough to tell two data sets apart
_LONGEST_WORD = 80  # of a name: of a list of sixty numbers nobody reads more


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed, and in what is averaged over.

    Attributes:
        name: the schedule, and whatever else makes the group different from others.
        by_seed: the runs of each seed, seeds ascending.
        setting: what must be the same in two groups for their seeds to be pairs: data and model.
        worst: what a run of it counts as that diverged, or gave no number.
        time: what judges its runs in the place of their metric; None: nothing does.
    """

    name: str
    by_seed: Mapping[int, tuple[Result, ...]]
    setting: Mapping[str, str]
    worst: float
    time: Time | None = None

    @property
    def runs(self) -> list[Result]:
        """All runs, by seed."""
        return [run for runs in self.by_seed.values() for run in runs]

    def count(self, status: Status) -> int:
        """Return how many of its runs ended in this way."""
        return sum(run.status == status for run in self.runs)

    @property
    def values(self) -> dict[int, float]:
        """The value of each seed, the mean over its runs."""
        return {seed: sum(map(self._judge, runs)) / len(runs) for seed, runs in self.by_seed.items()}

    def _judge(self, run: Result) -> float:
        return run.counts_as(self.worst) if self.time is None else self.time.of(run)

    @property
    def is_never_in_time(self) -> bool:
        """Whether its runs are judged by the time to a target, and none of them reached it."""
        return self.time is not None and not any(map(self.time.reaches, self.runs))


def group(results: Sequence[Result], by: Sequence[str] | None = None) -> tuple[list[Group], list[str]]:
    """Put runs that count into groups, in the order in which the groups first appear.

    Args:
        results: runs that finished or diverged.
        by: keys, the name of a config group ("schedule") or of a setting ("learning_rate"); None: everything
            in which the runs differ but the seed. What differs beside them is averaged over within a seed.

    Returns:
        The groups, and notes on what was averaged over and which runs were not counted twice.

    Raises:
        UserError: for a key that no run has, where runs of one group are of different data or models, or a
            seed lacks some of the runs that are to be averaged, and where nothing says what a run counts as.
    """
    varied = keys_that_vary(results)
    keys = varied if by is None else _check_keys(by, results)
    names = names_of(results, keys if by is not None else None)
    rest = [key for key in varied if key not in _find_implied(keys, results)]
    placed: dict[str, list[Result]] = {}
    for name, result in zip(names, results, strict=True):
        placed.setdefault(name, []).append(result)
    notes = [f"averaged over {', '.join(rest)} within each seed"] if rest else []
    groups, worst = [], _find_worst_by_setting(results)
    for name, members in placed.items():
        by_seed, repeated = _place_replicates(name, members, rest, keys)
        setting = _read_setting(members[0])
        groups.append(Group(name, by_seed, setting, worst[frozenset(setting.items())]))
        if repeated:
            notes.append(f"{name}: {repeated} of its runs repeat others; the newest of each counts")
    return groups, notes


def keys_that_vary(results: Sequence[Result]) -> list[str]:
    """Return in which choices and settings runs differ, what has no influence left aside."""
    seen: dict[str, set[str]] = {}
    described = [result.description for result in results]
    for key in dict.fromkeys(key for values in described for key in values):
        seen[key] = {_read_value(values, key) for values in described}
    varied = [key for key, values in seen.items() if len(values) > 1 and not _is_aside(key)]
    varied = [key for key in varied if not _is_task_of_data(key, seen[key])]
    return [key for key in varied if not _follows_the_seed(key, results) and not _is_way_to(key, results)]


def _read_value(described: Mapping[str, str], key: str) -> str:
    value = described.get(key, _BEFORE.get(key, ""))
    # Where a file lies is nothing that a report should tell, nor a difference: its content has a digest.
    return PurePath(value).name if key == "data.file" else value


def _is_task_of_data(key: str, values: Collection[str]) -> bool:
    """Say whether a key only tells of tasks that follow from the data."""
    named = {value.removeprefix("ratelab.tasks.") for value in values}
    return key in {"task", "task._target_"} and named <= _TASKS_OF_DATA


def _is_way_to(key: str, results: Sequence[Result]) -> bool:
    """Say whether a key only tells by which way the same data came: another option, file or function."""
    return key.partition(".")[0] == "data" and not _follows(key, ["data digest"], results)


def _follows(key: str, others: Sequence[str], results: Sequence[Result]) -> bool:
    """Say whether runs that agree in `others` agree in `key`."""
    described = [result.description for result in results]
    found = {(tuple(_read_value(run, other) for other in others), _read_value(run, key)) for run in described}
    return len(found) == len({values for values, _ in found})


def _follows_the_seed(key: str, results: Sequence[Result]) -> bool:
    """Say whether a setting is the seed under another name, as `${seed}` in a schedule that needs one."""
    values = {(result.description[key], str(result.seed)) for result in results if key in result.description}
    return len(values) > 1 and all(value == seed for value, seed in values)


def names_of(results: Sequence[Result], keys: Sequence[str] | None = None) -> list[str]:
    """Return the name of each run's group, in the order of the runs.

    Args:
        results: the runs.
        keys: what the name is made of; None: the schedule, and what is needed to tell the groups apart. A
            setting inside a config group (schedule.decay_rate) tells apart runs that chose the same option.
    """
    if keys is not None:
        described = [result.description for result in results]
        return [" ".join(_write_word(key, _read_value(run, key)) for key in keys) for run in described]
    varied = keys_that_vary(results)
    # which settings differ among runs that chose the same option, for only those tell such runs apart
    alike: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        for choice, option in result.choices.items():
            alike.setdefault((choice, option), []).append(result)
    telling = {place: _find_telling(runs) for place, runs in alike.items()}
    return [_name(result, varied, telling) for result in results]


def _find_telling(results: Sequence[Result]) -> set[str]:
    """Return in which keys runs differ; the digest of their data not, where a key says it in words."""
    keys = keys_that_vary(results)
    of_data = [key for key in keys if key.startswith("data.")]
    return {key for key in keys if key != "data digest" or not _follows(key, of_data, results)}


def _name(result: Result, varied: Sequence[str], telling: Mapping[tuple[str, str], Collection[str]]) -> str:
    """Return the schedule and what else tells the run's group apart.

    Args:
        result: the run.
        varied: the keys in which any two runs differ.
        telling: for each option that was chosen, the keys in which the runs that chose it differ.
    """
    words = [result.choices["schedule"]]
    described = result.description
    known = described.keys() | _BEFORE
    for key in varied:
        # decay_rate is no part of the name where it differs only because cosine has none: "cosine" says so
        head = _DECIDED_BY.get(key, key.partition(".")[0])
        if key == "schedule" or key not in known:
            continue
        if head not in result.choices or head == key or key in telling[head, result.choices[head]]:
            words.append(_write_word(key, _read_value(described, key)))
    return " ".join(words)


def _write_word(key: str, value: str) -> str:
    if key == "data digest":
        value = value[:_DIGEST_LETTERS]
    return clip_apart(value if key == "schedule" else f"{key}={value}", _LONGEST_WORD)


def _check_keys(keys: Sequence[str], results: Sequence[Result]) -> list[str]:
    """Return the keys; raise UserError for one that no run has, and for the seed, which is never averaged."""
    known = {key for result in results for key in result.description} - {"seed"}
    for key in keys:
        if key not in known:
            raise unknown_key("--by", key, known)
    return list(keys)


def _find_implied(keys: Sequence[str], results: Sequence[Result]) -> set[str]:
    """Return what is the same in all runs that agree in `keys`."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        described = result.description
        groups.setdefault(tuple(_read_value(described, key) for key in keys), []).append(result)
    differing = {key for runs in groups.values() for key in keys_that_vary(runs)}
    return set(keys_that_vary(results)) - differing


def _place_replicates(
    name: str, members: Sequence[Result], rest: Sequence[str], by: Sequence[str]
) -> tuple[dict[int, tuple[Result, ...]], int]:
    """Return the runs of each seed, equally many for each, and how many repeat others.

    Args:
        name: of the group.
        members: its runs, oldest first.
        rest: the keys that are averaged over.
        by: the keys that made the group.
    """
    if len({tuple(_read_setting(member).items()) for member in members}) > 1:
        mixed = [key for key in keys_that_vary(members) if _is_setting(key)]
        # which model it is says what else differs with it
        mixed = [key for key in mixed if not ("model" in mixed and key.startswith("model."))]
        raise UserError(
            f"{name}: its runs differ in {', '.join(mixed)}, and what differs there is not averaged; "
            f"give --by '{','.join([*by, *mixed])}', or compare fewer runs."
        )
    newest: dict[tuple[int, tuple[str, ...]], Result] = {}
    for member in members:
        # runs come oldest first: one that was made again takes the place of the one before
        described = member.description
        newest[member.seed, tuple(_read_value(described, key) for key in rest)] = member
    # the mean of a seed that lacks a run would be one over other settings than that of the next seed
    wanted = {place for _, place in newest}
    by_seed: dict[int, tuple[Result, ...]] = {}
    for seed in sorted({seed for seed, _ in newest}):
        missing = [place for place in wanted if (seed, place) not in newest]
        if missing:
            lacking = ", ".join(f"{key}={value}" for key, value in zip(rest, missing[0], strict=True))
            raise UserError(
                f"{name}: seed {seed} has no run with {lacking}, so it cannot be averaged over "
                f"{', '.join(rest)}; give --by '{','.join([*by, *rest])}', or make the missing runs."
            )
        by_seed[seed] = tuple(newest[seed, place] for place in sorted(wanted))
    return by_seed, len(members) - len(newest)


def _find_worst_by_setting(results: Sequence[Result]) -> dict[frozenset[tuple[str, str]], float]:
    """Return what runs without a value count as: on other data the same metric may have another size."""
    if (overall := find_worst(results)) is None:
        raise UserError(
            f"no run has a value of {results[0].outcome.metric}, and the worst there can be is not known: "
            "there is nothing to compare. Lower learning_rate if they diverged, or give another --metric."
        )
    alike: dict[frozenset[tuple[str, str]], list[Result]] = {}
    for result in results:
        alike.setdefault(frozenset(_read_setting(result).items()), []).append(result)
    found = {setting: find_worst(runs) for setting, runs in alike.items()}
    return {setting: overall if worst is None else worst for setting, worst in found.items()}


def _read_setting(result: Result) -> dict[str, str]:
    """Return what weights and batches depend on beside the seed: without it seeds make no pairs."""
    return {key: value for key, value in result.description.items() if _is_setting(key)}


def _is_setting(key: str) -> bool:
    return key in {"model", "data digest", "validation_size"} or key.startswith("model.")


def _is_aside(key: str) -> bool:
    return key in _ASIDE or key.startswith("tracking.")
