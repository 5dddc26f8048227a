"""Runs that dead programs left RUNNING become KILLED, in a real SQLite store; all others stay as they are."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelab.runtime.journal_file import JournalFile
from ratelab.runtime.program_identity import this_program
from ratelab.tracking import StoreError, find_store, left_running, open_tracker, tidy_store
from ratelab.tracking.left_running import describe_ended, end_left_runs
from support.damaged import good_run, having, without, write_runs

STARTED = 1_700_000_000_000
NOW = 1_800_000_000_000
ALIVE = this_program()
DEAD = replace(ALIVE, pid=2**22)  # no Linux has that many
REASON = f"the program that recorded it died (process {2**22} on {ALIVE.host})"


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch):
    monkeypatch.setattr(left_running, "now_ms", lambda: NOW)


def of(program, rows, **changes):
    """The run as this program records it."""
    return replace(having(rows, "tags", program=program.write()), **{"status": "RUNNING", **changes})


def sweep_of(program, number, *members, sweep_id="a sweep"):
    """A parent run and its children, which have the numbers after its own."""
    parent = replace(good_run(number), name="the sweep", params={}, metrics={}, started=STARTED)
    parent = replace(parent, tags={"sweep_id": sweep_id, "kind": "sweep"})
    children = [having(one, "tags", sweep_id=sweep_id, mlflow__parentRunId=parent.run_id) for one in members]
    return [of(program, run) for run in (parent, *children)]


def read(uri):
    """Status and end of every run, and what is said of its end, by its number."""
    query = """SELECT run_uuid, status, end_time,
        (SELECT value FROM tags WHERE key = 'ended_by' AND tags.run_uuid = runs.run_uuid) FROM runs"""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        return {int(run_id, 16): tuple(others) for run_id, *others in connection.execute(query)}


def dump(uri):
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        return [*connection.iterdump()]


def measured_at(uri, number, time):
    """Let the metrics of a run be measured at that time."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        values = (time, f"{number:032x}")
        connection.execute("UPDATE latest_metrics SET timestamp = ? WHERE run_uuid = ?", values)


def test_a_sweep_of_a_dead_program_is_killed_with_its_runs_and_one_line_says_so(store, capsys):
    ended = replace(good_run(3), status="FINISHED")
    uri = store(*sweep_of(DEAD, 0, good_run(1), good_run(2)), ended)
    measured_at(uri, 1, STARTED + 5000)
    measured_at(uri, 2, STARTED + 7000)
    tidy_store(uri)
    assert read(uri) == {
        0: ("KILLED", STARTED + 7000, REASON),  # has no metrics, but its runs do
        1: ("KILLED", STARTED + 5000, REASON),
        2: ("KILLED", STARTED + 7000, REASON),
        3: ("FINISHED", None, None),
    }
    said = "ratelab: 2 runs of sweep a sweep, left RUNNING by a program that died, are KILLED now.\n"
    assert capsys.readouterr() == ("", said)
    before = dump(uri)
    tidy_store(uri)
    assert dump(uri) == before
    assert capsys.readouterr() == ("", "")


def test_a_run_without_metrics_ends_now_and_none_before_it_began(store):
    uri = store(of(DEAD, replace(good_run(1), metrics={})), of(DEAD, good_run(2)))
    measured_at(uri, 2, STARTED - 5000)  # a clock that was set
    end_left_runs(uri)
    assert {number: end for number, (_, end, _) in read(uri).items()} == {1: NOW, 2: STARTED + 2}


OTHERS = {
    "of a living program": of(ALIVE, good_run(1)),
    "without a tag": replace(good_run(1), status="RUNNING"),
    "scheduled": of(DEAD, good_run(1), status="SCHEDULED"),
    "finished": of(DEAD, good_run(1), status="FINISHED"),
    "failed": of(DEAD, good_run(1), status="FAILED"),
    "another tool's tag": having(replace(good_run(1), status="RUNNING"), "tags", program="train.py"),
    "a tag that is null": having(replace(good_run(1), status="RUNNING"), "tags", program=None),
    "elsewhere": of(replace(DEAD, boot="b", host="h"), good_run(1)),
}


@pytest.mark.parametrize("run", OTHERS.values(), ids=OTHERS)
def test_what_is_not_of_a_dead_program_stays_as_it_is(store, run, capsys):
    uri = store(run, *sweep_of(ALIVE, 2, good_run(3)))
    before = dump(uri)
    tidy_store(uri)
    assert dump(uri) == before
    assert capsys.readouterr().err == ""


def test_a_deleted_run_stays_as_it_is(store):
    uri = store(of(DEAD, good_run(1)))
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    assert end_left_runs(uri) == []
    assert read(uri)[1][0] == "RUNNING"


