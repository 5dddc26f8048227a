"""Seconds of whole processes, start to exit: the tutorial's program, our run, and our run without tracking.

    python benchmarks/whole_run.py [--rounds 3] [--json FILE]

Measured: 27,500 steps of softmax regression on MNIST, 50 epochs, in each contestant, with everything a user
waits for: imports, data, compilation, training, evaluation, records. The processes run one after another,
round after round; medians are compared. Nothing else should run.

- The tutorial's program logs nothing. It is started as it is, threads by TensorFlow's default.
- Ours runs with one thread. It records every learning rate, every 10th loss and all losses in a file, in
  MLflow's SQLite; with and without the final model; and with `tracking=none`. One more, not timed
  as a whole, says how many seconds of it the journal's file took, for that is less than two runs differ.
- A first round is not counted: it creates the store (about 3 s, once in a project's life) and warms the
  disk. After it, the size of one run in mlruns/ is measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py"), "experiment=tutorial"]
TIMED = [sys.executable, str(ROOT / "benchmarks" / "peers" / "timed_journal.py"), *TRAIN[2:]]
CONTESTANTS = {
    "tutorial": [sys.executable, str(ROOT / "benchmarks" / "tutorial.py")],
    "ratelab": TRAIN,
    "ratelab, no model": [*TRAIN, "tracking.log_model=false"],
    "ratelab, tracking=none": [*TRAIN, "tracking=none"],
}


def run(command: list[str], folder: Path) -> str:
    """Run a command in `folder` and return what it printed; it must succeed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def seconds(command: list[str], folder: Path) -> float:
    """Run a command in `folder` and return its time, start to exit."""
    begin = time.perf_counter()
    run(command, folder)
    return time.perf_counter() - begin


def journal_seconds(folder: Path) -> float:
    """Return what the journal's file takes of one run without a model."""
    printed = run([*TIMED, "tracking.log_model=false"], folder)
    return float(printed.rpartition("seconds_in_the_journal ")[2])


def size(folder: Path) -> int:
    """Return the bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run_size(folder: Path) -> int:
    """Return what one more run without a model adds to mlruns/, in bytes."""
    before = size(folder / "mlruns")
    seconds(CONTESTANTS["ratelab, no model"], folder)
    return size(folder / "mlruns") - before


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of whole processes.")
    parser.add_argument("--rounds", type=int, default=3, help="that count (3)")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in CONTESTANTS.values():
            seconds(command, folder)
        bytes_a_run = run_size(folder)
        journal = statistics.median(journal_seconds(folder) for _ in range(arguments.rounds))
        laps: dict[str, list[float]] = {contestant: [] for contestant in CONTESTANTS}
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for contestant, command in CONTESTANTS.items():
                laps[contestant].append(seconds(command, folder))
    medians = {contestant: statistics.median(times) for contestant, times in laps.items()}
    print(f"load before {load:.2f}; {arguments.rounds} alternating rounds; seconds, start to exit\n")
    for contestant, median in medians.items():
        ratio = median / medians["tutorial"]
        print(
            f"{contestant:26s} median {median:6.2f}   min {min(laps[contestant]):6.2f}   "
            f"{ratio:.2f} x tutorial"
        )
    added = medians["ratelab, no model"] / medians["ratelab, tracking=none"] - 1
    share = journal / medians["ratelab, no model"]
    print(f"\nthe journal's file takes {journal:.3f} s, {share:.2%} of the whole run")
    print(f"tracking adds {added:.1%}; mlruns/ grows by {bytes_a_run / 1e6:.1f} MB a run")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"laps": laps, "load": load, "bytes_a_run": bytes_a_run, "journal": journal}, indent=1)
        )


if __name__ == "__main__":
    main()
