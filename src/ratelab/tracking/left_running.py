"""Runs that a program left RUNNING when it died, as SIGKILL or a power cut ends one: they become KILLED."""

import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ratelab.runtime.program_identity import Program, is_dead
from ratelab.tracking.client import Client
from ratelab.tracking.interface import now_ms
from ratelab.tracking.patience import Patience
from ratelab.tracking.recorded import ENDED_BY, PROGRAM, RecordedRun
from ratelab.tracking.served_reader import ServedReader
from ratelab.tracking.sql_reader import open_sql
from ratelab.tracking.sqlite import open_to_look
from ratelab.tracking.troubles import StoreError
from ratelab.tracking.uris import is_served, kind_of, sqlite_path

_LOCKED_SECONDS = 1  # it is only tidying: the next start does it as well
_MOST_LINES = 5
_LAST_METRIC = "train_seconds"  # of a server one metric is asked for, which has a point an epoch
# PostgreSQL takes the same words as SQLite
_FIND = """
SELECT runs.run_uuid, runs.name, runs.start_time, program.value, sweep.value, kind.value, parent.value,
    (SELECT max(timestamp) FROM latest_metrics WHERE latest_metrics.run_uuid = runs.run_uuid)
FROM runs
JOIN tags program ON program.run_uuid = runs.run_uuid AND program.key = 'program'
LEFT JOIN tags sweep ON sweep.run_uuid = runs.run_uuid AND sweep.key = 'sweep_id'
LEFT JOIN tags kind ON kind.run_uuid = runs.run_uuid AND kind.key = 'kind'
LEFT JOIN tags parent ON parent.run_uuid = runs.run_uuid AND parent.key = 'mlflow.parentRunId'
WHERE runs.status = 'RUNNING' AND runs.lifecycle_stage = 'active'
"""
# Nothing where another start was faster, or a program that lives has opened the run again.
_END = """
UPDATE runs SET status = 'KILLED', end_time = :ended
WHERE run_uuid = :run_id AND status = 'RUNNING' AND EXISTS (
    SELECT 1 FROM tags WHERE run_uuid = :run_id AND key = 'program' AND value = :program
)
"""
_NOTE = """
INSERT INTO tags (run_uuid, key, value) VALUES (:run_id, 'ended_by', :reason)
ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value
"""

