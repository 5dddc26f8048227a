"""Which changes of its surroundings change the bits of a run, and by how much: docs/reproducibility.md.

Every case is a program of its own, in a folder of its own; what it records is held against what the first one
has recorded, at every step.

    python benchmarks/same_bits.py
    python benchmarks/same_bits.py --models cnn --data digits --epochs 20
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pyarrow.parquet

TRAIN = [sys.executable, str(Path(__file__).resolve().parents[1] / "src" / "train.py")]
EPOCHS = {"softmax": 10, "mlp": 10, "cnn": 2}
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"  # it does not outlive this program
ONE_SEED = ["-m", "hydra.launcher.workers=1"]
# case: words, variables of the environment, what it is compared with
CASES = {
    "the same again": ([], {}, "first"),
    "beside four busy programs": ([], {}, "first"),
    "XLA the other way": (["device.xla={other}"], {}, "first"),
    "device.threads=2": (["device.threads=2"], {}, "first"),
    "device.deterministic=true": (["device.deterministic=true"], {}, "first"),
    "TF_ENABLE_ONEDNN_OPTS=0": ([], {"TF_ENABLE_ONEDNN_OPTS": "0"}, "first"),
    "XLA_FLAGS=--xla_cpu_max_isa=AVX2": ([], {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}, "first"),
    "in a stack of two": ([*ONE_SEED, "schedule=exponential,fixed"], {}, "first"),
    "that stack again": ([*ONE_SEED, "schedule=exponential,fixed"], {}, "in a stack of two"),
    "its jobs in the other order": ([*ONE_SEED, "schedule=fixed,exponential"], {}, "in a stack of two"),
    "in a stack of four": ([*ONE_SEED, "schedule=exponential,fixed,cosine,rex"], {}, "first"),
}


def record(words, variables, busy):
    """Train in a fresh folder; return the losses of every step and the test accuracy."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for _ in range(4 if busy else 0):
            load = subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())])
            stack.callback(load.wait)
            stack.callback(load.kill)
        environment = {**os.environ, **variables}
        subprocess.run([*TRAIN, *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        with closing(sqlite3.connect(Path(folder) / "mlruns" / "mlflow.db")) as store:
            [(run_id, accuracy)] = store.execute(
                "SELECT run_uuid, value FROM runs JOIN latest_metrics USING (run_uuid) "
                "WHERE name = 'exponential seed=0' AND key = 'test_accuracy'"
            )
        [path] = Path(folder).rglob(f"{run_id}/artifacts/steps.parquet")
        return pyarrow.parquet.read_table(path)["train_loss"].to_numpy().astype(float), accuracy


def describe(losses, accuracy, before, accuracy_before):
    """Return a row: where the first difference is, how many steps are equal, what came of it."""
    equal = losses == before
    if equal.all() and accuracy == accuracy_before:
        return f"identical, {len(losses):,} steps"
    sizes = np.abs(losses - before) / np.maximum(losses, before)
    first = f"{int(np.argmin(equal)):,}" if not equal.all() else "-"
    return (
        f"from step {first} on, {equal.mean():.1%} of the losses equal, median relative difference "
        f"{np.median(sizes):.1e}, test accuracy {accuracy - accuracy_before:+.4f}"
    )


def main():
    """Print a line for each model and case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="softmax,mlp,cnn")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, help="default: 10, cnn 2")
    options = parser.parse_args()
    for model in options.models.split(","):
        epochs = options.epochs or EPOCHS[model]
        common = [f"model={model}", f"data={options.data}", f"epochs={epochs}", "device=cpu"]
        other = "true" if model == "cnn" else "false"
        found = {"first": record(common, {}, busy=False)}
        for case, (words, variables, reference) in CASES.items():
            own = [word.format(other=other) for word in words]
            found[case] = record([*common, *own], variables, busy="busy" in case)
            against = "" if reference == "first" else f" (against: {reference})"
            print(f"{model}: {case}{against}: {describe(*found[case], *found[reference])}", flush=True)


if __name__ == "__main__":
    main()
