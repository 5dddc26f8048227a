"""Microseconds a run-step takes in our training alone: prints one line, {"us_per_run_step": ...}.

    PYTHONPATH=src:benchmarks python benchmarks/peers/ours_training.py [--quick]

The stacks of the 30-run sweep (3 schedules of each of 10 seeds), in the worker processes of the launcher, but
nothing is recorded. A worker's first stack is not counted: its process starts and compiles in that time. The
time is from the first epoch of a second stack to the last epoch of all.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from ratelab.config import read
from ratelab.runs.planned import Labels, PlannedRun
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.stacks import Epoch, Stack

BASE = {
    "epochs": 50,
    "batch_size": 100,
    "learning_rate": 0.1,
    "validation_size": 5000,
    "test": True,
    "warmup": {"steps": 0, "start_factor": 0.0},
    "print_schedule": False,
    "allow_targets": [],
    "model": {"_target_": "ratelab.models.softmax"},
    "optimizer": {"_target_": "ratelab.optimizers.sgd"},
    "batch": {"_target_": "ratelab.batch_sizes.constant"},
    "data": {"_target_": "ratelab.data.mnist", "validation_size": 5000},
    "task": {"_target_": "ratelab.tasks.auto"},
    "device": {
        "kind": "cpu",
        "index": 0,
        "threads": 1,
        "precision": "float32",
        "xla": None,
        "deterministic": False,
    },
    "tracking": {"uri": None, "experiment": "none", "train_loss_every": 10, "log_model": None},
}
DECAY = {"_target_": "ratelab.schedules.exponential", "decay_steps": 1000, "decay_rate": 0.9}
SCHEDULES = [{"_target_": "ratelab.schedules.fixed"}, DECAY, {**DECAY, "staircase": True}]


def stacks(seeds: int, epochs: int) -> list[Stack]:
    """Return a stack for each seed, with a run for each schedule."""

    def run(seed: int, place: int) -> PlannedRun:
        return planned_run(3 * seed + place, seed=seed, epochs=epochs, schedule=SCHEDULES[place])

    return [Stack(tuple(run(seed, place) for place in range(3))) for seed in range(seeds)]


def planned_run(number: int, **changes: object) -> PlannedRun:
    """Return a run of the base configuration with some keys changed."""
    labels = Labels({"schedule": "sweep"}, "sweep", (), None)
    return PlannedRun(number, read({**BASE, **changes}), labels, Path.cwd())


def main() -> None:
    parser = argparse.ArgumentParser(description="Our training alone.")
    parser.add_argument("--quick", action="store_true", help="few epochs, to see that it works")
    quick = parser.parse_args().quick
    workers = len(os.sched_getaffinity(0))
    everything = stacks(2 * workers if quick else 10 + workers, 2 if quick else 50)
    steps, begin, losses = 0, 0.0, []
    with Processes(everything, workers, 2**30) as processes:
        for event in processes:
            warm_up = getattr(event, "number", 0) < 3 * workers
            if warm_up or not isinstance(event, Epoch):
                continue
            if not begin:
                # this epoch has been trained: its own time counts as well
                begin = time.time() - 3 * event.chunk.seconds
            steps += len(event.chunk.train_loss)
            losses.append(float(event.chunk.train_loss.mean()))
    assert np.isfinite(losses).all()
    print(json.dumps({"us_per_run_step": (time.time() - begin) / steps * 1e6}))


if __name__ == "__main__":
    main()
