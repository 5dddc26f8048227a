"""The store is made once, whole, whatever happens; and a bad one is refused in seconds, untouched."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ratelab.runtime.passwords import without_password
from ratelab.tracking import prepare_store, resolve_store
from ratelab.validation import UserError
from support.files import read_tree

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
URI = "sqlite:///mlruns/mlflow.db"


@pytest.fixture
def database(tmp_path: Path, fresh_store: Path) -> Path:
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(fresh_store, path)
    return path


def test_none_is_no_store(tmp_path: Path) -> None:
    assert prepare_store(None, tmp_path) == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b", "100%", "%20", "größe ü", "a#b", "a'b", "a&b=c"])
def test_odd_characters_in_the_path_are_only_characters(tmp_path: Path, fresh_store: Path, name: str) -> None:
    from sqlalchemy import make_url

    database = tmp_path / name / "mlruns" / "mlflow.db"
    database.parent.mkdir(parents=True)
    shutil.copy(fresh_store, database)
    uri = prepare_store(URI, tmp_path / name)
    assert make_url(uri).database == str(database)
    assert prepare_store(uri, Path("/elsewhere")) == uri


def test_an_existing_store_opens_in_well_under_a_second(database: Path) -> None:
    prepare_store(URI, database.parent.parent)
    start = time.perf_counter()
    prepare_store(URI, database.parent.parent)
    assert time.perf_counter() - start < 0.5


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all\n" * 1000)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def headless(path: Path) -> None:
    os.truncate(path, 50)


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in (20, 60, 100):
        content[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
    path.write_bytes(content)


def misnamed(path: Path) -> None:
    name, changed = b"alembic_version", b"alembic\xd3version"  # SQLite names it when it says what is wrong
    content = path.read_bytes().replace(b"table" + name, b"table" + changed)
    path.write_bytes(content.replace(b"CREATE TABLE " + name, b"DREATE TABLE " + changed))


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def foreign_wal(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE notes (text)")


def revision(number: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [number])

    return change


def half_made(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")


def nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


def below_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("a file")


@pytest.mark.parametrize(
    ("spoil", "reason", "advice"),
    [
        (empty, "is empty", "Delete it"),
        (folder, "is a folder", "Name a file in it"),
        (garbage, "is not an SQLite file", "Move it away"),
        (truncated, "is damaged: database disk image is malformed", "Restore a backup"),
        (headless, "is damaged: database disk image is malformed", "Restore a backup"),
        (overwritten, "is damaged", "Restore a backup"),
        (misnamed, "is damaged: ", "Restore a backup"),
        (foreign, "of another program", "Choose another path"),
        (foreign_wal, "of another program", "Choose another path"),
        (revision("451aebb31d03"), "made by an older MLflow (schema 451aebb31d03", "mlflow db upgrade"),
        (half_made, "made by an older MLflow (schema none", "mlflow db upgrade"),
        (
            revision("ffffffffffff"),
            "made by a newer MLflow (schema ffffffffffff",
            "pip install --upgrade mlflow",
        ),
        (nowhere, "is not a regular file", "Move it away"),
        (below_a_file, "is not a folder", "Move that away"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_store_is_refused_at_once_and_left_alone(
    database: Path, spoil: Callable[[Path], None], reason: str, advice: str
) -> None:
    spoil(database)
    project = database.parent.parent
    before, start = read_tree(project), time.perf_counter()
    with pytest.raises(UserError) as refusal:
        prepare_store(URI, project)
    assert time.perf_counter() - start < 3
    message = str(refusal.value)
    assert message.startswith(f"tracking.uri: {database} ")
    assert reason in message
    assert advice in message
    assert before == read_tree(project)


@pytest.mark.parametrize("uri", ["", "mlruns", "file:///tmp/x", "mysql://me:hush@host/db", "sqlite://"])
def test_other_kinds_of_store_are_refused_by_name(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri: .*sqlite:///") as refusal:
        prepare_store(uri, tmp_path)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "secret", ["hush", "hu:sh", "hu@sh", "hu/sh", "h%40sh"], ids=["plain", "colon", "at", "slash", "quoted"]
)
def test_a_password_is_never_shown(secret: str) -> None:
    uri = f"postgresql://me:{secret}@host:5432/db"
    assert without_password(uri) == "postgresql://me:***@host:5432/db"
    assert secret not in without_password(f"cannot connect with {secret!r} or so", uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (None, None),
        ("sqlite:///mlruns/mlflow.db", "sqlite:////project/mlruns/mlflow.db"),
        ("sqlite:////elsewhere/a.db", "sqlite:////elsewhere/a.db"),
        ("http://host:5000/", "http://host:5000"),
        ("https://host/path", "https://host/path"),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
    ],
)
def test_a_store_is_resolved_by_its_text_alone_and_to_itself(uri: str | None, expected: str | None) -> None:
    assert resolve_store(uri, Path("/project")) == expected
    assert resolve_store(expected, Path("/another")) == expected


def leave(path: Path, *endings: str) -> None:
    """Leave what a program that was killed leaves beside its database, which is then moved away."""
    for ending in endings:
        path.with_name(path.name + ending).write_bytes(b"the last rows")


@pytest.mark.parametrize("endings", [("-wal", "-shm"), ("-wal",), ("-shm",), ("-journal",)], ids=str)
def test_no_store_is_made_beside_the_log_of_another(tmp_path: Path, endings: tuple[str, ...]) -> None:
    database = tmp_path / "mlruns" / "mlflow.db"
    database.parent.mkdir()
    leave(database, *endings)
    before = read_tree(tmp_path)
    names = " and ".join(f"mlflow.db{ending}" for ending in endings)
    with pytest.raises(UserError) as refusal:
        prepare_store(URI, tmp_path)
    assert str(refusal.value) == (
        f"tracking.uri: {database} is not there, but {names} of a database that was. "
        f"Move {names} away, to mlflow.db if that was moved: its last rows may be in there."
    )
    assert read_tree(tmp_path) == before


def test_a_store_and_all_of_its_log_moved_away_leave_room_for_a_new_one_and_lose_nothing(
    database: Path, tmp_path: Path
) -> None:
    """What the messages advise, done with the files of a program that was killed after its last row."""
    writer = sqlite3.connect(database)
    writer.execute("INSERT INTO experiments (name, artifact_location) VALUES ('mine', 'x')")
    writer.commit()
    away, aside = tmp_path / "away", tmp_path / "aside"
    shutil.copytree(database.parent, aside)  # as a kill would leave it: the log is not yet in the database
    writer.close()
    shutil.rmtree(database.parent)
    aside.rename(database.parent)
    away.mkdir()
    database.rename(away / "mlflow.db")  # the log is forgotten
    with pytest.raises(UserError, match=r"Move mlflow.db-wal and mlflow.db-shm away"):
        prepare_store(URI, tmp_path)
    for left in database.parent.glob("mlflow.db-*"):
        left.rename(away / left.name)
    prepare_store(URI, tmp_path)
    for path, expected in ((database, 0), (away / "mlflow.db", 1)):
        with closing(sqlite3.connect(path)) as connection:
            query = "SELECT count(*) FROM experiments WHERE name = 'mine'"
            assert connection.execute(query).fetchone() == (expected,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("spoil", [garbage, overwritten])
def test_whoever_is_told_to_move_a_database_is_told_of_all_its_files(
    database: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(database)
    database.with_name("mlflow.db-journal").write_bytes(b"")
    with pytest.raises(UserError, match=r"ove all of mlflow\.db, mlflow\.db-journal away"):
        prepare_store(URI, database.parent.parent)


def test_a_deleted_experiment_is_refused_before_anything_is_trained(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = "name, artifact_location, lifecycle_stage"
        connection.execute(f"INSERT INTO experiments ({columns}) VALUES ('gone', 'x', 'deleted')")  # noqa: S608
    project = database.parent.parent
    assert prepare_store(URI, project) == prepare_store(URI, project, "another")
    before = read_tree(project)  # a store that was copied here has been told where its artifacts are
    with pytest.raises(UserError) as refusal:
        prepare_store(URI, project, "gone")
    assert str(refusal.value) == (
        "tracking.experiment: 'gone' was deleted in this store. "
        "Restore it (mlflow experiments restore -x 1) or choose another name."
    )
    assert read_tree(project) == before


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], True),
        (["CREATE TABLE runs (x)", "CREATE TABLE experiments (x)"], True),  # killed after the first step
        (["CREATE TABLE experiments (x)", "CREATE TABLE alembic_version (x)"], True),  # after the second
        (["CREATE TABLE experiments (x)", "INSERT INTO experiments VALUES (1)"], False),
        (["CREATE TABLE notes (x)"], False),
        (["CREATE TABLE notes (x)", "CREATE TABLE experiments (x)"], False),
    ],
    ids=["empty", "first tables", "all tables", "complete", "of another", "shared"],
)
def test_what_a_killed_first_start_leaves_is_told_from_what_is_in_use(
    statements: list[str], expected: bool
) -> None:
    from sqlalchemy import NullPool, create_engine, text

    from ratelab.tracking.postgresql import _is_unfinished

    with create_engine("sqlite://", poolclass=NullPool).connect() as connection:  # closed at its end
        for statement in statements:
            connection.execute(text(statement))
        assert _is_unfinished(connection) == expected
