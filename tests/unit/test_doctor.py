"""What `ratelab doctor` finds, check by check, well or not; with fakes of what this machine has not."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import namedtuple
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest
from rich.console import Console

from ratelab.commands.doctor import datasets, installation, machine, room, stores, tensorflow, trials
from ratelab.commands.doctor.checks import CHECKS
from ratelab.commands.doctor.display import print_findings
from ratelab.commands.doctor.examining import Check, examine
from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.installation import check_imports, check_packages, check_python, check_ratelab
from ratelab.commands.doctor.machine import check_cores, check_memory
from ratelab.commands.doctor.room import check_room
from ratelab.commands.doctor.setup import Setup, read_setup
from ratelab.commands.doctor.stores import check_stores
from ratelab.commands.doctor.tensorflow import check_tensorflow
from ratelab.commands.doctor.variables import check_environment
from ratelab.config import read
from ratelab.data.files import FILES
from ratelab.validation import UserError
from support.configs import VALUES
from support.files import read_tree
from support.in_process import ratelab
from support.small_data import SMALL, install_small

GIB = 2**30


@pytest.fixture
def make_setup(tmp_path):
    """Return what training would be given in an empty folder, with some keys of the configuration changed."""

    def make(*changes, uri="sqlite:///mlruns/mlflow.db", environment=(), experiment="ratelab"):
        configs = [read({**VALUES, **one}) for one in changes or [{}]]
        folders = (tmp_path / "multirun" / "2026-01-31" / "12-00-00",)
        return Setup(tuple(configs), ((uri, experiment),), folders, tmp_path, dict(environment))

    return make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """No data of the machine's are looked at."""
    monkeypatch.setenv("RATELAB_CACHE", str(tmp_path_factory.mktemp("cache")))


def only(findings):
    [finding] = findings
    return finding


def marks(findings):
    return [(finding.mark, finding.subject) for finding in findings]


# how checks are run


def look_well(_):
    yield Finding(OK, "well", "it is")


def look_badly(_):
    yield Finding(OK, "first", "was found")
    raise KeyError("a mistake of ours")


def refuse(_):
    raise UserError("data.dir: no such folder")
    yield


def test_findings_come_in_the_order_of_the_checks_and_a_check_that_fails_is_a_line(make_setup):
    checks = [Check("bad", look_badly), Check("refused", refuse), Check("well", look_well)]
    found = list(examine(checks, make_setup()))
    assert marks(found) == [(OK, "first"), (PROBLEM, "bad"), (PROBLEM, "refused"), (OK, "well")]
    assert found[1].seen == "could not be looked at: KeyError: 'a mistake of ours'"
    assert (found[2].seen, found[2].advice) == ("data.dir: no such folder", "")


def test_a_check_that_hangs_is_a_line_and_the_others_are_made(make_setup):
    end = threading.Event()

    def hang(_):
        yield Finding(OK, "a drive", "is well")
        end.wait()

    found = list(examine([Check("another drive", hang, 0.1), Check("well", look_well)], make_setup()))
    end.set()
    assert marks(found) == [(OK, "a drive"), (PROBLEM, "another drive"), (OK, "well")]
    assert found[1].seen == "no answer within 0.1 seconds"


