"""What a report says of its runs beside their results: what they are, what made them, and when.

Reports are sent around and published, so no password and no path of a disk is in them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ratelab.comparison import Result, Study
from ratelab.runtime.passwords import without_password
from ratelab.tracking import Recorded

_MOST_LETTERS = 90  # of the names in a heading


def write_heading(study: Study) -> str:
    """Return what was compared.

    The names of the groups if they are few and short, else their number; and the data.
    """
    names = [one.name for one in study.tuned]
    if not names:
        names = [group.name for one in study.comparisons for group in one.groups]
    data = dict.fromkeys(_name_data(run) for run in study.results)
    if names and len(names) <= 4 and sum(map(len, names)) <= _MOST_LETTERS:
        what = join_words(names)
    else:
        what = f"{len(names)} groups of runs"
    return f"{what} on {join_words([*data])}" if data else what


def _name_data(run: Result) -> str:
    """Return what the user called the data: the option chosen, else the data set itself."""
    return run.choices.get("data") or run.settings.get("data.name", "unknown data")


def join_words(words: Sequence[str]) -> str:
    """Return words as a sentence has them.

    >>> join_words(["a", "b", "c"])
    'a, b and c'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def describe_period(found: Recorded) -> str:
    """Return from when to when the runs were made, in UTC; empty if the store does not say."""
    starts = [run.started for run in found.runs if run.started]
    ends = [run.ended for run in found.runs if run.ended]
    if not starts:
        return ""
    first = _write_time(min(starts))
    return f"{first} to {_write_time(max(ends))} UTC" if ends else f"{first} UTC"


def _write_time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def list_facts(study: Study, found: Recorded) -> list[tuple[str, list[str]]]:
    """Return what made the runs: terms and what there is to say on each, most frequent first."""
    runs = study.results
    experiments = [run.settings.get("tracking.experiment", "") for run in runs]
    terms = [
        ("Command", [without_paths(run.origin.get("command", "")) for run in runs]),
        ("Commit", [_describe_commit(run.origin) for run in runs]),
        ("Data digest", [run.data_digest for run in runs]),
        ("Versions", [run.origin.get("versions", "") for run in runs]),
        ("Experiment", [without_paths(name) for name in experiments]),
        ("Sweep", [found.sweep_id or ""]),
    ]
    counted = [("Runs", [_count_endings(runs)])]
    return [*((term, _rank(values)) for term, values in terms if any(values)), *counted]


def _describe_commit(origin: Mapping[str, str]) -> str:
    commit = origin.get("mlflow.source.git.commit", "")
    changed = origin.get("git_dirty") == "true"
    return f"{commit or 'unknown'}{', with local changes' if changed else ''}"


def _count_endings(runs: Sequence[Result]) -> str:
    counts = Counter(run.status for run in runs)
    return f"{len(runs)}: " + ", ".join(f"{number} {status}" for status, number in counts.items())


def _rank(values: Iterable[str]) -> list[str]:
    """Return the different values, without empty ones, most frequent first."""
    return [value for value, _ in Counter(value for value in values if value).most_common()]


def without_paths(text: str) -> str:
    """Return `text` with absolute paths cut to their last part, and without passwords.

    >>> without_paths("train.py data.dir=/home/me/mnist tracking.uri=sqlite:////home/me/a.db")
    'train.py data.dir=…/mnist tracking.uri=sqlite:///…/a.db'
    >>> without_paths("train.py tracking.uri=http://me:secret@host/base 'data.dir=/my data/x'")
    "train.py tracking.uri=http://me:***@host/base 'data.dir=…/x'"
    """
    # folders, up to the last part; behind a letter, a digit or ":" a slash belongs to a fraction or address
    text = re.sub(
        r"(?<![\w:/.…\])])(?:~|[A-Za-z]:)?[/\\](?:[^/\\,\]}\"'=]*[/\\])*", "…/", without_password(text)
    )
    # an address of SQLite has its path behind a third slash, which the rule above takes for an address
    return re.sub(r"(sqlite:///)/(?:[^/\s,]+/)*", r"\1…/", text)
