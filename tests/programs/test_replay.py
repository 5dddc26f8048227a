"""`ratelab replay`: runs of real programs, trained again in new processes from the store alone."""

import signal
import sqlite3
from contextlib import closing

import numpy as np
import pyarrow.parquet
import pytest

from support.programs import HANGS, RATELAB, SRC, begin, finish, ratelab, train

ALONE = ["experiment=quick", "model=mlp", "model.dropout=0.2", "schedule=one_cycle", "optimizer=adamw"]


def replay_together(folder, *commands):
    """Replay at the same time, each in a process of its own."""
    words = [["replay", *command] for command in commands]
    processes = [begin(folder, *command, program=RATELAB, path=SRC) for command in words]
    return [finish(process, folder, HANGS) for process in processes]


def rows_of(done):
    """All that the store holds, as SQL."""
    with closing(sqlite3.connect(done.folder / "mlruns" / "mlflow.db")) as store:
        return list(store.iterdump())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A single run with dropout and a momentum that moves."""
    done = train(tmp_path_factory.mktemp("alone"), *ALONE)
    assert (done.status, done.err) == (0, "")
    return done


def test_runs_of_a_stack_are_identical(quick):
    """Alone they would be trained as another program."""
    ids = [quick.children[name].info.run_id for name in ("exponential seed=1", "staircase seed=0")]
    for done, jobs in zip(
        replay_together(quick.folder, *[[one] for one in ids]), ("1,3,5", "0,2,4"), strict=True
    ):
        assert (done.status, done.err) == (0, "")
        first, *_, last = done.out.splitlines()
        assert first.endswith(f"(FINISHED, 250 steps), one of 3 trained as one program: jobs {jobs}")
        assert last == "identical, 250 steps"


def test_a_signal_ends_it_as_it_ends_other_commands(alone):
    [run] = alone.runs.values()
    process = begin(alone.folder, "replay", run.info.run_id, program=RATELAB, path=SRC)
    assert any("compiling first" in line for line in process.stdout)  # it reads no further than that line
    process.send_signal(signal.SIGTERM)
    done = finish(process, alone.folder)
    assert (done.status, done.err.strip()) == (128 + signal.SIGTERM, "Stopped by SIGTERM.")


def test_a_float_that_was_changed_is_found_at_its_step(alone):
    [run] = alone.runs.values()
    before = rows_of(alone)
    done = ratelab(alone.folder, "replay", run.info.run_id)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "identical, 250 steps"
    assert rows_of(alone) == before

    [path] = (alone.folder / "mlruns").rglob("steps.parquet")
    table = pyarrow.parquet.read_table(path)
    losses = table["train_loss"].to_numpy().copy()
    losses[137] = np.nextafter(losses[137], np.float32(9))
    column = table.column_names.index("train_loss")
    pyarrow.parquet.write_table(table.set_column(column, "train_loss", [losses]), path)
    done = ratelab(alone.folder, "replay", run.info.run_id)
    assert (done.status, done.err) == (1, "")
    assert done.out.splitlines()[-1].startswith("different from step 137 on: train_loss was ")
