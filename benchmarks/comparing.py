"""What a comparison of recorded runs costs: whole processes, seconds, peak memory, beside MLflow itself.

    python benchmarks/comparing.py               # 300 runs of 27,500 steps, made in a temporary store
    python benchmarks/comparing.py --runs 60

The peer reads what the comparison needs of each run, its validation accuracies, with MlflowClient.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ratelab.tracking import open_tracker, prepare_store

SCHEDULES, EPOCHS, EPOCH_STEPS, EVERY = ("fixed", "exponential", "staircase"), 50, 550, 10
STEPS = EPOCHS * EPOCH_STEPS
PEER = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name("benchmark").experiment_id
runs, token = [], None
while True:
    page = client.search_runs([experiment], "tags.schedule LIKE '%'", page_token=token)
    runs += page
    token = page.token
    if not token:
        break
points = [client.get_metric_history(run.info.run_id, "val_accuracy") for run in runs]
assert len(runs) == int(sys.argv[2]) and all(len(one) == 50 for one in points)
"""


def metrics(rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield key, steps and values of a run's metrics, as many as a run of the tutorial has."""
    steps, ends = np.arange(STEPS), np.arange(EPOCH_STEPS - 1, STEPS, EPOCH_STEPS)
    yield "learning_rate", steps, np.float32(0.1) * np.float32(0.9) ** (steps / 1000)
    yield "train_loss", steps[::EVERY], rng.gamma(2, 0.2, len(steps[::EVERY]))
    yield "val_loss", ends, rng.gamma(2, 0.2, EPOCHS)
    yield "val_accuracy", ends, np.sort(rng.uniform(0.7, 0.92, EPOCHS))
    yield "train_seconds", ends, np.linspace(0.02, 1, EPOCHS)
    yield "test_loss", ends[-1:], np.array([0.3])
    yield "test_accuracy", ends[-1:], rng.normal(0.9, 0.002, 1)


def fill(folder: Path, runs: int) -> str:
    """Make a store with finished runs; return its URI."""
    rng = np.random.default_rng(0)
    store = prepare_store("sqlite:///mlruns/mlflow.db", folder)
    with open_tracker(store, "benchmark", folder) as tracker:
        for number in track(range(runs), "filling the store", transient=True):
            schedule, seed = SCHEDULES[number % 3], str(number // 3)
            params = {"seed": seed, "test": "True", "learning_rate": "0.1", "batch_size": "100"}
            params["schedule._target_"] = schedule
            tags = {"schedule": schedule, "sweep_id": "benchmark", "job": str(number), "data_digest": "none"}
            tags["config_digest"] = f"none {number}"  # by which a run of ratelab's is known
            with tracker.run(f"{schedule} {seed}", params=params, tags=tags) as run:
                now = int(time.time() * 1000)
                for key, steps, values in metrics(rng):
                    run.metrics(key, steps, values, np.full(len(steps), now))
        return tracker.uri


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a program; return its seconds and its peak memory in MiB, as seen every 20 ms."""
    begin = time.perf_counter()
    process = psutil.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    assert process.wait() == 0
    return time.perf_counter() - begin, peak / 2**20


@click.command()
@click.option("--runs", default=300, show_default=True, help="A multiple of 3.")
def main(runs: int) -> None:
    """Fill a store, then compare its runs."""
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = fill(folder, runs)
        own = [sys.executable, "-m", "ratelab"]
        programs = {
            "ratelab compare": [*own, "compare"],
            "ratelab report": [*own, "report"],
            "MlflowClient: search_runs, get_metric_history": [sys.executable, "-c", PEER, uri, str(runs)],
        }
        table = Table(title=f"{runs} runs of {STEPS:,} steps, {runs * STEPS:,} learning rates in the store")
        for heading in ("program", "seconds", "peak MiB"):
            table.add_column(heading, justify="left" if heading == "program" else "right")
        for title, command in programs.items():
            seconds, memory = measured(command, folder)
            table.add_row(title, f"{seconds:.1f}", f"{memory:.0f}")
        size = (folder / "mlruns" / "mlflow.db").stat().st_size
        console.print(table, f"store: {size / 2**30:.2f} GiB", highlight=False)


if __name__ == "__main__":
    main()
