"""Whole programs: how they are started, waited for and ended, and what they left in the store."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from support import SRC
from support.servers import free_port

TRAIN = [sys.executable, str(SRC / "train.py")]
RATELAB = [sys.executable, "-m", "ratelab"]
HINT = "\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n"
QUICK = [
    "-m",
    "experiment=quick",
    "tracking.train_loss_every=1",
    "schedule=fixed,exponential,staircase",
    "seed=0,1",
]
READY = "Ctrl-C ends the server.\n"  # the last that `ratelab ui` says before it ends
ONE_WORKER = "hydra.launcher.workers=1"  # each worker takes seconds to import TensorFlow
HANGS = 300  # seconds that no program here needs, however busy the machine is
FORMULAS = {  # of conf/schedule, for a base rate of 0.1
    "fixed": lambda t: np.full(t.shape, 0.1),
    "exponential": lambda t: 0.1 * 0.9 ** (t / 1000),
    "staircase": lambda t: 0.1 * 0.9 ** np.floor(t / 1000),
    "toy": lambda t: 0.1 * 0.5 ** (t / 10),
    "harmonic": lambda t: 0.1 / (1 + t / 100),
}


@dataclass(frozen=True)
class Done:
    """How a command line ended, and the folder that it was called in."""

    folder: Path
    status: int
    out: str
    err: str

    @property
    def complaints(self):
        """What it said on standard error, but that a server took its time, as it does on a busy machine."""
        waited = " does not answer. It is waited for, two minutes at most."
        return [line for line in self.err.splitlines() if not line.endswith(waited)]

    @property
    def store(self):
        return f"sqlite:///{self.folder}/mlruns/mlflow.db"

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(self.store)

    @property
    def everything(self):
        """All runs of the store; none as long as there is none."""
        if not (self.folder / "mlruns" / "artifacts").exists():
            return []
        client = self.client
        return client.search_runs([e.experiment_id for e in client.search_experiments()])

    @property
    def runs(self):
        """All runs by their names, which differ."""
        everything = self.everything
        named = {run.info.run_name: run for run in everything}
        assert len(named) == len(everything)
        return named

    @property
    def parent(self):
        [parent] = [run for run in self.runs.values() if is_parent(run)]
        return parent

    @property
    def children(self):
        return {name: run for name, run in self.runs.items() if not is_parent(run)}

    @property
    def job_folder(self):
        [folder] = (self.folder / "multirun").glob("*/*")
        return folder

    def points(self, run, key):
        """Return steps and float32 values of a metric, by step."""
        history = self.client.get_metric_history(run.info.run_id, key)
        pairs = sorted((point.step, point.value) for point in history)
        return [step for step, _ in pairs], np.float32([value for _, value in pairs])

    def artifacts(self, run):
        return {item.path for item in self.client.list_artifacts(run.info.run_id)}

    def artifact(self, run, path):
        return Path(self.client.download_artifacts(run.info.run_id, path))

    def steps(self, run):
        """Return the columns of steps.parquet."""
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(self.artifact(run, "steps.parquet"))
        return {name: table[name].to_numpy() for name in table.column_names}


def is_parent(run):
    return run.data.tags.get("kind") == "sweep"


def so_far(folder):
    """What is in the store of a program that is still running."""
    return Done(folder, 0, "", "")


def rows_of(folder):
    """All metrics in the store, but how long the training took, with the names of their runs."""
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as store:
        runs = store.execute("SELECT name, status FROM runs").fetchall()
        rows = store.execute(
            "SELECT runs.name, key, step, value, is_nan FROM metrics JOIN runs USING (run_uuid) "
            "WHERE key != 'train_seconds'"
        ).fetchall()
        number = store.execute("SELECT count(*) FROM metrics WHERE key = 'train_seconds'").fetchone()
    return sorted(runs), sorted(rows), number


def begin(folder, *words, program=TRAIN, path="", **environment):
    """Start a program in `folder`, with `path` on PYTHONPATH."""
    return subprocess.Popen(
        [*program, *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, folder, timeout=HANGS):
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return Done(folder, process.returncode, out, err)


def train(folder, *words, **environment):
    """Call `train.py` in `folder` and wait for its end."""
    return finish(begin(folder, *words, **environment), folder)


def ratelab(folder, *words):
    """Call the command `ratelab` in `folder` and wait for its end."""
    return finish(begin(folder, *words, program=RATELAB, path=SRC), folder)


@contextmanager
def ui_server(folder, *words):
    """A running `ratelab ui` on a free port: its process, the port and the file with all that it prints.

    Output and errors go to one file, in the order in which a terminal shows them.
    """
    port, said = free_port(), folder / "said"
    command = [*RATELAB, *words, "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    with said.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: said.read_text().endswith(READY), process)
        yield process, port, said
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait(timeout=HANGS)


def together(make_folder, *commands, path=""):
    """Run command lines of `train.py` at the same time, each in a fresh folder."""
    folders = [make_folder.mktemp("job") for _ in commands]
    processes = [
        begin(folder, *command, path=path) for folder, command in zip(folders, commands, strict=True)
    ]
    return [finish(process, folder) for process, folder in zip(processes, folders, strict=True)]


def wait_until(condition, process):
    """Return as soon as the condition holds; fail if the program ends, or hangs, before that."""
    end = time.monotonic() + HANGS
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"what was waited for never came: {process.communicate()}")
        time.sleep(0.1)


def workers(process):
    """The worker processes of a sweep: children of its fork server."""
    children = psutil.Process(process.pid).children()
    servers = [child for child in children if "forkserver" in " ".join(child.cmdline())]
    return [worker for server in servers for worker in server.children()]


def unless_given(words, overrides):
    """Those of `words` whose keys the overrides do not have: a key given twice is refused."""
    keys = {override.partition("=")[0] for override in overrides}
    return [word for word in words if word.partition("=")[0] not in keys]


def formula(name, steps):
    return FORMULAS[name](np.arange(steps)).astype(np.float32)


def assert_every_step(done, run, key, expected):
    steps, values = done.points(run, key)
    assert steps == list(range(len(expected)))
    np.testing.assert_array_equal(values, expected)
