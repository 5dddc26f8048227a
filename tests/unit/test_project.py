"""`ratelab init`: a project is written whole into a new folder, or not at all."""

import resource
import stat

import pytest

from ratelab.commands import project
from ratelab.commands.project import write_project
from ratelab.validation import UserError
from support import ROOT
from support.files import read_tree
from support.in_process import ratelab

EXAMPLE = ROOT / "examples" / "project"


def files_of(folder):
    tree = read_tree(folder)
    return {name: content for name, content in tree.items() if content and "__pycache__" not in name}


@pytest.mark.parametrize("name", ["demo", "a/b/demo", "two words", "empty", "ümläut", "--odd"])
def test_a_project_is_what_the_repository_has(tmp_path, name):
    (tmp_path / "empty").mkdir()
    write_project(tmp_path / name)
    assert files_of(tmp_path / name) == files_of(EXAMPLE)


def test_the_next_step_is_a_line_for_a_shell(tmp_path):
    done = ratelab(tmp_path, "init", "two words")
    assert done.out.endswith("or with: cd 'two words' && python train.py\n")


TAKEN = {
    "a file": lambda place: place.write_text("mine"),
    "a folder with a file": lambda place: (place / "file").mkdir(parents=True),
    "a project": write_project,
}


@pytest.mark.parametrize("fill", TAKEN.values(), ids=TAKEN)
def test_what_is_there_stays_as_it_is(tmp_path, fill):
    fill(tmp_path / "demo")
    before = read_tree(tmp_path)
    with pytest.raises(UserError, match=r"demo is there already, and nothing is written over it"):
        write_project(tmp_path / "demo")
    assert read_tree(tmp_path) == before


IMPOSSIBLE = {
    "in a file": ("file/demo", "Not a directory"),
    "a name of 300 letters": ("x" * 300, "File name too long"),
    "a link to nowhere": ("link", "File exists"),
    "where no system has files": ("/proc/demo", "No such file or directory"),
}


@pytest.mark.parametrize(("name", "reason"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_folder_that_cannot_be_made_is_one_message(tmp_path, name, reason):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    before = read_tree(tmp_path)
    done = ratelab(tmp_path, "init", name)
    assert (done.status, done.out) == (1, "")
    assert done.err == f"init: {name} cannot be written ({reason}).\n"
    assert read_tree(tmp_path) == before


def test_no_name_is_refused(tmp_path):
    done = ratelab(tmp_path, "init", "")
    assert done.status == 2
    assert "must not be empty" in done.err
    assert read_tree(tmp_path) == {}


def test_of_a_project_that_could_not_be_written_whole_nothing_stays(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))  # bytes of a file: a full disk, for this process
    try:
        with pytest.raises(UserError, match=r"demo cannot be written \(File too large\)\.$"):
            write_project(tmp_path / "demo")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_tree(tmp_path) == {}


def test_the_files_can_be_changed_though_those_installed_are_read_only(tmp_path, monkeypatch):
    installed = tmp_path / "installed"
    write_project(installed)
    for path in installed.rglob("*"):
        path.chmod(stat.S_IREAD | (stat.S_IEXEC if path.is_dir() else 0))
    monkeypatch.setattr(project, "FILES", installed)
    write_project(tmp_path / "demo")
    assert all(path.stat().st_mode & stat.S_IWRITE for path in (tmp_path / "demo").rglob("*"))
