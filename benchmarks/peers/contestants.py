"""The contestants of `sweep.py`: how each is started, what it answers, and that it did the work."""

import json
import math
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

BAND = (0.87, 0.93)
BENCHMARKS = Path(__file__).parents[1]
CORES = os.cpu_count() or 1
EPOCH = 550
FULL_EPOCHS = 50
ROOT = BENCHMARKS.parent
SCHEDULES = ("fixed", "exponential", "staircase")


@dataclass(frozen=True)
class Size:
    """How much to do.

    Attributes:
        epochs: of each run.
        seeds: of each schedule.
        reduced: (runs, epochs) of the sweeps from which Keras' time is extrapolated.
        epochs_timed: that JAX is timed for.
        quick: hand `--quick` to the peers that know it.
    """

    epochs: int = FULL_EPOCHS
    seeds: int = 10
    reduced: tuple[tuple[int, int], ...] = ((2, 2), (2, 12), (8, 2))
    epochs_timed: int = 3
    quick: bool = False

    @property
    def runs(self) -> int:
        """Of the whole sweep."""
        return len(SCHEDULES) * self.seeds

    @property
    def run_steps(self) -> int:
        """Of the whole sweep."""
        return self.runs * self.epochs * EPOCH


QUICK = Size(epochs=2, seeds=2, reduced=((2, 1), (2, 2), (4, 1)), epochs_timed=1, quick=True)
Lap = dict[str, Any]


class NotThereError(Exception):
    """A contestant that cannot take part, which is no failure."""


def timed(folder: Path, script: Path, *arguments: str, **variables: str) -> tuple[float, str]:
    """Run a script in `folder`; return its seconds, start to exit, and what it printed. It must succeed."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MLFLOW_DISABLE_TELEMETRY": "true"}
    paths = os.pathsep.join([str(ROOT / "src"), str(BENCHMARKS)])
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env=os.environ | quiet | {"PYTHONPATH": paths} | variables,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1])
    return seconds, done.stdout


def answer(folder: Path, name: str, *arguments: str) -> Lap:
    """Run one of the peers; return the line of JSON that it prints."""
    lap: Lap = json.loads(timed(folder, BENCHMARKS / "peers" / name, *arguments)[1].splitlines()[-1])
    return lap


def check_store(store: Path, runs: int, epochs: int, losses: int) -> None:
    """Assert that each run recorded what it should, learned, and ended where the full program does."""
    last = losses * ((epochs * EPOCH - 1) // losses)
    value = "SELECT value FROM metrics WHERE is_nan = 0 AND key = "
    with closing(sqlite3.connect(store)) as connection:
        keys = dict(connection.execute("SELECT key, count(*) FROM metrics GROUP BY key").fetchall())
        first_loss, last_loss = (
            [row[0] for row in connection.execute(f"{value} 'train_loss' AND step = {step}")]
            for step in (0, last)
        )
        accuracies = [row[0] for row in connection.execute(f"{value} 'test_accuracy'")]
    assert keys["learning_rate"] == runs * epochs * EPOCH, keys
    assert keys["train_loss"] == runs * (last // losses + 1), keys
    assert len(first_loss) == len(last_loss) == len(accuracies) == runs, keys
    assert all(map(math.isfinite, last_loss)), last_loss
    assert statistics.mean(last_loss) < statistics.mean(first_loss)
    check_accuracy(accuracies, epochs)


def check_accuracy(accuracies: list[float], epochs: int) -> None:
    """Assert that full runs ended where they should; reduced ones need only be better than chance."""
    low, high = BAND if epochs == FULL_EPOCHS else (0.2, BAND[1])
    assert accuracies
    assert all(low < accuracy < high for accuracy in accuracies), accuracies


def ours(size: Size, folder: Path, *extra: str, losses: int = 10, script: str = "src/train.py") -> Lap:
    """Run our sweep; a script that says it also tells how long the journal's file took."""
    overrides = [f"schedule={','.join(SCHEDULES)}", f"seed=range({size.seeds})", f"epochs={size.epochs}"]
    seconds, printed = timed(folder, ROOT / script, "-m", "experiment=tutorial", *overrides, *extra)
    ranges = re.findall(r"(\d\.\d{4})-(\d\.\d{4})", printed)  # the interval of each schedule
    assert len(ranges) == len(SCHEDULES), printed
    check_accuracy([float(end) for ends in ranges for end in ends], size.epochs)
    if "tracking=none" not in extra:
        check_store(folder / "mlruns" / "mlflow.db", size.runs, size.epochs, losses)
    journal = re.findall(r"^seconds_in_the_journal (\S+)", printed, re.M)
    return {"seconds": seconds, **({"journal": float(journal[-1])} if journal else {})}


