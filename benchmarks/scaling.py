"""Seconds and memory of sweeps of 1 to 999 runs, and what follows from them for more.

    python benchmarks/scaling.py [--runs 1 9 30 99 300] [--short 99 999] [--json FILE]

Measured, one process after another: whole sweeps of three schedules on the tutorial's program, 27,500 steps a
run, as the headline of `sweep.py` has it (every learning rate and every 10th loss in MLflow's SQLite), in a
fresh copy of one store; then sweeps with a fifth of the steps, which tell what a run costs beside its steps.
Start to exit, the time to the first line of progress, the largest memory of the whole tree of processes (PSS,
sampled twice a second), and what mlruns/ grew by. The last lines fit

    seconds = start + runs x (fixed + steps x per_step)

to all of them by least squares of relative errors, and extrapolate. Nothing else should run.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
STEPS_AN_EPOCH = 550


def command(runs: int, epochs: int) -> list[str]:
    """Return the command line of a sweep of three schedules, or of a single run."""
    schedules = "fixed,exponential,staircase" if runs > 1 else "fixed"
    seeds = max(1, runs // 3)
    words = [f"schedule={schedules}", f"seed=range({seeds})", f"epochs={epochs}"]
    return [sys.executable, str(ROOT / "src" / "train.py"), "-m", "experiment=tutorial", *words]


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold, shared pages counted once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += one.memory_full_info().pss
    return total


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sweep(runs: int, epochs: int, store: Path) -> dict[str, float]:
    """Run a sweep; return seconds, seconds to the first line, peak bytes, bytes stored."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(store, folder / "mlruns")
        before = size(folder)
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        begin = time.perf_counter()
        process = subprocess.Popen(
            command(runs, epochs), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        peak, ended = [0], threading.Event()
        watch = threading.Thread(target=sample, args=(psutil.Process(process.pid), peak, ended))
        watch.start()
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - begin
        process.stdout.read()
        status = process.wait()
        seconds = time.perf_counter() - begin
        ended.set()
        watch.join()
        assert status == 0, f"status {status}"
        stored = size(folder) - before
    return {
        "runs": runs,
        "steps": epochs * STEPS_AN_EPOCH,
        "seconds": seconds,
        "first_line": first,
        "peak": peak[0],
        "stored": stored,
    }


def sample(process: psutil.Process, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(0.5):
        with contextlib.suppress(psutil.Error):
            peak[0] = max(peak[0], memory(process))


def fit(laps: list[dict[str, float]]) -> tuple[float, float, float]:
    """Return start, seconds a run beside its steps, and seconds a step."""
    runs, steps, seconds = (np.array([lap[key] for lap in laps]) for key in ("runs", "steps", "seconds"))
    columns = np.stack([np.ones(len(laps)), runs, runs * steps], 1)
    start, fixed, per_step = np.linalg.lstsq(columns / seconds[:, None], np.ones(len(laps)), rcond=None)[0]
    return float(start), float(fixed), float(per_step)


def make_store(folder: Path) -> Path:
    """Return the mlruns/ that a first, small sweep has made."""
    words = ["experiment=tutorial", "schedule=fixed,exponential", "epochs=1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    train = [sys.executable, str(ROOT / "src" / "train.py"), "-m", *words]
    subprocess.run(train, cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "mlruns"


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds and memory of sweeps of many runs.")
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 9, 30, 99, 300], help="of 27,500 steps")
    parser.add_argument("--short", type=int, nargs="+", default=[99, 999], help="of 5,500 steps")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    arguments = parser.parse_args()
    print(f"load before {os.getloadavg()[0]:.2f}; {os.cpu_count()} cores\n")
    print("  runs   steps a run   seconds   a run   first line   peak memory   stored")
    laps = []
    with tempfile.TemporaryDirectory() as name:
        store = make_store(Path(name))
        for runs, epochs in [*((n, 50) for n in arguments.runs), *((n, 10) for n in arguments.short)]:
            lap = sweep(runs, epochs, store)
            laps.append(lap)
            print(
                f"{runs:6d} {lap['steps']:13,d} {lap['seconds']:9.1f} {lap['seconds'] / runs:7.2f} "
                f"{lap['first_line']:10.1f} s {lap['peak'] / 2**30:9.2f} GiB {lap['stored'] / 1e6:7.0f} MB",
                flush=True,
            )
    start, fixed, per_step = fit(laps)
    print(f"\nfit: {start:.1f} s + runs x ({fixed * 1e3:.0f} ms + steps x {per_step * 1e6:.1f} us)")
    for runs in (1000, 10_000):
        seconds = start + runs * (fixed + 27_500 * per_step)
        print(f"EXTRAPOLATED: {runs:,} runs of 27,500 steps: {seconds / 60:.0f} minutes")
    if arguments.json:
        arguments.json.write_text(json.dumps(laps, indent=1))


if __name__ == "__main__":
    main()
