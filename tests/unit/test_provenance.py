import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.runtime.provenance import Provenance, collect, digest, flatten

ROOT = Path(__file__).parents[2]

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
KEYS = st.text(st.characters(exclude_characters="."), min_size=1, max_size=5)
TREES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3)),
    lambda child: st.dictionaries(KEYS, child, min_size=1, max_size=4),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(KEYS, TREES, max_size=4)


def reordered(tree, random):
    if not isinstance(tree, dict):
        return tree
    keys = random.sample(sorted(tree), len(tree))
    return {key: reordered(tree[key], random) for key in keys}


def unflatten(flat):
    tree = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[last] = value
    return tree


@pytest.fixture
def fresh(monkeypatch):
    """Look again, and forget it afterwards."""
    collect.cache_clear()
    yield
    collect.cache_clear()


@pytest.fixture
def no_packages(monkeypatch):
    """Nothing is installed: to list it takes a tenth of a second."""
    monkeypatch.setattr(importlib.metadata, "distributions", list)


# the first text of a process takes a second: hypothesis reads all of Unicode
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(MAPPINGS, st.randoms())
def test_the_digest_does_not_depend_on_the_order_of_the_keys(values, random):
    assert digest(reordered(values, random)) == digest(values)


@given(MAPPINGS, MAPPINGS)
def test_the_digest_is_the_same_only_for_the_same_values(first, second):
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (digest(first) == digest(second)) == same


def test_the_digest_is_the_same_in_every_process_and_every_version():
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert digest({"seed": 0}) != digest({"seed": 0.0})


@given(MAPPINGS)
def test_flattening_loses_nothing(values):
    flat = flatten(values)
    assert not any(isinstance(value, dict) for value in flat.values())
    # repr: a nan is not equal to itself
    assert repr(unflatten(flat)) == repr(values)


@given(MAPPINGS)
def test_what_is_flat_stays_as_it_is(values):
    flat = flatten(values)
    assert repr(flatten(flat)) == repr(flat)


def test_lists_are_values():
    assert flatten({"model": {"hidden": [128, {"a": 1}]}}) == {"model.hidden": [128, {"a": 1}]}


@pytest.fixture
def ours(monkeypatch):
    """As in a process of `src/train.py`."""
    monkeypatch.setattr(sys, "argv", [str(ROOT / "src" / "train.py")])


def test_the_commit_is_that_of_the_checkout(fresh, ours, no_packages):
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode != 0:
        pytest.skip("not a git checkout")
    assert collect().commit == head.stdout.strip()


def test_the_working_directory_does_not_matter(fresh, ours, no_packages, tmp_path, monkeypatch):
    here = collect().commit
    collect.cache_clear()
    monkeypatch.chdir(tmp_path)
    assert collect().commit == here


@pytest.mark.parametrize("called", ["train.py", "ratelab train"])
def test_a_project_of_the_users_own_has_its_own_commit(fresh, no_packages, tmp_path, monkeypatch, called):
    program = tmp_path / "train.py"
    program.write_text("main()")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@here"]
    for words in (["init"], ["add", "."], ["commit", "-m", "mine"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    monkeypatch.setattr(sys, "argv", [str(program) if called == "train.py" else called])
    monkeypatch.chdir(tmp_path if called != "train.py" else tmp_path.parent)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert (collect().commit, collect().diff) == (head.strip(), "")
    collect.cache_clear()
    program.write_text("main(1)")
    assert "+main(1)" in collect().diff


def test_where_there_is_no_git_the_commit_is_empty(fresh, no_packages, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert (collect().commit, collect().diff) == ("", "")
    assert collect().tags["git_dirty"] == "false"


def test_it_looks_once_a_process(fresh, no_packages):
    assert collect() is collect()


def test_packages_are_sorted_pinned_and_each_is_listed_once(fresh):
    assert collect().packages.endswith("\n")
    packages = collect().packages.splitlines()
    assert packages == sorted(set(packages), key=str.lower)
    assert all(line.count("==") == 1 for line in packages)
    import numpy

    assert f"numpy=={numpy.__version__}" in packages


def test_the_tags_say_the_same_in_short():
    clean = Provenance("abc", "", "numpy==2.0\n", "train.py -m seed=0,1")
    assert clean.tags == {
        "mlflow.source.git.commit": "abc",
        "git_dirty": "false",
        "command": "train.py -m seed=0,1",
        "versions": f"python {platform.python_version()}, numpy 2.0",
    }
    assert Provenance("abc", "diff --git", "", "").tags["git_dirty"] == "true"


def test_the_command_is_the_name_of_the_program_and_its_arguments(fresh, no_packages, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/src/train.py", "-m", "schedule=fixed,exponential"])
    assert collect().command == "train.py -m schedule=fixed,exponential"


@pytest.mark.parametrize(
    "option", ["tracking.uri=postgresql://me:hush@host/db", "tracking.uri=http://me:hush@host"]
)
def test_a_password_on_the_command_line_is_not_recorded(fresh, no_packages, monkeypatch, option):
    monkeypatch.setattr(sys, "argv", ["src/train.py", option, "seed=1"])
    assert "hush" not in collect().command
    assert "seed=1" in collect().command
