"""A store in one SQLite file: checked in milliseconds if it is there, made atomically if it is not."""

import glob
import importlib.metadata
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from ratelab.runtime.journal_file import is_held
from ratelab.tracking.environment import quiet_logs, silence_mlflow
from ratelab.tracking.mlflow_internals import make_tables, schema_revisions
from ratelab.tracking.troubles import check_is_active
from ratelab.tracking.uris import sqlite_uri
from ratelab.validation import UserError

_BESIDE = ("-wal", "-shm", "-journal")  # where SQLite keeps the last rows of a database
_TABLES = {"experiments", "runs", "metrics", "latest_metrics", "params", "tags"}
_LOCKED_SECONDS = 30
_LOOK_SECONDS = 3
_CREATION_SECONDS = 120
_DAMAGE_SEARCH_SECONDS = 0.5
# as Linux names them; the shared memory beside a write-ahead log does not reach from one machine to another
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3"}


def look_at_sqlite(path: Path, uri: str, experiment: str) -> bool:
    """Say whether there is a store at `path` that `prepare_sqlite` would take as it is; nothing is touched.

    Where there is none, it could be made. A store that another program locks is waited for, three seconds.

    Args:
        path: of the file.
        uri: the same as a URI.
        experiment: which must not have been deleted there.

    Raises:
        UserError: as `prepare_sqlite`.
    """
    left = _find_beside(path)
    if not os.path.lexists(path):
        _check_creatable(path)
        _check_beside(path, left)
        return False
    _check(path, uri, experiment, lambda: open_to_look(path))
    return True


def open_to_look(path: Path) -> sqlite3.Connection:
    """Open a store that is there, to be read; nothing is touched. A lock is waited for, three seconds."""
    # SQLite makes files beside a database that has a write-ahead log, and a connection that could write puts
    # what a killed program left there into the database; one that cannot change lets neither happen.
    is_used = any(one.name.endswith(("-shm", "-journal")) for one in _find_beside(path))
    return _open(path, "mode=ro" if is_used else "immutable=1", _LOOK_SECONDS)


def find_unfinished(path: Path) -> list[Path]:
    """Return the temporary files that killed creations of a store at `path` left; nobody makes one now."""
    lock = _lock_of(path)
    if lock.exists() and is_held(lock):
        return []
    return sorted(path.parent.glob(f".{glob.escape(path.name)}.new*"))


def prepare_sqlite(path: Path, uri: str, experiment: str | None = None) -> None:
    """Return once the file at `path` is a store of this MLflow's, which is made if there is none.

    Waits for another process that makes it, two minutes at most.

    Args:
        path: of the file.
        uri: the same as a URI.
        experiment: which must not have been deleted there, if one is given.

    Raises:
        UserError: the file, or the folder it should be made in, cannot be used.
    """
    left = _find_beside(path)  # first: they may be of a database that another process makes just now
    if not os.path.lexists(path):
        _check_creatable(path)
        _check_beside(path, left)
        _create(path)
    # rw: sqlite3 would make a file that has gone since it was looked at
    _check(path, uri, experiment, lambda: _open(path, "mode=rw", _LOCKED_SECONDS))


def _find_beside(path: Path) -> list[Path]:
    """Return the files of SQLite's that are there beside the database `path`."""
    beside = [path.with_name(path.name + ending) for ending in _BESIDE]
    return [one for one in beside if os.path.lexists(one)]


def _check_beside(path: Path, left: list[Path]) -> None:
    """Refuse to make a database beside the log of another one, which SQLite would replay into the new one."""
    if left:
        names = " and ".join(one.name for one in left)
        advice = f"Move {names} away, to {path.name} if that was moved: its last rows may be in there."
        _refuse(path, f"is not there, but {names} of a database that was", advice)


def _advise_new(path: Path) -> str:
    """Say how to start a new store where this file is."""
    return f"Move {_name_all(path)} away to start a new store, or choose another path."


def _name_all(path: Path) -> str:
    beside = _find_beside(path)
    return f"all of {', '.join(one.name for one in [path, *beside])}" if beside else "it"


def _refuse(path: Path, reason: str, advice: str) -> NoReturn:
    raise UserError(f"tracking.uri: {path} {reason}. {advice}") from None


def _check_creatable(path: Path) -> None:
    """Refuse a place where nothing can be made, before the first folder is: a refusal leaves no trace."""
    ancestor = next(folder for folder in path.parents if os.path.lexists(folder))
    if not ancestor.is_dir():
        _refuse(path, f"cannot be made: {ancestor} is not a folder", "Move that away or choose another path.")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        _refuse(path, f"cannot be made: no permission to write in {ancestor}", "Choose a folder of your own.")


