"""A small store of a whole sweep, recorded as a sweep does it, and what is read of it when it is damaged."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ratelab.commands.recorded_study import read_study
from ratelab.runs.description import Description
from ratelab.runs.stored import StoredRun
from ratelab.tracking import Diverged, StoreError, find_store, open_tracker
from ratelab.validation import UserError
from support.damaged import PARAMS, TAGS
from support.fakes import START, chunk, diverged_chunk

JOBS = [(name, seed) for name in ("fixed", "wsd") for seed in range(3)]


def copied(file, folder):
    """Return the path of a copy of a file."""
    return Path(shutil.copy(file, folder))


def store_sweep(fresh_store, folder, jobs=JOBS):
    """Return the file of a store, without a log beside it, that holds two schedules over three seeds.

    Of the second the batch grows, and one of its runs diverges.
    """
    path = copied(fresh_store, folder)
    with open_tracker(find_store(f"sqlite:///{path}", folder), "ratelab", folder) as tracker:
        _record_sweep(tracker, jobs)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def store_small_sweep(fresh_store, folder):
    """Return the file of the smallest store that has everything: two runs, and a fifth of the bytes."""
    (folder / "larger").mkdir()
    path = folder / "small.db"
    # VACUUM gives pages another size only where nothing else is open, and not beside a log
    shutil.copy(store_sweep(fresh_store, folder / "larger", JOBS[::5]), path)
    with closing(sqlite3.connect(path)) as connection:
        for step in ("journal_mode=DELETE", "page_size=512"):
            connection.execute(f"PRAGMA {step}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode=WAL")
    return path


def _record_sweep(tracker, jobs):
    own = {"sweep_id": TAGS["sweep_id"], "kind": "sweep"}
    with tracker.run("the sweep", params={"varied": "schedule", "jobs": len(jobs)}, tags=own) as parent:
        for job, (name, seed) in enumerate(jobs):
            _record(tracker, job, name, seed, parent.id)


def _record(tracker, job, name, seed, parent_id):
    shown = f"{name} seed={seed}"
    tags = {**TAGS, "schedule": name, "seed": str(seed), "job": str(job), "mlflow.runName": shown}
    tags |= {} if name == "fixed" else {"batch": "growing"}
    tags |= {
        "mlflow.source.git.commit": "0123456789abcdef",
        "git_dirty": "false",
        "versions": "python 3.11.0",
    }
    params = {**PARAMS, "seed": seed, "schedule._target_": f"ratelab.schedules.{name}"}
    params |= {} if name == "fixed" else {"batch._target_": "ratelab.batch_sizes.growing"}
    described = Description(shown, params, tags, {}, rate_every=1, loss_every=5)
    run = StoredRun(tracker, described, f"key of {job}", parent_id)
    seen = None if name == "fixed" else 32 * np.arange(1, 11)
    accuracy = (64 * (name == "wsd") + 8 * seed + 17) / 128
    run.add(_epoch(0, seen, accuracy / 2), [job])
    if (name, seed) == ("wsd", 2):
        run.add(diverged_chunk(1, 10), [job])
        run.close(Diverged(19))
        return
    run.add(_epoch(1, seen, accuracy), [job])
    run.add_test({"loss": 1 - accuracy, "accuracy": accuracy}, START + 99)
    run.finish()


def _epoch(epoch, seen, accuracy):
    grown = None if seen is None else seen + 320 * epoch
    return chunk(epoch, 10, examples_seen=grown, validation={"loss": 1 - accuracy, "accuracy": accuracy})


@dataclass
class Damaged:
    """A store whose file is changed and put right again, place by place.

    Args:
        path: of the file.
    """

    path: Path

    def __post_init__(self):
        self.whole = self.path.read_bytes()
        self.sound, told = self._read()
        assert (bool(self.sound), told) == (True, ())

    def flip(self, place, bits):
        """Change a byte; return what is wrong with what is read then, "" if nothing is."""
        self._put(place, self.whole[place] ^ bits)
        try:
            return self.look()
        finally:
            self._put(place, self.whole[place])

    def cut(self, length):
        """Let the file be so short; return what is wrong, as above."""
        self.path.write_bytes(self.whole[:length])
        try:
            return self.look()
        finally:
            self.path.write_bytes(self.whole)

    def look(self):
        """Return what is wrong with what is read: a result that is not what was recorded, or a run untold."""
        for beside in self.path.parent.glob(f"{self.path.name}-*"):
            beside.unlink()
        try:
            found, told = self._read()
        except (UserError, StoreError):
            return ""
        wrong = [run_id for run_id, result in found.items() if result != self.sound.get(run_id)]
        if wrong:
            return f"other results: {[found[run_id] for run_id in wrong]}"
        return "" if told or len(found) == len(self.sound) else f"{len(found)} runs and not a word"

    def _put(self, place, value):
        with self.path.open("r+b") as file:
            os.pwrite(file.fileno(), bytes([value]), place)

    def _read(self):
        uri = find_store(f"sqlite:///{self.path}", self.path.parent)
        _, study = read_study(uri)
        return {result.run_id: result for result in study.results}, study.unreadable


def places_of_runs(path):
    """Return the places in the file of all bytes of pages that hold runs or their indexes."""
    tables = ("runs", "params", "tags", "metrics", "latest_metrics")
    with closing(sqlite3.connect(path)) as connection:
        query = """SELECT pgoffset, pgsize FROM dbstat JOIN sqlite_master USING (name)
            WHERE tbl_name IN (?, ?, ?, ?, ?) ORDER BY pgoffset"""
        pages = connection.execute(query, tables).fetchall()
    return [place for start, size in pages for place in range(start, start + size)]
