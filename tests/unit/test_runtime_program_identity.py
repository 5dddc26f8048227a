"""Whether a program is dead: every case of the rule, which never says it of one that may live."""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.runtime import program_identity
from ratelab.runtime.journal_file import JournalFile
from ratelab.runtime.program_identity import Program, is_dead, this_program

HERE = Program("host", "machine", "boot", "pid:[1] time:[2]", 100, 5000)
# of the processes that there are: state and start
LIVING = {"100": ("S", 5000), "7": ("R", 6000), "8": ("Z", 6000), "9": ("X", 6000), "10": ("T", 6000)}


@pytest.fixture
def here(monkeypatch):
    """A system with a few processes, in which this is process 100; `change` makes it another one."""

    def kill(pid, number):
        assert number == 0
        if str(pid) not in LIVING:
            raise ProcessLookupError(pid)
        if pid == 10:
            raise PermissionError(pid)

    def change(program=HERE, proc="100"):
        monkeypatch.setattr(program_identity, "this_program", lambda: program)
        monkeypatch.setattr(program_identity, "_read_link", lambda path: proc)

    monkeypatch.setattr(program_identity.os, "kill", kill)
    monkeypatch.setattr(program_identity.os, "getpid", lambda: 100)
    monkeypatch.setattr(program_identity, "_read_stat", LIVING.get)
    change()
    return change


@pytest.fixture
def journals(tmp_path):
    """The paths of a journal that is held, of one that is not, of none, of a folder."""
    held, free = (tmp_path / name for name in ("held", "free"))
    open_one = JournalFile(held)
    JournalFile(free).close()
    yield {"held": str(held), "free": str(free), "none": str(tmp_path / "none"), "folder": str(tmp_path)}
    open_one.close()


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        ({}, False),
        ({"pid": 7, "started": 6000}, False),
        ({"pid": 7, "started": 5999}, True),  # another process has its number
        ({"pid": 11}, True),
        ({"pid": 8, "started": 6000}, True),  # a zombie
        ({"pid": 9, "started": 6000}, True),
        ({"pid": 10, "started": 6000}, False),  # stopped, and somebody else's
        ({"pid": 10, "started": 6001}, True),
        # what does not count here as it did there
        ({"pid": 11, "namespaces": "pid:[3] time:[2]"}, False),
        ({"pid": 11, "namespaces": "pid:[1] time:[3]"}, False),
        ({"pid": 11, "namespaces": ""}, False),
        ({"pid": 11, "host": "other"}, False),
        ({"pid": 11, "started": 0}, False),
        # another start of a machine
        ({"boot": "earlier"}, True),
        ({"boot": "earlier", "pid": 7, "started": 6000}, True),
        ({"boot": "earlier", "namespaces": "pid:[3]"}, True),
        ({"boot": "earlier", "host": "other"}, False),
        ({"boot": "earlier", "machine": "other"}, False),
        ({"boot": "earlier", "machine": ""}, False),
        ({"boot": "", "pid": 11}, False),
    ],
)
def test_what_is_dead_without_a_journal(here, changes, dead):
    assert is_dead(replace(HERE, **changes)) is dead


@pytest.mark.parametrize("journal", ["held", "free", "none", "folder", "a\0b", "", "relative"])
@pytest.mark.parametrize(
    ("changes", "is_here"),
    [
        ({"namespaces": "pid:[3] time:[2]"}, True),  # a container beside this one
        ({"namespaces": "pid:[3] time:[2]", "host": "container"}, True),
        ({"started": 0}, True),
        ({}, False),  # lives, whatever became of the journal
        ({"boot": "elsewhere", "host": "other"}, False),
        ({"boot": ""}, False),
    ],
)
def test_who_lets_go_of_a_journal_on_this_host_is_dead(here, journals, journal, changes, is_here):
    program = replace(HERE, journal=journals.get(journal, journal), **changes)
    assert is_dead(program) is (is_here and journal == "free")