Execute = Callable[[str, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class LeftRun:
    """A run that is RUNNING in the store and says which program records it.

    Attributes:
        run_id: MLflow's.
        name: what people see.
        started: milliseconds since 1970; perhaps something else, of another program.
        program_tag: the text that names the program.
        sweep_id: which sweep it belongs to, if any.
        kind: "sweep" for the parent run of a sweep.
        parent_id: the run that it is a child of.
        last_metric: when the last of its metrics was measured; None: there is none.
    """

    run_id: str
    name: str | None
    started: object
    program_tag: str
    sweep_id: str | None = None
    kind: str | None = None
    parent_id: str | None = None
    last_metric: object = None

    @cached_property
    def program(self) -> Program | None:
        """The program; None if the tag is none of ours."""
        return Program.read(self.program_tag)

    @property
    def reason(self) -> str:
        """Why it was ended, for whoever reads the run."""
        assert self.program is not None  # noqa: S101 - it was found to be dead
        return f"the program that recorded it died (process {self.program.pid} on {self.program.host})"


def tidy_store(uri: str | None) -> None:
    """Let what programs of this machine left RUNNING when they died be KILLED, and say so on standard error.

    What other tools made, and what may be of a living program, stays as it is. A store that is locked or
    cannot be written is left alone without a word.

    Args:
        uri: what `prepare_store` or `find_store` returned; empty or None: nothing is tracked.

    Raises:
        UserError: the store does not answer, for two minutes.
    """
    if uri:
        for line in describe_ended(end_left_runs(uri)):
            sys.stderr.write(f"ratelab: {line}\n")


def end_left_runs(uri: str) -> list[LeftRun]:
    """End the runs of dead programs; return those that nobody else was faster with.

    Args:
        uri: as in `tidy_store`.

    Raises:
        UserError: as there.
    """
    if is_served(uri):
        return _end_served(uri)
    return _end_in_sqlite(uri) if kind_of(uri) == "sqlite" else _end_in_postgresql(uri)


def has_left_runs(path: Path) -> bool:
    """Say whether `end_left_runs` would end any in the SQLite store at `path`; nothing is touched."""
    with closing(open_to_look(path)) as connection:
        return bool(_choose_dead([LeftRun(*row) for row in connection.execute(_FIND)]))


def describe_ended(runs: Sequence[LeftRun]) -> list[str]:
    """Return what to tell of runs that were ended: a line for a sweep, or a single run.

    Args:
        runs: what `end_left_runs` returned.
    """
    groups: dict[str, list[LeftRun]] = {}
    sweeps = {run.run_id: run.sweep_id for run in runs}
    for run in runs:  # a child that was killed as it began has no tag but those of its parent
        sweep_id = run.sweep_id or sweeps.get(run.parent_id or "")
        groups.setdefault(sweep_id or run.parent_id or run.run_id, []).append(run)
    lines = [_describe_group(key, members) for key, members in groups.items()]
    if len(lines) > _MOST_LINES:
        others = f"so it was with {len(lines) - _MOST_LINES} other sweeps or single runs."
        return [*lines[:_MOST_LINES], others]
    return lines


def _describe_group(key: str, members: Sequence[LeftRun]) -> str:
    number = sum(run.kind != "sweep" for run in members)
    is_sweep = any(run.sweep_id == key for run in members)
    runs = "1 run" if number == 1 else f"{number} runs"
    if is_sweep and number:
        told = f"{runs} of sweep {key}, left RUNNING by a program that died, {_are(number)} KILLED now."
    elif is_sweep:
        told = f"sweep {key}, left RUNNING by a program that died, is KILLED now."
    elif number == 1:
        told = f"the run {members[0].name}, left RUNNING by a program that died, is KILLED now."
    else:
        told = f"{runs} of one sweep, left RUNNING by a program that died, are KILLED now."
    journals = [run.program.journal for run in members if run.program and run.program.journal]
    if not any(Path(journal).is_file() for journal in journals):
        return told
    folder = shlex.quote(str(Path(journals[0]).parent))
    return f"{told} To go on with what is missing: ratelab resume {folder}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _choose_dead(runs: Sequence[LeftRun]) -> list[LeftRun]:
    """Return the runs of dead programs, children before parents."""
    programs = {run.program_tag: run.program for run in runs}
    dead = {text for text, program in programs.items() if program is not None and is_dead(program)}
    return sorted((run for run in runs if run.program_tag in dead), key=lambda run: run.parent_id is None)


def _find_end(run: LeftRun, dead: Sequence[LeftRun]) -> int:
    """Return when a run ended: with the last metric that it, or a child of it, has; else now."""
    own = [one.last_metric for one in dead if run.run_id in {one.run_id, one.parent_id}]
    times = [time for time in own if isinstance(time, int)]
    began = [run.started] if isinstance(run.started, int) else []
    return max([*times, *began]) if times else now_ms()


def _end_in_sqlite(uri: str) -> list[LeftRun]:
    # without SQLAlchemy, whose import takes longer than all of this
    address = f"{sqlite_path(uri, Path.cwd()).as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_LOCKED_SECONDS)) as connection, connection:
            return [*_end_in_database(connection.execute)]
    except sqlite3.Error:
        return []


def _end_in_postgresql(uri: str) -> list[LeftRun]:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    ended: list[LeftRun] = []
    with open_sql(uri) as reader:

        def execute(statement: str, values: Mapping[str, Any]) -> Any:
            return reader.connection.execute(text(statement), values)

        try:
            execute(f"SET lock_timeout = '{_LOCKED_SECONDS}s'", {})
            ended.extend(_end_in_database(execute))
        except SQLAlchemyError as error:
            if getattr(error, "connection_invalidated", False):  # the next question would wait as long
                raise
    return ended


def _end_in_database(execute: Execute) -> Iterator[LeftRun]:
    """Yield the runs that were ended."""
    dead = _choose_dead([LeftRun(*row) for row in execute(_FIND, {})])
    for run in dead:
        key = {"run_id": run.run_id}
        if execute(_END, {**key, "ended": _find_end(run, dead), "program": run.program_tag}).rowcount:
            execute(_NOTE, {**key, "reason": run.reason})
            yield run


def _end_served(uri: str) -> list[LeftRun]:
    client, ended = Client(uri, Patience(uri)), list[LeftRun]()
    reader = ServedReader(client)
    try:
        left = _choose_dead([_convert(run) for run in reader.running(PROGRAM)])
        dead = [replace(run, last_metric=reader.last_time(run.run_id, _LAST_METRIC)) for run in left]
        for run in dead:
            now = reader.run(run.run_id)
            if now is not None and (now.status, now.tags.get(PROGRAM)) == ("RUNNING", run.program_tag):
                client.ask(client.mlflow.set_terminated, run.run_id, "KILLED", _find_end(run, dead))
                ended.append(run)
                client.set_tags(run.run_id, {ENDED_BY: run.reason})
    except StoreError:
        if client.is_lost:  # the next question would wait as long
            raise
    return ended


def _convert(run: RecordedRun) -> LeftRun:
    kind, parent_id = run.tags.get("kind"), run.tags.get("mlflow.parentRunId")
    sweep_id = run.tags.get("sweep_id")
    return LeftRun(run.run_id, run.name, run.started, run.tags[PROGRAM], sweep_id, kind, parent_id)
