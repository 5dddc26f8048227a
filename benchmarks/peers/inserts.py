"""The floor of the sweep's tracking: the rows of 30 runs into MLflow's `metrics` table, by the driver alone.

    python benchmarks/peers/inserts.py STORE [--runs 30] [--epochs 50] [--steps 550]

STORE is a store that MLflow has made, with its schema, indexes and settings; it is written to. The tuples
are ready before the clock starts. One `executemany` a run, all in one transaction.
"""

import argparse
import json
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

from metrics_store import INSERT

Row = tuple[str, float, int, int, int, str]


def rows_of_run(number: int, epochs: int, steps: int) -> list[Row]:
    """Return what one run records: every rate, every 10th loss, the validation of each epoch, the test."""
    run_id, total = uuid.uuid4().hex, epochs * steps
    start = 1_700_000_000_000 + number * total
    at = {"learning_rate": range(total), "train_loss": range(0, total, 10)}
    at |= {key: range(steps - 1, total, steps) for key in ("val_loss", "val_accuracy")}
    at |= {key: range(total - 1, total) for key in ("test_loss", "test_accuracy")}
    return [(key, 1 / (2 + step), start + step, step, 0, run_id) for key in at for step in at[key]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of the bare inserts of the sweep.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=550, help="an epoch")
    options = parser.parse_args()
    runs = [rows_of_run(number, options.epochs, options.steps) for number in range(options.runs)]
    with closing(sqlite3.connect(options.store)) as connection:
        begin = time.perf_counter()
        for rows in runs:
            connection.executemany(INSERT, rows)
        connection.commit()
        seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "rows": sum(map(len, runs))}))


if __name__ == "__main__":
    main()