def tutorial(size: Size, folder: Path) -> Lap:
    """Run the tutorial's program with decay, then with the fixed rate."""
    total, training = 0.0, 0.0
    for extra in ([], ["--fixed"]):
        seconds, printed = timed(folder, BENCHMARKS / "tutorial.py", f"--epochs={size.epochs}", *extra)
        costs = [float(cost) for cost in re.findall(r"cost (\S+)", printed)]
        accuracy, inside = map(float, re.findall(r"^(?:accuracy|seconds_training) (\S+)", printed, re.M))
        assert math.isfinite(costs[-1])
        assert costs[-1] < costs[0], costs
        check_accuracy([accuracy], size.epochs)
        total, training = total + seconds, training + inside
    return {"seconds": total, "steps_alone": training}


def keras(size: Size, folder: Path, *launcher: str, **variables: str) -> Lap:
    """Run the reduced sweeps of Keras."""
    template, measured = folder / "mlruns" / "mlflow.db", []
    for runs, epochs in size.reduced:
        store = Path(shutil.copy(template, folder / f"{runs}-{epochs}.db"))
        what = [f"uri=sqlite:///{store}", f"seed=range({runs})", f"epochs={epochs}", *launcher]
        script = BENCHMARKS / "peers" / "keras_hydra.py"
        measured.append(timed(folder, script, "-m", *what, **variables)[0])
        check_store(store, runs, epochs, 10)
    return {"measured": measured}


def joblib(size: Size, folder: Path) -> Lap:
    """Run the same with a process a core."""
    one_thread = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return keras(size, folder, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={CORES}", **one_thread)


def jax_vmap(size: Size, folder: Path, devices: int, *words: str) -> Lap:
    """Train in JAX."""
    quick = ["--quick"] if size.quick else []
    devices = max(count for count in range(1, devices + 1) if size.seeds % count == 0)
    seeds, epochs = f"--seeds={size.seeds}", f"--epochs={size.epochs_timed}"
    return answer(folder, "jax_vmap.py", *words, f"--devices={devices}", seeds, epochs, *quick)


def floor(size: Size, folder: Path) -> Lap:
    """Multiply the matrices."""
    return answer(folder, "floor.py", f"--seeds={size.seeds}", f"--steps={275 if size.quick else 2750}")


def inserts(size: Size, folder: Path) -> Lap:
    """Insert the rows."""
    store = str(folder / "mlruns" / "mlflow.db")
    return answer(folder, "inserts.py", store, f"--runs={size.runs}", f"--epochs={size.epochs}")


def training(size: Size, folder: Path) -> Lap:
    """Train as ours does, without anything else."""
    try:
        return answer(folder, "ours_training.py", *(["--quick"] if size.quick else []))
    except RuntimeError as error:
        if "to be written" in str(error) or "No such file" in str(error):
            raise NotThereError(str(error)) from None
        raise


CONTESTANTS: dict[str, Callable[[Size, Path], Lap]] = {
    "ours": ours,
    "ours-none": lambda size, folder: ours(size, folder, "tracking=none"),
    "ours-every": lambda size, folder: ours(size, folder, "tracking.train_loss_every=1", losses=1),
    "ours-journal": partial(ours, script="benchmarks/peers/timed_journal.py"),
    "tutorial": tutorial,
    "keras": keras,
    "joblib": joblib,
    "jax-plain": lambda size, folder: jax_vmap(size, folder, 1, "--plain"),
    "jax": partial(jax_vmap, devices=1),
    "jax-devices": partial(jax_vmap, devices=CORES),
    "floor": floor,
    "inserts": inserts,
    "training": training,
}
NEEDS = {
    "joblib": "hydra-joblib-launcher",
    "jax-plain": "jax",
    "jax": "jax",
    "jax-devices": "jax",
    "floor": "threadpoolctl",
}