def test_every_check_has_a_subject_of_its_own():
    assert len({check.subject for check in CHECKS}) == len({check.look for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(
    ("look", "status", "last"), [(look_well, 0, "No problem."), (refuse, 1, "1 problem.")]
)
def test_the_command_ends_with_the_status_of_what_it_has_found(tmp_path, monkeypatch, look, status, last):
    monkeypatch.setattr("ratelab.commands.doctor.checks.CHECKS", (Check("all", look),))
    ended = ratelab(tmp_path, "doctor", "data=digits", "--uri", "sqlite:///a.db")
    assert (ended.status, ended.out.splitlines()[-1], ended.err) == (status, last, "")


def test_a_ratelab_that_is_not_whole_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ratelab.commands.doctor.checks", None)
    ended = ratelab(tmp_path, "doctor")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("ratelab cannot be imported here: ")
    assert ended.err.endswith("-m pip install --force-reinstall ratelab\n")


def printed(findings, width=80):
    console = Console(width=width, highlight=False, force_terminal=False)
    with console.capture() as capture:
        status = print_findings(console, findings)
    return status, capture.get()


LONG = "/a/path/that/is/longer/than/a/line/of/a/terminal/because/people/nest/their/folders/deeply/mlflow.db"


def test_it_is_printed_in_words_that_are_not_broken():
    findings = [
        Finding(OK, "Python", "3.12.1"),
        Finding(WARNING, "data", "mnist: 4 files not in the cache " * 4, f"Run: rm {LONG}"),
        Finding(PROBLEM, "store", "a\nb\x1b[2J\udcff"),
    ]
    status, text = printed(findings)
    assert status == 1
    assert text.splitlines() == [
        "ok       Python: 3.12.1",
        "warning  data: mnist: 4 files not in the cache mnist: 4 files not in the cache",
        "         mnist: 4 files not in the cache mnist: 4 files not in the cache",
        "         Run: rm",
        f"         {LONG}",
        "problem  store: a b?[2J?",
        "1 problem, 1 warning.",
    ]


@pytest.mark.parametrize("width", [1, 30, 80, 200])
def test_no_width_loses_or_breaks_a_word(width):
    words = " ".join(f"word{number}" for number in range(40))
    status, text = printed([Finding(OK, "data", words, words)], width)
    assert (status, text.split()) == (0, ["ok", "data:", *words.split(), *words.split(), "No", "problem."])


# the installation


def test_this_installation_is_well(make_setup):
    setup = make_setup()
    assert only(check_ratelab(setup)).seen.endswith("ratelab")
    assert marks(check_python(setup)) == [(OK, "Python")]
    found = only(check_packages(setup))
    assert found.mark == OK
    assert f"mlflow {metadata.version('mlflow')}" in found.seen


def test_a_python_that_is_too_old(make_setup, monkeypatch):
    monkeypatch.setattr(installation.platform, "python_version", lambda: "3.10.4")
    found = only(check_python(make_setup()))
    assert (found.mark, found.seen) == (PROBLEM, "3.10.4 is not within <3.14,>=3.11")


def test_packages_that_are_missing_or_out_of_bounds_are_named(make_setup, monkeypatch):
    stated = [
        "keras<3.16,>=3.10",
        "numpy>=2.0",
        "mlflow>=3",
        "ray>=2.40; extra == 'ray'",
        "six; extra == 'a'",
    ]
    versions = {"keras": "3.16.0", "mlflow": "3.18.0rc1", "ray": "2.9.3"}
    monkeypatch.setattr(metadata, "requires", lambda _: stated)
    monkeypatch.setattr(installation, "_find_version", versions.get)
    found = list(check_packages(make_setup()))
    assert marks(found) == [(PROBLEM, "packages"), (PROBLEM, "packages"), (WARNING, "packages")]
    assert [one.seen for one in found] == [
        "keras 3.16.0 is installed; ratelab needs <3.16,>=3.10",
        "numpy is not installed; ratelab needs >=2.0",
        "ray 2.9.3 is installed; ratelab needs >=2.40",
    ]
    assert found[0].advice.endswith("-m pip install 'keras<3.16,>=3.10'")


def test_what_can_be_imported(make_setup, monkeypatch):
    def run(command, **_):
        assert command[-len(installation.IMPORTED) :] == [*installation.IMPORTED]
        return subprocess.CompletedProcess(command, 0, "\n".join(installation.IMPORTED), "")

    monkeypatch.setattr(subprocess, "run", run)
    assert marks(check_imports(make_setup())) == [(OK, "imports")]


def test_what_ends_the_program_that_imports_it_is_named(make_setup, monkeypatch):
    errors = "Traceback (most recent call last):\n  File x\nValueError: numpy.dtype size changed\n"

    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "pandas\npyarrow\n", errors)

    monkeypatch.setattr(subprocess, "run", run)
    found = only(check_imports(make_setup()))
    assert (found.mark, found.subject) == (PROBLEM, "pyarrow")
    assert found.seen == "does not import or compute (status 1): ValueError: numpy.dtype size changed"
    assert found.advice.endswith("pip install --force-reinstall pyarrow.")


def test_a_package_that_is_not_installed_has_no_version():
    assert installation._find_version("no-such-package-of-anybody") is None


# TensorFlow and its devices

SEEN = {"tensorflow": "2.21.0", "keras": "3.15.1", "gpus": [], "has_cuda": True, "is_right": True}


@pytest.fixture
def trial(monkeypatch, tmp_path):
    """Let the trial of TensorFlow end like this, on a machine with so many GPUs of NVIDIA's."""

    def end(status=0, errors="", gpus=0, **seen):
        def run(command, **options):
            assert options["timeout"] == trials.TRIAL_SECONDS
            return subprocess.CompletedProcess(command, status, json.dumps({**SEEN, **seen}), errors)

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(tensorflow, "PCI", tmp_path / "pci")
        for number, (kind, maker) in enumerate(
            [*[("0x030200", "0x10de")] * gpus, ("0x030000", "0x1a03"), ("0x040300", "0x10de")]
        ):
            device = tmp_path / "pci" / f"0000:0{number}:00.0"
            device.mkdir(parents=True)
            (device / "class").write_text(f"{kind}\n")
            (device / "vendor").write_text(f"{maker}\n")

    return end


def test_a_tensorflow_that_computes(make_setup, trial):
    trial()
    assert [(one.mark, one.seen) for one in check_tensorflow(make_setup())] == [
        (OK, "2.21.0 with Keras 3.15.1 imports and computes"),
        (OK, "TensorFlow sees the CPU and no GPU"),
    ]


@pytest.mark.parametrize(
    ("status", "errors", "seen", "advice"),
    [
        (-signal.SIGILL, "", "(ended by SIGILL): not a word", "This processor lacks"),
        (-signal.SIGKILL, "", "(ended by SIGKILL): not a word", "The system has ended it"),
        (
            1,
            "Traceback (most recent call last):\n  File x\nImportError: libfoo.so.1: cannot open\n\n"
            "Failed to load the native TensorFlow runtime.\nSee https://www.tensorflow.org/install\n",
            "(status 1): ImportError: libfoo.so.1: cannot open",
            "Put right what that names, or install it anew",
        ),
        (
            -signal.SIGABRT,
            "F0000 00:00:1795812863.843136   29649 parse_flags.cc:234] Unknown flag in XLA_FLAGS: --a",
            "(ended by SIGABRT): Unknown flag in XLA_FLAGS: --a",
            "Put right what that names",
        ),
    ],
)
def test_a_tensorflow_that_ends_its_process(make_setup, trial, status, errors, seen, advice):
    trial(status, errors)
    found = only(check_tensorflow(make_setup()))
    assert (found.mark, found.seen) == (PROBLEM, f"does not import or compute {seen}")
    assert found.advice.startswith(advice)


def test_a_tensorflow_that_hangs(make_setup, monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    found = only(check_tensorflow(make_setup()))
    assert (found.mark, found.seen) == (PROBLEM, "no end within 60 seconds")


def test_a_tensorflow_that_computes_something_else(make_setup, trial):
    trial(is_right=False)
    first, _ = check_tensorflow(make_setup())
    assert (first.mark, first.seen) == (
        PROBLEM,
        "2.21.0 with Keras 3.15.1 computes what is wrong: a product of ones",
    )


def device(**changes):
    return {"device": {**VALUES["device"], **changes}}


@pytest.mark.parametrize(
    ("there", "seen", "kind", "hidden", "mark", "said"),
    [
        (1, ["A100"], "auto", None, OK, "TensorFlow sees the CPU and 1 GPU (A100)"),
        (2, [], "auto", None, WARNING, "sees the CPU and no GPU; the machine has 2 GPUs"),
        (2, [], "auto", "-1", OK, "no GPU, of 2 here: CUDA_VISIBLE_DEVICES is '-1'"),
        (0, [], "gpu", None, PROBLEM, "no GPU; device=gpu needs 1 GPU"),
        (2, [], "gpu", None, PROBLEM, "no GPU; device=gpu needs 1 GPU"),
    ],
)
def test_gpus(make_setup, trial, there, seen, kind, hidden, mark, said):
    trial(gpus=there)
    environment = {} if hidden is None else {"CUDA_VISIBLE_DEVICES": hidden}
    setup = make_setup(device(kind=kind), environment=environment)
    found = only(tensorflow._judge_devices({**SEEN, "gpus": seen}, setup))
    assert (found.mark, found.seen[-len(said) :]) == (mark, said)


# cores and memory


@pytest.fixture
def container(monkeypatch, tmp_path):
    """Let this program have so many cores, in a container that says this of their time."""

    def limit(cores, **files):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
        monkeypatch.setattr(machine, "CGROUP", tmp_path)
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return limit


@pytest.mark.parametrize(
    ("cores", "threads", "files", "mark", "advice"),
    [
        (8, 1, {}, OK, ""),
        (8, 8, {"cpu_max": "max 100000\n"}, OK, ""),
        (2, 4, {}, WARNING, "More threads than cores wait: device.threads=2."),
        (8, 1, {"cpu_max": "250000 100000\n"}, WARNING, "hydra.launcher.workers=2."),
        (8, 4, {"cpu_max": "250000 100000\n"}, WARNING, "More threads than cores wait: device.threads=2."),
        (8, 1, {"cpu_max": "800000 100000\n"}, OK, ""),
        (8, 1, {"cpu__cpu_cfs_quota_us": "300000\n", "cpu__cpu_cfs_period_us": "100000\n"}, WARNING, "=3."),
        (8, 1, {"cpu__cpu_cfs_quota_us": "-1\n", "cpu__cpu_cfs_period_us": "100000\n"}, OK, ""),
    ],
)
def test_cores(make_setup, container, cores, threads, files, mark, advice):
    container(cores, **files)
    found = only(check_cores(make_setup(device(threads=threads), device())))
    assert (found.mark, found.advice[-len(advice) :] if advice else found.advice) == (mark, advice)
    assert f"device.threads={threads}" in found.seen


@pytest.mark.parametrize(("free", "mark"), [(2 * GIB, OK), (2 * GIB - 1, WARNING)])
def test_memory(make_setup, monkeypatch, free, mark):
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    found = only(check_memory(make_setup()))
    assert (found.mark, found.seen) == (mark, "2.0 GiB free")


# stores


@pytest.fixture
def database(tmp_path, fresh_store):
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(fresh_store, path)
    return path


def test_no_store_is_made_where_there_is_none(make_setup, tmp_path):
    found = only(check_stores(make_setup()))
    assert (found.mark, found.seen) == (
        OK,
        f"{tmp_path}/mlruns/mlflow.db is not there yet; the first run makes it",
    )
    assert list(tmp_path.iterdir()) == []


def test_no_tracking_is_no_store(make_setup):
    assert only(check_stores(make_setup(uri=None))).seen.startswith("none, ")


def test_a_store_that_is_well_is_left_as_it_was(make_setup, database):
    before, time = read_tree(database.parent), database.parent.stat().st_mtime_ns
    found = only(check_stores(make_setup()))
    assert found.mark == OK
    assert found.seen.startswith(f"{database}, ")
    assert found.seen.endswith(f" MiB, writable, schema of MLflow {metadata.version('mlflow')}")
    assert (read_tree(database.parent), database.parent.stat().st_mtime_ns) == (before, time)


def test_what_a_killed_program_left_of_a_store_is_read_and_left(make_setup, database, tmp_path):
    with closing(sqlite3.connect(database)) as writer:
        with writer:
            writer.execute("UPDATE experiments SET name = 'ratelab', lifecycle_stage = 'deleted'")
        left = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    assert {*left} == {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm"}
    for name, content in left.items():
        (database.parent / name).write_bytes(content)
    found = only(check_stores(make_setup()))
    assert found.mark == PROBLEM
    assert found.seen.startswith("tracking.experiment: 'ratelab' was deleted in this store")
    kept = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    assert {**kept, "mlflow.db-shm": None} == {
        **left,
        "mlflow.db-shm": None,
    }  # in which SQLite counts readers


def garbage(path):
    path.write_bytes(b"no database at all\n" * 1000)


def folder(path):
    path.unlink()
    path.mkdir()


def older(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")


def log_of_another(path):
    path.rename(f"{path}-wal")


def below_a_file(path):
    shutil.rmtree(path.parent)
    path.parent.write_text("a file")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (garbage, "is not an SQLite file. Move it away"),
        (folder, "is a folder. Name a file in it"),
        (older, "was made by an older MLflow"),
        (log_of_another, "is not there, but mlflow.db-wal of a database that was"),
        (below_a_file, "is not a folder. Move that away"),
    ],
)
def test_a_store_that_is_not_well(make_setup, database, tmp_path, spoil, said):
    spoil(database)
    before = read_tree(tmp_path)
    found = only(check_stores(make_setup()))
    assert found.mark == PROBLEM
    assert said in found.seen
    assert read_tree(tmp_path) == before


def test_a_store_that_a_program_holds_is_waited_for_some_seconds(make_setup, database, monkeypatch):
    monkeypatch.setattr("ratelab.tracking.sqlite._LOOK_SECONDS", 0.1)
    with closing(sqlite3.connect(database)) as holder:
        holder.execute("PRAGMA journal_mode = DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("DELETE FROM experiments")
        found = only(check_stores(make_setup()))
    assert found.mark == PROBLEM
    assert "cannot be read: database is locked. End the program that holds it" in found.seen


@pytest.mark.parametrize("is_there", [True, False])
def test_what_a_killed_start_left_is_named(make_setup, database, is_there):
    if not is_there:
        database.unlink()
    left = database.with_name(".mlflow.db.new")
    left.touch()
    _, found = check_stores(make_setup())
    assert (found.mark, found.seen) == (
        WARNING,
        f".mlflow.db.new in {database.parent}: left by a start that was killed",
    )
    assert found.advice == (f"Run: rm {left}" if is_there else "The first run deletes it.")


def test_what_a_start_makes_just_now_is_not_left(make_setup, database):
    from filelock import FileLock

    database.with_name(".mlflow.db.new").touch()
    with FileLock(database.with_name(".mlflow.db.lock")):
        assert marks(check_stores(make_setup())) == [(OK, "store")]
    assert marks(check_stores(make_setup())) == [(OK, "store"), (WARNING, "store")]


@pytest.mark.parametrize(
    ("version", "mark", "said"),
    [
        (metadata.version("mlflow"), OK, f"MLflow {metadata.version('mlflow')}"),
        ("", OK, "it does not say its version"),
        ("2.9.1", WARNING, f"it is MLflow 2.9.1, the one here {metadata.version('mlflow')}"),
    ],
)
def test_a_server_and_its_version(make_setup, monkeypatch, version, mark, said):
    monkeypatch.setattr(stores, "look_at_store", lambda *_: True)
    monkeypatch.setattr(stores, "end_left_runs", lambda _: [])
    monkeypatch.setattr(stores, "server_version", lambda _: version)
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    found = only(check_stores(make_setup(uri="http://me:hush@127.0.0.1:5000")))
    assert (found.mark, found.seen[-len(said) :]) == (mark, said)
    assert ", user me; " in found.seen
    assert "hush" not in found.seen


@pytest.mark.parametrize(
    ("is_there", "said"),
    [(True, " answers, writable, schema of MLflow "), (False, " is empty; the first run")],
)
def test_a_database(make_setup, monkeypatch, is_there, said):
    monkeypatch.setattr(stores, "look_at_store", lambda *_: is_there)
    monkeypatch.setattr(stores, "end_left_runs", lambda _: [])
    found = only(check_stores(make_setup(uri="postgresql://me@host/db")))
    assert found.mark == OK
    assert f"postgresql://me@host/db{said}" in found.seen


def test_every_store_of_a_sweep_is_looked_at():
    setup = read_setup(["tracking.uri=sqlite:///a/b.db,http://127.0.0.1:1"], None, None, "config")
    assert setup.stores == (("sqlite:///a/b.db", "ratelab"), ("http://127.0.0.1:1", "ratelab"))
    given = read_setup(["data=mnist,digits"], "sqlite:///c.db", None, "config")
    assert given.stores == (("sqlite:///c.db", "ratelab"),)
    assert [config.data.target for config in given.configs] == ["ratelab.data.mnist", "ratelab.data.digits"]


# disks

Room = namedtuple("Room", "f_bavail f_frsize f_files f_favail")


@pytest.mark.parametrize(
    ("room_of_disk", "mark", "said"),
    [
        (Room(GIB, 1, 10, 10), OK, "1.0 GiB (1,073,741,824 bytes) free for store, artifacts, multirun/, "),
        (Room(GIB // 4096 - 1, 4096, 10, 10), WARNING, "1.0 GiB (1,073,737,728 bytes) free for store"),
        (Room(0, 4096, 10, 10), PROBLEM, "0.0 GiB (0 bytes) free for store"),
        (Room(GIB, 4096, 10, 0), PROBLEM, "4096.0 GiB"),
        (Room(GIB, 1, 0, 0), OK, "1.0 GiB"),  # a file system that does not count files
    ],
)
def test_room(make_setup, monkeypatch, room_of_disk, mark, said):
    monkeypatch.setattr(os, "statvfs", lambda _: room_of_disk)
    found = [one for one in check_room(make_setup()) if " free for " in one.seen]
    assert {one.mark for one in found} == {mark}
    assert found[0].seen.startswith(said)


def test_folders_in_which_nothing_can_be_made(make_setup, tmp_path, monkeypatch):
    """But the cache of data, into which nothing has to go."""
    (tmp_path / "multirun").mkdir()
    monkeypatch.setattr(room, "can_make_in", lambda path: path.name not in {"multirun", "cache0"})
    found = [one for one in check_room(make_setup()) if one.mark == PROBLEM]
    assert [one.seen for one in found] == [f"multirun/: nothing can be made in {tmp_path}/multirun"]


def test_a_file_in_the_place_of_a_folder(make_setup, tmp_path):
    (tmp_path / "multirun").write_text("a file")
    found = [one for one in check_room(make_setup()) if one.mark == PROBLEM]
    assert f"{tmp_path}/multirun is not a folder" in only(found).seen


def test_a_folder_for_temporary_files_that_is_not_there(make_setup, tmp_path):
    assert {one.mark for one in check_room(make_setup(environment={"TMPDIR": str(tmp_path)}))} == {OK}
    found = [
        one for one in check_room(make_setup(environment={"TMPDIR": f"{tmp_path}/gone"})) if one.mark != OK
    ]
    assert only(found).mark == WARNING
    assert only(found).seen.startswith(f"TMPDIR: {tmp_path}/gone is not there")


# data


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Let "mnist" be small; return a folder with its genuine files."""
    monkeypatch.setitem(FILES, "mnist", ())
    monkeypatch.setitem(datasets.SOURCES, "mnist", ())
    install_small("http://127.0.0.1:1/")
    folder = tmp_path / "own"
    folder.mkdir()
    for name, content in SMALL.items():
        (folder / name).write_bytes(content)
    return folder


def mnist(**arguments):
    return {"data": {"_target_": "ratelab.data.mnist", "dir": None, "validation_size": 20, **arguments}}


def of_data(setup):
    return [one for one in datasets.check_data(setup) if not one.seen.startswith("fashion_mnist: ")]


def test_data_in_a_folder(make_setup, small_mnist):
    found = only(of_data(make_setup(mnist(dir=str(small_mnist)))))
    assert (found.mark, found.seen) == (OK, f"mnist: genuine, by its digests, in {small_mnist}")


def test_data_with_a_flipped_bit(make_setup, small_mnist):
    path = small_mnist / "t10k-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = only(of_data(make_setup(mnist(dir="own"))))
    assert found.mark == PROBLEM
    assert found.seen.startswith(f"mnist: {path} is not the genuine t10k-labels-idx1-ubyte: ")


def test_data_that_a_folder_lacks(make_setup, small_mnist, tmp_path):
    (small_mnist / "t10k-labels-idx1-ubyte").unlink()
    found = only(of_data(make_setup(mnist(dir="own"))))
    assert (found.mark, found.seen) == (PROBLEM, f"mnist: {small_mnist} has no t10k-labels-idx1-ubyte")
    gone = only(of_data(make_setup(mnist(dir="gone"))))
    assert (gone.mark, gone.seen) == (PROBLEM, f"mnist: data.dir={tmp_path}/gone is not a folder")


def test_data_that_are_not_in_the_cache_will_be_fetched_and_are_not(make_setup, small_mnist, monkeypatch):
    cache = Path(os.environ["RATELAB_CACHE"])
    found = only(of_data(make_setup(mnist())))
    assert (found.mark, found.seen) == (WARNING, f"mnist: 4 files not in the cache, {cache}/mnist")
    assert found.advice.startswith("The first run fetches 4 files from http://127.0.0.1:1/. ")
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(datasets, "can_make_in", lambda _: False)
    assert only(of_data(make_setup(mnist()))).mark == PROBLEM


def test_data_in_the_cache(make_setup, small_mnist):
    """What is spoilt there a run fetches again; also what this configuration does not name is looked at."""
    cache = Path(os.environ["RATELAB_CACHE"]) / "mnist"
    shutil.copytree(small_mnist, cache)
    assert marks(of_data(make_setup(mnist()))) == [(OK, "data")]
    (cache / "t10k-labels-idx1-ubyte").write_bytes(b"spoilt")
    found = only(of_data(make_setup(mnist())))
    assert found.mark == WARNING
    assert "is not the genuine" in found.seen
    assert found.advice.startswith("The first run fetches 1 file from ")
    assert [(one.mark, one.seen[:6]) for one in of_data(make_setup())] == [
        (OK, "digits"),
        (WARNING, "mnist:"),
    ]


def test_a_file_of_the_users(make_setup, tmp_path, small_mnist):
    data = {"_target_": "ratelab.data.table", "file": "a.csv", "target": "y"}
    found = of_data(make_setup({"data": data}))[0]
    assert (found.mark, found.seen) == (PROBLEM, f"table: data.file={tmp_path}/a.csv is not a file")
    (tmp_path / "a.csv").write_text("x,y\n")
    found = of_data(make_setup({"data": data}, {"data": data}))
    assert [(one.mark, one.seen) for one in found[:-1]] == [(OK, f"table: {tmp_path}/a.csv, 4 bytes")]


# variables of the environment


def test_an_environment_without_any(make_setup):
    found = only(check_environment(make_setup(environment={"HOME": "/root", "TF_VAR_x": "1"})))
    assert (found.mark, found.seen) == (OK, "no other variable is set that changes runs")


def test_variables_that_change_something_are_named(make_setup):
    environment = {
        "MLFLOW_TRACKING_URI": "http://me:hush@host",
        "KERAS_BACKEND": "jax",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true" + "x" * 100,
        "OMP_NUM_THREADS": "4",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    found = list(check_environment(make_setup(environment=environment)))
    assert [one.seen.partition("=")[0] for one in found if one.mark == WARNING] == [
        "MLFLOW_TRACKING_URI",
        "KERAS_BACKEND",
        "TF_ENABLE_ONEDNN_OPTS",
        "XLA_FLAGS",
    ]
    assert found[0].advice == "To use it: 'tracking.uri=${oc.env:MLFLOW_TRACKING_URI}'"
    assert (found[-1].mark, found[-1].seen) == (OK, "set and used: OMP_NUM_THREADS=4, TF_CPP_MIN_LOG_LEVEL=2")
    assert "hush" not in str(found)
    assert max(len(one.seen) for one in found) < 100


def test_a_variable_that_names_the_store_of_the_configuration_is_well(make_setup):
    setup = make_setup(uri="http://host", environment={"MLFLOW_TRACKING_URI": "http://host"})
    assert {one.mark for one in check_environment(setup)} == {OK}