def _create(path: Path) -> None:
    """Make the store unless another process does or did: the lock is waited for, then looked again.

    The file of the lock stays: whoever deleted it would let a third process in beside a second that waits.
    """
    from filelock import FileLock, Timeout

    lock = _lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=_CREATION_SECONDS):
            if not os.path.lexists(path):
                _sweep(path)
                _build(path)
    except Timeout:
        _refuse(
            path, f"is being made by another process for {_CREATION_SECONDS} s", f"End it or delete {lock}."
        )
    except OSError as error:
        _refuse(path, f"cannot be made: {error}", "Make room or permission there, or choose another path.")


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _sweep(path: Path) -> None:
    """Delete what a killed creation left: only the holder of the lock makes such files."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.new*"):
        leftover.unlink(missing_ok=True)


def _build(path: Path) -> None:
    """Make the database aside and rename it, so that `path` is absent or complete at every moment."""
    silence_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    temporary = path.with_name(f".{path.name}.new")
    try:
        with quiet_logs():
            make_tables(sqlite_uri(temporary), path.parent / "artifacts")
        _set_journal(temporary)  # stays with the file; to change it later needs all others to be gone
        # the content before the name, then the name: after a power cut there is the whole file or none
        _sync(temporary)
        temporary.rename(path)
        _sync(path.parent)
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        raise OSError(str(error).splitlines()[0]) from error
    finally:
        _sweep(path)


def _set_journal(path: Path) -> None:
    """Let readers and one writer work side by side, except where WAL is unsafe: on a network file system."""
    if _file_system(path.parent) not in _NETWORK:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds `folder`, as Linux names it; empty if unknown."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    folder = folder.resolve()
    holding = [(len(point), kind) for _, point, kind, *_ in mounts if folder.is_relative_to(point)]
    return max(holding, default=(0, ""), key=lambda mount: mount[0])[1]


def _sync(path: Path) -> None:
    """Return when the disk has what was written to a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(path: Path, uri: str, experiment: str | None, connect: Callable[[], sqlite3.Connection]) -> None:
    """Refuse what is no store of the installed MLflow's; `connect` decides how long it is waited for."""
    _check_file(path)
    try:
        with closing(connect()) as connection:
            revision = _read_revision(path, connection)
            _search_damage(path, connection)
            _check_revision(path, uri, revision)
            if experiment is not None:
                _check_experiment(connection, experiment)
    except sqlite3.OperationalError as error:
        advice = "End the program that holds it (`fuser` names it), or choose another path."
        _refuse(path, f"cannot be read: {error}", advice)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # what SQLite says quotes bytes of the file
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            _refuse(path, "is not an SQLite file", _advise_new(path))
        _refuse_damaged(path, str(error))


def _refuse_damaged(path: Path, finding: str) -> NoReturn:
    advice = f"Restore a backup, or start a new store; first move {_name_all(path)} away."
    _refuse(path, f"is damaged: {finding}", advice)


def _check_file(path: Path) -> None:
    """Refuse what is no file to work with, without opening it.

    To close a file is to give up all POSIX locks that the process has on it, those of its SQLite connections
    as well; the next program that ends would then take the write-ahead log away from under them.
    """
    if path.is_dir():
        _refuse(path, "is a folder", f"Name a file in it: sqlite:///{path}/mlflow.db.")
    if not path.is_file():
        _refuse(path, "is not a regular file", _advise_new(path))
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        _refuse(
            path, "or its folder is not writable for you", "Get permission to both, or choose another path."
        )
    if path.stat().st_size == 0:
        _refuse(path, "is empty (0 bytes)", "Delete it to start a new store.")


def _open(path: Path, how: str, seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=seconds)


def _read_revision(path: Path, connection: sqlite3.Connection) -> str:
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    tables = {name for (name,) in connection.execute(query)}
    if not {*_TABLES, "alembic_version"} <= tables:
        _refuse(path, "is an SQLite file of another program, not of MLflow's", "Choose another path.")
    # there is none where a migration was broken off
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(rows[0][0]) if len(rows) == 1 else "none"


def _search_damage(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file with broken pages; a large one is searched only as far as half a second goes.

    First the tags and their index: a run of which that finds none would seem an older one, without checksums.
    """
    connection.set_progress_handler(_after(_DAMAGE_SEARCH_SECONDS), 10_000)
    try:
        for check in ("integrity_check(tags)", "quick_check(1)"):
            findings = [str(line) for (line,) in connection.execute(f"PRAGMA {check}")]
            if findings != ["ok"]:
                _refuse_damaged(path, findings[0].splitlines()[-1])
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise


def _check_experiment(connection: sqlite3.Connection, experiment: str) -> None:
    query = "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?"
    for experiment_id, stage in connection.execute(query, [experiment]):
        check_is_active(experiment, experiment_id, stage)


def _after(seconds: float) -> Callable[[], bool]:
    """Return what says whether so many seconds are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _check_revision(path: Path, uri: str, found: str) -> None:
    expected, known = schema_revisions()
    if found == expected:
        return
    versions = f"(schema {found}; mlflow {importlib.metadata.version('mlflow')} expects {expected})"
    if found in {"none", *known}:
        _refuse(
            path, f"was made by an older MLflow {versions}", f"Back it up, then run: mlflow db upgrade {uri}"
        )
    _refuse(path, f"was made by a newer MLflow {versions}", "Run: pip install --upgrade mlflow")
