"""How nearly a run in a stack equals the same run alone, over 27,500 steps of MNIST.

    python benchmarks/stack_equality.py [--epochs 50] [--seeds 2] [--models softmax mlp] [--json FILE]

For each model and optimizer, four runs of one seed (fixed, exponential, staircase and another base rate) are
trained in one stack, and each by itself, in the worker processes of the launcher. Both add up the same
numbers in another order where a product has another size, so a difference starts at the rounding of float32,
1e-7, and then grows as fast as training itself is sensitive. Printed: the share of the steps at which the
losses are equal to the bit; the median relative difference of the loss, the largest of the first epoch and of
all; the differences of the test accuracy: mean (a bias would show there), standard error, largest.
"""

import argparse
import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from peers.ours_training import DECAY, SCHEDULES, planned_run
from ratelab.runs.planned import PlannedRun
from ratelab.sweeps.processes import Processes
from ratelab.sweeps.stacks import Ended, Epoch, Stack

OPTIMIZERS: dict[str, tuple[float, dict[str, Any]]] = {
    "sgd": (0.1, {"_target_": "ratelab.optimizers.sgd"}),
    "momentum": (0.02, {"_target_": "ratelab.optimizers.sgd", "momentum": 0.9}),
    "adam": (0.001, {"_target_": "ratelab.optimizers.adam"}),
    "adamw": (0.001, {"_target_": "ratelab.optimizers.adamw"}),
}
STEPS = 550


def members(model: str, optimizer: str, seed: int, epochs: int, first: int) -> list[PlannedRun]:
    """Return four runs of a seed."""
    rate, rule = OPTIMIZERS[optimizer]
    varied = [*((rate, schedule) for schedule in SCHEDULES), (rate / 2, DECAY)]
    values = {"seed": seed, "epochs": epochs, "optimizer": rule}
    values["model"] = {"_target_": f"ratelab.models.{model}"}
    return [
        planned_run(first + place, **values, learning_rate=base, schedule=schedule)
        for place, (base, schedule) in enumerate(varied)
    ]


def train(stacks: Iterable[Stack]) -> tuple[dict[int, np.ndarray], dict[int, float]]:
    """Return the losses and the test accuracy of each run."""
    losses: dict[int, list[np.ndarray]] = {}
    accuracies = {}
    with Processes(list(stacks), len(os.sched_getaffinity(0)), 2**30) as processes:
        for event in processes:
            if isinstance(event, Epoch):
                losses.setdefault(event.number, []).append(event.chunk.train_loss)
            elif isinstance(event, Ended):
                accuracies[event.number] = event.test["accuracy"]
    return {number: np.concatenate(parts) for number, parts in losses.items()}, accuracies


def compare(groups: list[list[PlannedRun]]) -> dict[str, float]:
    """Train every group as a stack and run by run; return the differences."""
    together, first = train(Stack(tuple(group)) for group in groups)
    alone, second = train(Stack((run,)) for run in itertools.chain(*groups))
    pairs = [(together[number], alone[number]) for number in sorted(alone)]
    relative = np.array([np.abs(a - b) / np.maximum(b, 1e-6) for a, b in pairs])
    accuracy = np.array([first[number] - second[number] for number in sorted(alone)])
    return {
        "runs": len(pairs),
        "equal": float((relative == 0).mean()),
        "median": float(np.median(relative)),
        "first epoch": float(relative[:, :STEPS].max()),
        "largest": float(relative.max()),
        "bias": float(accuracy.mean()),
        "error": float(accuracy.std(ddof=1) / len(accuracy) ** 0.5),
        "largest accuracy": float(np.abs(accuracy).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A run in a stack against the same run alone.")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["softmax", "mlp"])
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    arguments = parser.parse_args()
    print(
        f"{arguments.epochs * STEPS:,} steps; relative differences of the loss, differences of the accuracy\n"
    )
    print(
        "model    optimizer  runs  equal bits   median  1st epoch  largest   accuracy: mean +- error, largest"
    )
    found = {}
    for model, optimizer in itertools.product(arguments.models, OPTIMIZERS):
        seeds = range(arguments.seeds)
        groups = [members(model, optimizer, seed, arguments.epochs, 4 * seed) for seed in seeds]
        row = found[f"{model} {optimizer}"] = compare(groups)
        print(
            f"{model:8s} {optimizer:9s} {row['runs']:5.0f} {row['equal']:10.1%} {row['median']:9.1e} "
            f"{row['first epoch']:9.1e} {row['largest']:9.1e}   {row['bias']:+.5f} +- {row['error']:.5f}, "
            f"{row['largest accuracy']:.4f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
