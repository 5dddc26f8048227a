"""The store is made once, whole, whatever happens; and a bad one is refused in seconds, untouched."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ratelab.runtime.passwords import without_password
from ratelab.tracking import prepare_store, resolve_store
from ratelab.validation import UserError

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
URI = "sqlite:///mlruns/mlflow.db"
FIRST_STARTS = """
import os, sys
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store  # imported once: so the starts fall into the same moment
from ratelab.tracking import open_tracker, prepare_store

def start(name):
    folder = Path(sys.argv[1])
    store = prepare_store("sqlite:///mlruns/mlflow.db", folder)
    with open_tracker(store, "ratelab", folder) as tracker:
        with tracker.run(name, params={"a": 1}, tags={}):
            pass

children = []
for number in range(8):
    children.append(os.fork())
    if not children[-1]:
        start(f"run {number}")
        os._exit(0)
print([os.waitpid(child, 0)[1] for child in children])
"""
KILLED_STARTS = """
import os, signal, sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store  # the children need not wait for it
from ratelab.tracking import prepare_store
for number in range(int(sys.argv[2])):
    folder = Path(sys.argv[1], str(number))
    child = os.fork()
    if not child:
        prepare_store("sqlite:///mlruns/mlflow.db", folder)
        os._exit(0)
    time.sleep(0.02 + 0.13 * number)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
UNPRIVILEGED = """
import os, sys
from pathlib import Path
import filelock
import ratelab.tracking.sqlite
from ratelab.tracking import prepare_store
os.setgid(65534)
os.setuid(65534)
try:
    prepare_store("sqlite:///mlruns/mlflow.db", Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


@pytest.fixture(scope="module")
def good_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    prepare_store(URI, folder)
    return folder / "mlruns" / "mlflow.db"


@pytest.fixture
def database(tmp_path: Path, good_store: Path) -> Path:
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(good_store, path)
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_none_is_no_store(tmp_path: Path) -> None:
    assert prepare_store(None, tmp_path) == ""
    assert not list(tmp_path.iterdir())


def test_eight_first_starts_at_once_all_succeed(tmp_path: Path) -> None:
    statuses = subprocess.check_output(python(FIRST_STARTS, str(tmp_path)), text=True, timeout=80)
    assert statuses.strip() == str([0] * 8)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as connection:
        runs = connection.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        experiments = connection.execute("SELECT name FROM experiments").fetchall()
        journal = connection.execute("PRAGMA journal_mode").fetchone()
    assert runs == [(f"run {n}", "FINISHED") for n in range(8)]
    assert sorted(experiments) == [("Default",), ("ratelab",)]
    assert journal == ("wal",)


def test_a_first_start_killed_at_any_moment_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    moments = 6
    subprocess.run(python(KILLED_STARTS, str(tmp_path), str(moments)), check=True, timeout=80)
    leftovers = 0
    for number in range(moments):
        folder = tmp_path / str(number)
        leftovers += len(list(folder.glob("mlruns/.*.new*")))
        if number % 2 == 0:  # each of these costs a creation
            prepare_store(URI, folder)
            assert {path.name for path in folder.glob("mlruns/*")} == {".mlflow.db.lock", "mlflow.db"}
    assert leftovers, "no kill fell into the creation: the test proves nothing"


@pytest.mark.parametrize("name", ["a b", "100%", "%20", "größe ü", "a#b", "a'b", "a&b=c"])
def test_odd_characters_in_the_path_are_only_characters(tmp_path: Path, good_store: Path, name: str) -> None:
    from sqlalchemy import make_url

    database = tmp_path / name / "mlruns" / "mlflow.db"
    database.parent.mkdir(parents=True)
    shutil.copy(good_store, database)
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
    before, start = tree(project), time.perf_counter()
    with pytest.raises(UserError) as refusal:
        prepare_store(URI, project)
    assert time.perf_counter() - start < 3
    message = str(refusal.value)
    assert message.startswith(f"tracking.uri: {database} ")
    assert reason in message
    assert advice in message
    assert before == tree(project)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that another user can enter, as pytest's cannot be."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
@pytest.mark.parametrize("spoilt", ["file", "folder", "project"])
def test_a_place_without_permission_is_refused(public_folder: Path, good_store: Path, spoilt: str) -> None:
    if spoilt != "project":
        (public_folder / "mlruns").mkdir()
        database = shutil.copy(good_store, public_folder / "mlruns")
        Path(database).chmod(0o644 if spoilt == "file" else 0o666)
        Path(database).parent.chmod(0o777 if spoilt == "file" else 0o755)
    before = tree(public_folder)
    done = subprocess.run(
        python(UNPRIVILEGED, str(public_folder)), capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith(f"tracking.uri: {public_folder}/mlruns/mlflow.db ")
    assert "not writable" in done.stdout or "no permission to write" in done.stdout
    assert before == tree(public_folder)


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


def test_importing_the_package_imports_neither_mlflow_nor_a_database() -> None:
    script = """
import sys
import ratelab.tracking
print(*{"mlflow", "sqlalchemy", "tensorflow"} & set(sys.modules))
"""
    assert subprocess.check_output(python(script)) == b"\n"


def test_the_revisions_read_from_the_text_are_those_that_alembic_finds() -> None:
    import mlflow
    from alembic.script import ScriptDirectory

    from ratelab.tracking.sqlite import mlflow_revisions

    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    newest, known = mlflow_revisions()
    assert newest == script.get_current_head()
    assert known == {revision.revision for revision in script.walk_revisions()}


def test_a_check_leaves_the_locks_of_this_process_alone(tmp_path):
    """To close a file is to give up all POSIX locks on it: another program would then take away the WAL."""
    path = tmp_path / "mlflow.db"
    uri = f"sqlite:///{path}"
    prepare_store(uri, tmp_path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO experiments (name, artifact_location) VALUES ('a', 'x')")
        writer.commit()
        prepare_store(uri, tmp_path)
        look = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
            "list(c.execute('SELECT * FROM runs')); c.close()"
        )
        subprocess.run([sys.executable, "-c", look, str(path)], check=True, timeout=60)
        assert path.with_name("mlflow.db-wal").exists()
        writer.execute("INSERT INTO experiments (name, artifact_location) VALUES ('b', 'x')")
        writer.commit()
        with closing(sqlite3.connect(path)) as reader:
            names = {name for (name,) in reader.execute("SELECT name FROM experiments")}
    assert {"a", "b"} <= names


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
