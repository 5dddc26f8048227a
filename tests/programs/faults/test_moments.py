"""Programs that are told to end, or killed, at moments spread over their whole life."""

import contextlib
import os
import re
import signal
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support import SRC
from support.programs import ONE_WORKER, RATELAB, TRAIN, begin, finish, ratelab, so_far, train, wait_until

pytestmark = pytest.mark.faults

MOMENTS = 10
LEFT = r"ratelab: .*, left RUNNING by a program that died, (is|are) KILLED now\.( To go on .*)?\n"
SOON = 60  # seconds that no end takes, also where others have the cores
SHORT = ["experiment=quick", "epochs=20"]
SWEEP = ["-m", *SHORT, "schedule=fixed,exponential", ONE_WORKER]
PROGRAMS = {
    "a sweep": (TRAIN, SWEEP),
    "a run": (TRAIN, SHORT),
    "lr-find": (RATELAB, ["lr-find", "data=digits", "batch_size=24"]),
    "compare": (RATELAB, ["compare"]),
    "report": (RATELAB, ["report"]),
    "preview": (RATELAB, ["preview", "schedule=fixed,cosine"]),
}


@dataclass(frozen=True)
class Seen:
    """What a program left when it had been told to end."""

    moment: float
    status: int
    err: str
    runs: dict[str, str]  # name -> status
    lost: int  # steps that its artifacts have and the store has not
    left: list[str]  # processes

    def is_sound(self, number):
        """Whether it ended as it should: by the signal, or before it came.

        While it imports, the signal ends it as the system does.
        """
        if self.status == -number:
            return not self.err and "KILLED" not in self.runs.values()
        ended = self.status in {0, 128 + number}
        return ended and "Traceback" not in self.err and "RUNNING" not in self.runs.values()


def members(session):
    """The command lines of the processes of a session that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def lost_steps(folder):
    """How many steps the files of the runs have that the store has not."""
    import pyarrow.parquet

    lost = 0
    with contextlib.closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as store:
        for path in folder.glob("mlruns/artifacts/*/*/artifacts/steps.parquet"):
            query = "SELECT count(*) FROM metrics WHERE key = 'learning_rate' AND run_uuid = ?"
            [stored] = store.execute(query, [path.parts[-3]]).fetchone()
            lost += pyarrow.parquet.read_metadata(path).num_rows - stored
    return lost


def told(folder, program, moment, number):
    """Begin a program, tell it to end after `moment` seconds of computing, return what was seen."""
    command, words = program
    process = begin(folder, *words, program=command, path=SRC)
    while process.poll() is None and cpu_seconds(process.pid) < moment:
        time.sleep(0.01)
    process.send_signal(number)
    done = finish(process, folder, SOON)
    time.sleep(0.5)
    has_store = (folder / "mlruns" / "mlflow.db").exists()
    runs = {run.info.run_id: run.info.status for run in so_far(folder).everything}
    lost = lost_steps(folder) if has_store else 0
    return Seen(moment, done.status, done.err, runs, lost, members(process.pid))


def cpu_seconds(pid):
    """What a program and all that it has started have computed: a clock that a busy machine slows."""
    seconds = 0.0
    with contextlib.suppress(psutil.Error):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                seconds += sum(process.cpu_times())
    return seconds


def life_of(folder, program):
    """How many seconds a program computes that nobody disturbs."""
    command, words = program
    process = begin(folder, *words, program=command, path=SRC)
    life = 0.0
    while process.poll() is None:
        life = max(life, cpu_seconds(process.pid))
        time.sleep(0.01)
    assert finish(process, folder).status == 0
    return life


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with a store, for the commands that look at one."""
    folder = tmp_path_factory.mktemp("recorded")
    assert train(folder, *SWEEP).status == 0
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_told_to_end_at_any_moment_ends_well(tmp_path, request, name, number):
    program = PROGRAMS[name]
    reads = request.getfixturevalue("recorded") if name in {"compare", "report", "preview"} else None
    life = life_of(reads or tmp_path, program)
    seen = []
    for place in range(MOMENTS):
        folder = reads or tmp_path / str(place)
        folder.mkdir(exist_ok=True)
        seen.append(told(folder, program, life * (place + 1) / (MOMENTS + 1), number))
        print(seen[-1])
    assert [one for one in seen if not one.is_sound(number)] == []
    assert [one for one in seen if one.left] == []
    assert sum(one.lost for one in seen) == 0


@pytest.mark.parametrize("name", ["a sweep", "a run"])
def test_a_program_killed_at_any_moment_leaves_a_sound_store_and_no_process(tmp_path, name):
    """All in one folder: whatever one of them leaves, the next can begin."""
    life = life_of(tmp_path, PROGRAMS[name])
    for place in range(MOMENTS):
        seen = told(tmp_path, PROGRAMS[name], life * (place + 1) / (MOMENTS + 1), signal.SIGKILL)
        print(seen)
        assert seen.left == []
        # of the one before it, unless that was killed before its first run, or after its last
        assert re.fullmatch(f"({LEFT})?", seen.err)
        assert ask(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    kill_while_it_records(tmp_path, PROGRAMS[name])
    assert train(tmp_path, *SHORT).status == 0
    assert ask(tmp_path, "SELECT DISTINCT status FROM runs ORDER BY 1") == [("FINISHED",), ("KILLED",)]
    assert ratelab(tmp_path, "compare").status == 0


def kill_while_it_records(folder, program):
    """Kill a program that has a run open, as a single one has for less time than lies between two moments."""
    command, words = program
    process = begin(folder, *words, program=command, path=SRC)
    wait_until(lambda: ask(folder, "SELECT 1 FROM runs WHERE status = 'RUNNING'") != [], process)
    process.kill()
    assert finish(process, folder, SOON).status == -signal.SIGKILL


def ask(folder: Path, query: str):
    with contextlib.closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as store:
        return store.execute(query).fetchall()