@pytest.mark.parametrize(
    ("journal", "dead"), [("free", True), ("held", False), ("none", False), (None, False)]
)
@pytest.mark.parametrize(("host", "is_here"), [("host", True), ("other", False)])
def test_where_no_kernel_says_when_it_started_the_journal_alone_tells(
    here, journals, journal, dead, host, is_here
):
    bare = Program("host", "", "", "", 100, 0)
    here(bare)
    assert is_dead(replace(bare, pid=11, host=host, journal=journals.get(journal))) is (dead and is_here)


def test_where_proc_is_that_of_another_namespace_no_start_is_compared(here):
    here(proc="4")
    assert not is_dead(replace(HERE, pid=7, started=1))
    assert is_dead(replace(HERE, pid=11))  # the system itself knows no such process


def test_a_process_that_proc_hides_is_not_dead(here, monkeypatch):
    monkeypatch.setattr(program_identity, "_read_stat", {}.get)
    assert not is_dead(replace(HERE, pid=7))


TEXTS = st.sampled_from(["", "host", "machine", "boot", "pid:[1] time:[2]", "other"])


@given(
    program=st.builds(
        Program, TEXTS, TEXTS, TEXTS, TEXTS, st.integers(1, 12), st.integers(0, 3).map(lambda n: n * 2000)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_dead_unless_this_system_is_known_to_be_its_own(here, program):
    dead = is_dead(program)
    same_kernel = (program.boot, program.host, program.namespaces) == ("boot", "host", "pid:[1] time:[2]")
    restarted = program.boot not in {"", "boot"} and (program.host, program.machine) == ("host", "machine")
    state, started = LIVING.get(str(program.pid), ("", None))
    lives = state in {"S", "R", "T"} and started == program.started
    assert dead is (restarted or (same_kernel and program.started > 0 and not lives))


def test_the_program_that_runs_lives_and_its_tag_is_read_back(tmp_path):
    program = this_program(tmp_path / "journal")
    assert Program.read(program.write()) == program
    assert (program.pid, program.journal) == (os.getpid(), str(tmp_path / "journal"))
    assert not is_dead(program)
    assert not is_dead(replace(program, namespaces="other", journal=None))
    with open("/proc/self/stat") as file:  # noqa: PTH123 - as simple as can be
        assert program.started == int(file.read().split()[-31])
    assert is_dead(replace(program, started=program.started + 1))


def test_a_process_is_known_whatever_it_is_called(tmp_path, monkeypatch):
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "stat").write_text("5 (a) S 1 (b)) Z " + " ".join(map(str, range(4, 53))))
    monkeypatch.setattr(program_identity, "Path", lambda path: tmp_path if path == "/proc" else path)
    assert program_identity._read_stat("5") == ("Z", 22)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train.py",
        "[]",
        "null",
        "3",
        "{}",
        '{"pid": 3}',
        replace(HERE, pid=0).write(),  # to os.kill this is a group of processes
        replace(HERE, pid=-1).write(),
        replace(HERE, pid=2**31).write(),
        replace(HERE, pid=True).write(),
        replace(HERE, pid="3").write(),
        replace(HERE, started=1.5).write(),
        replace(HERE, host=None).write(),
        replace(HERE, journal=3).write(),
        HERE.write().replace("host", "guest"),
        HERE.write()[:-1],
        None,
    ],
)
def test_a_tag_of_another_tool_names_no_program(text):
    assert Program.read(text) is None


def test_on_a_system_without_proc_all_is_unknown_and_nothing_is_said(monkeypatch, tmp_path):
    real = program_identity.Path

    def elsewhere(path):
        return real(f"{tmp_path}/{path}") if str(path).startswith(("/proc", "/sys", "/etc")) else real(path)

    monkeypatch.setattr(program_identity, "Path", elsewhere)
    program = this_program()
    assert (program.boot, program.machine, program.namespaces, program.started) == ("", "", "", 0)
    assert not is_dead(program)
    assert not is_dead(replace(program, pid=4_000_000))
