"""Results in a CSV file: a header, then a line for each value, with its group and its seed."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from ratelab.commands.imported.results import conclude, make_outcome, make_result, read_seed
from ratelab.comparison import Result, Study
from ratelab.comparison.results import is_number
from ratelab.comparison.study import list_names
from ratelab.tasks import Outcome
from ratelab.validation import UserError, shorten, unknown_key

_GROUP, _SEED, _VALUE = "group", "seed", "value"


def read_file(path: Path, metric: str | None, *, higher: bool | None, baseline: str | None) -> Study:
    """Return what a CSV file says.

    Args:
        path: of the file, in UTF-8.
        metric: the name of the column of the values; None: "value", or the only one beside group and seed.
        higher: whether more is better; None: the name of that column tells.
        baseline: as in `compare`.

    Raises:
        UserError: it cannot be read, or has something else in it; the message names the line.
    """
    where = f"--from {path}"
    lines = list(_read_lines(path, where))
    if len(lines) < 2:
        raise UserError(f"{where}: there is no value in it; below the line group,seed,value one a line.")
    (_, header), *rows = lines
    metric = _choose_column(header, metric, where)
    outcome, notes = make_outcome(metric, higher)
    unread = [name for name in header if name not in (_GROUP, _SEED, metric)]
    if unread:
        notes.append(f"columns that were not read: {list_names(unread)}")
    return conclude(_read_rows(header, rows, outcome, where), where, notes=notes, baseline=baseline)


def _read_lines(path: Path, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            try:
                for row in reader:
                    cells = [cell.strip() for cell in row]
                    if any(cells):
                        yield reader.line_num, cells
            except csv.Error as error:
                raise UserError(f"{where}, line {reader.line_num}: it is no CSV: {error}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{where}: it is not UTF-8; save it as a CSV file in UTF-8.") from None
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}.") from None


def _choose_column(header: Sequence[str], metric: str | None, where: str) -> str:
    """Return the name of the column of the values; raise UserError unless all columns are there, once."""
    for name in (_GROUP, _SEED):
        if name not in header:
            raise unknown_key(f"{where}, line 1, columns", name, header)
    others = [name for name in header if name not in (_GROUP, _SEED)]
    if metric is None:
        metric = others[0] if len(others) == 1 else _VALUE
    if metric not in others:
        raise unknown_key(f"{where}, line 1, --metric", metric, others)
    twice = [name for name in (_GROUP, _SEED, metric) if header.count(name) > 1]
    if twice:
        raise UserError(f"{where}, line 1: the column {twice[0]!r} is there twice; rename one of them.")
    return metric


def _read_rows(
    header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], outcome: Outcome, where: str
) -> list[Result]:
    """Return the results of all lines; raise UserError for what is none, or is there twice."""
    results: list[Result] = []
    lines: dict[tuple[str, int], int] = {}
    for line, cells in rows:
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells, where the header has {len(header)}")
            result = _read_row(dict(zip(header, cells, strict=True)), outcome)
        except ValueError as error:
            raise UserError(f"{where}, line {line}: {error}.") from None
        group = result.choices["schedule"]
        before = lines.setdefault((group, result.seed), line)
        if before != line:
            raise UserError(
                f"{where}: lines {before} and {line} are both of {shorten(group)}, seed {result.seed}; "
                "leave one of them."
            )
        results.append(result)
    return results


def _read_row(row: dict[str, str], outcome: Outcome) -> Result:
    group, metric = row[_GROUP], outcome.metric
    if not (group and group.isprintable()):
        raise ValueError(f"{_GROUP} must be a name that can be printed, got {shorten(group)}")
    value = _read_number(row[metric])
    if value is None:
        raise ValueError(
            f"{metric} must be a number, not infinite, got {shorten(row[metric])}; for a run that diverged "
            "write what it is to count as"
        )
    return make_result(group, read_seed(_SEED, row[_SEED]), outcome, value)


def _read_number(text: str) -> float | None:
    """Return the number that a text is; None if one cannot calculate with it."""
    try:
        value = float(text)
    except ValueError:
        return None
    # Python takes 1_000 as well, which nobody else does
    return value if is_number(value) and "_" not in text else None