@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from([ALIVE, DEAD, replace(DEAD, started=1), replace(DEAD, host="h"), None]),
            st.sampled_from(["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]),
            st.sampled_from(["sweep a", "sweep b", None]),
        ),
        max_size=8,
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_any_runs_only_those_of_dead_programs_change(store, runs):
    rows, wanted, dead = [], {}, [DEAD, replace(DEAD, started=1)]
    for number, (program, status, sweep_id) in enumerate(runs):
        row = replace(good_run(number), status=status)
        row = having(row, "tags", sweep_id=sweep_id) if sweep_id else without(row, "tags", "sweep_id")
        row = row if program is None else of(program, row, status=status)
        is_left = status == "RUNNING" and program in dead
        wanted[number] = ("KILLED", STARTED + number, REASON) if is_left else (status, None, None)
        rows.append(row)
    uri = store(*rows)
    ended = end_left_runs(uri)
    assert read(uri) == wanted
    assert {int(run.run_id, 16) for run in ended} == {number for number, one in wanted.items() if one[1]}
    assert end_left_runs(uri) == []


def test_who_comes_second_ends_nothing_and_says_nothing(store, monkeypatch):
    """Between the look and the end another start ends one run, and a living program opens another again."""
    runs = [of(DEAD, good_run(number)) for number in (1, 2, 3)]
    uri = store(*runs)
    choose, end = (
        left_running._choose_dead,
        "UPDATE runs SET status = 'KILLED', end_time = 5 WHERE run_uuid = ?",
    )

    def choose_late(left):
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as other, other:
            other.execute(end, [runs[0].run_id])
            values = [ALIVE.write(), runs[1].run_id]
            other.execute("UPDATE tags SET value = ? WHERE key = 'program' AND run_uuid = ?", values)
        return choose(left)

    monkeypatch.setattr(left_running, "_choose_dead", choose_late)
    assert [run.run_id for run in end_left_runs(uri)] == [runs[2].run_id]
    assert read(uri) == {
        1: ("KILLED", 5, None),
        2: ("RUNNING", None, None),
        3: ("KILLED", STARTED + 3, REASON),
    }


def test_a_store_that_is_locked_is_left_alone_without_a_word(store, monkeypatch, capsys):
    monkeypatch.setattr(left_running, "_LOCKED_SECONDS", 0.01)
    uri = store(of(DEAD, good_run(1)))
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        tidy_store(uri)
        assert read(uri)[1][0] == "RUNNING"
    assert capsys.readouterr() == ("", "")
    tidy_store(uri)
    assert read(uri)[1][0] == "KILLED"


@pytest.mark.parametrize("kind", ["absent", "garbage", "another program's", "read-only"])
def test_a_store_that_cannot_be_written_is_left_alone_without_a_word(
    store, tmp_path, kind, monkeypatch, capsys
):
    path = tmp_path / "other.db"
    uri = f"sqlite:///{path}"
    if kind == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif kind == "another program's":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE runs (a)")
    elif kind == "read-only":
        uri, connect = store(of(DEAD, good_run(1))), sqlite3.connect
        monkeypatch.setattr(
            sqlite3, "connect", lambda address, **named: connect(address.replace("=rw", "=ro"), **named)
        )
    tidy_store(uri)
    assert capsys.readouterr() == ("", "")
    assert path.exists() is (kind in {"garbage", "another program's"})


@pytest.mark.parametrize("uri", ["", None])
def test_where_nothing_is_tracked_there_is_nothing_to_do(uri):
    tidy_store(uri)


def test_who_reads_a_store_tidies_it(store, tmp_path, capsys):
    uri = store(of(DEAD, without(good_run(1, "cosine"), "tags", "sweep_id")))
    find_store(uri, tmp_path)
    said = "ratelab: the run cosine seed=0, left RUNNING by a program that died, is KILLED now.\n"
    assert capsys.readouterr().err == said
    assert read(uri)[1][0] == "KILLED"


def test_a_run_names_its_program_from_the_moment_it_is_made(store, tmp_path, monkeypatch):
    """A program may be killed between that and its other tags."""
    uri = store()
    tags = []

    def log(client, run_id, params, own):
        tags.append(client.mlflow.get_run(run_id).data.tags)

    monkeypatch.setattr("ratelab.tracking.client.Client.log_texts", log)
    with open_tracker(uri, "ratelab", tmp_path) as tracker, tracker.run("one", params={}, tags={}):
        assert tags[0]["program"] == this_program().write()
        assert end_left_runs(uri) == []


def left(program, name="fixed seed=0", **known):
    return left_running.LeftRun(name, name, STARTED, program.write(), **known)


def journal(folder):
    folder.mkdir(parents=True)
    JournalFile(folder / "journal").close()
    return replace(DEAD, journal=str(folder / "journal"))


def test_that_it_can_be_resumed_is_promised_where_there_is_a_journal(tmp_path):
    sweep, single = journal(tmp_path / "a sweep"), journal(tmp_path / "a run")
    told = describe_ended(
        [
            left(sweep, "a", sweep_id="1-2", parent_id="parent"),
            left(sweep, "parent", sweep_id="1-2", kind="sweep"),
            left(single, "cosine seed=1"),
            left(replace(DEAD, journal=str(tmp_path / "gone")), "without"),
        ]
    )
    assert told == [
        "1 run of sweep 1-2, left RUNNING by a program that died, is KILLED now. "
        f"To go on with what is missing: ratelab resume '{tmp_path / 'a sweep'}'",
        "the run cosine seed=1, left RUNNING by a program that died, is KILLED now. "
        f"To go on with what is missing: ratelab resume '{tmp_path / 'a run'}'",
        "the run without, left RUNNING by a program that died, is KILLED now.",
    ]


def test_of_a_sweep_that_has_begun_no_run_or_half_of_one_its_id_is_told():
    assert describe_ended([left(DEAD, "parent", sweep_id="1-2", kind="sweep")]) == [
        "sweep 1-2, left RUNNING by a program that died, is KILLED now."
    ]
    young = left(DEAD, "child", parent_id="parent")
    assert describe_ended([young, left(DEAD, "parent", sweep_id="1-2", kind="sweep")]) == [
        "1 run of sweep 1-2, left RUNNING by a program that died, is KILLED now."
    ]
    assert describe_ended([young, replace(young, run_id="other")]) == [
        "2 runs of one sweep, left RUNNING by a program that died, are KILLED now."
    ]


def test_of_many_the_first_are_told_and_how_many_there_were():
    lines = describe_ended([left(DEAD, f"run {number}") for number in range(24)])
    assert len(lines) == 6
    assert lines[0] == "the run run 0, left RUNNING by a program that died, is KILLED now."
    assert lines[-1] == "so it was with 19 other sweeps or single runs."


def test_nothing_is_told_of_nothing():
    assert describe_ended([]) == []


def test_a_large_store_is_looked_through_in_a_moment(store):
    """Of 300 runs of a living program the process is looked for once."""
    uri = store()
    runs = [of(ALIVE, replace(good_run(n), metrics={})) for n in range(300)]
    write_runs(Path(uri.removeprefix("sqlite:///")), runs)
    looks = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(left_running, "is_dead", lambda program: looks.append(program) or False)
        assert end_left_runs(uri) == []
    assert looks == [ALIVE]


def served(uri):
    """End the runs as those of a server are, through MLflow's client, which takes a database as well."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE runs SET user_id = 'me'")  # it wants to know whose they are
    return left_running._end_served(uri)


def test_behind_a_server_it_is_the_same(store):
    ended = replace(good_run(3), status="FINISHED")
    runs = [*sweep_of(DEAD, 0, good_run(1), replace(good_run(2), metrics={})), ended]
    uri = store(*runs, *(replace(run, run_id=f"{n:032x}") for n, run in enumerate(OTHERS.values(), 4)))
    others = {number: one for number, one in read(uri).items() if number > 2}
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(
            "UPDATE metrics SET timestamp = ? + step WHERE key = 'train_seconds'", [STARTED + 5000]
        )
    assert [int(run.run_id, 16) for run in served(uri)] == [1, 2, 0]
    assert read(uri) == {
        0: ("KILLED", STARTED + 5019, REASON),
        1: ("KILLED", STARTED + 5019, REASON),
        2: ("KILLED", NOW, REASON),
        **others,
    }
    assert served(uri) == []


def test_behind_a_server_who_comes_second_ends_nothing(store, monkeypatch):
    uri = store(of(DEAD, good_run(1)), of(DEAD, good_run(2)))
    choose = left_running._choose_dead

    def choose_late(left):
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as other, other:
            other.execute("UPDATE runs SET status = 'KILLED' WHERE run_uuid LIKE '%1'")
            other.execute(
                "UPDATE tags SET value = ? WHERE key = 'program' AND run_uuid LIKE '%2'", [ALIVE.write()]
            )
        return choose(left)

    monkeypatch.setattr(left_running, "_choose_dead", choose_late)
    assert served(uri) == []
    assert read(uri) == {1: ("KILLED", None, None), 2: ("RUNNING", None, None)}


@pytest.mark.parametrize("call", ["search_experiments", "search_runs", "set_terminated"])
def test_a_server_that_refuses_is_left_alone_and_one_that_is_gone_is_told(store, monkeypatch, call):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def refuse(*_, **__):
        raise MlflowException("403: not for you")

    uri = store(of(DEAD, good_run(1)))
    monkeypatch.setattr(MlflowClient, call, refuse)
    assert served(uri) == []
    assert read(uri)[1] == ("RUNNING", None, None)
    monkeypatch.setattr(left_running.Client, "is_lost", True)
    with pytest.raises(StoreError, match="not for you"):
        served(uri)
