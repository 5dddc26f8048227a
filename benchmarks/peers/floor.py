"""The floor of the sweep's training: the matrix products of its 30 runs, bare, on all cores.

    python benchmarks/peers/floor.py [--steps 2750] [--processes 2] [--seeds 10]

A process a core, one BLAS thread in each, works on its share of the seeds. The three runs of a seed share its
batch, so their weights are stacked: [30, 784] times x for the logits, [30, 100] times x for the gradient.
x is held as [100, 784], as [784, 100], or as both, for each product the faster; the fastest of these counts.
`us_one_layout` leaves out "both", for which a program would have to turn every batch. `us_one_batch` is for
runs that would all share one batch: each process has one stack of all its weights. Batches cycle over 8, as
in `train_step.py`. The time is from the first process that begins to the last that ends.
"""

import argparse
import json
import multiprocessing
import os
import time
from itertools import product
from typing import Any

import numpy as np

from peers.steps import BATCH_SIZE, CLASSES, PIXELS
from peers.steps_floor import FLOOR_BATCHES

SCHEDULES = 3
LAYOUTS = ("rows", "columns", "both")
Times = dict[tuple[bool, str], list[tuple[float, float]]]  # (one batch for all?, layout): begin and end


def lap(stacks: int, rows: int, layout: str, steps: int, barrier: Any) -> tuple[float, float]:
    """Return when the products of `stacks` stacks of weights, [rows, 784], began and ended."""
    rng = np.random.default_rng(0)
    batches = rng.random((FLOOR_BATCHES, BATCH_SIZE, PIXELS), dtype=np.float32)
    turned = np.ascontiguousarray(batches.swapaxes(1, 2))
    columns = batches.swapaxes(1, 2) if layout == "rows" else turned
    images = turned.swapaxes(1, 2) if layout == "columns" else batches
    weights = rng.standard_normal((stacks, rows, PIXELS), dtype=np.float32)
    slopes = rng.standard_normal((stacks, rows, BATCH_SIZE), dtype=np.float32)
    logits, gradients = np.empty_like(slopes), np.empty_like(weights)

    def products(step: int) -> None:
        for stack in range(stacks):
            batch = (step * stacks + stack) % FLOOR_BATCHES
            np.matmul(weights[stack], columns[batch], out=logits[stack])
            np.matmul(slopes[stack], images[batch], out=gradients[stack])

    products(0)
    np.testing.assert_allclose(logits[0], np.einsum("rp,bp->rb", weights[0], batches[0]), atol=1e-3)
    np.testing.assert_allclose(gradients[0], np.einsum("rb,bp->rp", slopes[0], batches[0]), atol=1e-3)
    barrier.wait()
    begin = time.perf_counter()
    for step in range(steps):
        products(step)
    return begin, time.perf_counter()


def work(number: int, seeds: int, steps: int, barrier: Any, answers: Any) -> None:
    """Be one of the processes: measure both ways in every layout."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
    rows = SCHEDULES * CLASSES
    for shared, layout in product((False, True), LAYOUTS):
        stacks, height = (1, seeds * rows) if shared else (seeds, rows)
        answers.put((shared, layout, *lap(stacks, height, layout, steps, barrier)))


def summary(times: Times, run_steps: int) -> dict[str, float]:
    """Return microseconds a run-step, the fastest of the layouts."""
    cost = {}
    for key, laps in times.items():
        begins, ends = zip(*laps, strict=True)
        cost[key] = (max(ends) - min(begins)) / run_steps * 1e6
    return {
        "us_per_run_step": min(cost[False, layout] for layout in LAYOUTS),
        "us_one_layout": min(cost[False, layout] for layout in LAYOUTS[:2]),
        "us_one_batch": min(cost[True, layout] for layout in LAYOUTS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Microseconds a run-step: the bare products of the sweep.")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=2750)
    options = parser.parse_args()
    options.processes = min(options.processes, options.seeds)
    os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(options.processes), context.Queue()
    shares = [len(part) for part in np.array_split(np.arange(options.seeds), options.processes)]
    processes = [
        context.Process(target=work, args=(number, seeds, options.steps, barrier, answers), daemon=True)
        for number, seeds in enumerate(shares)
    ]
    for process in processes:
        process.start()
    times: Times = {}
    for _ in range(len(processes) * len(LAYOUTS) * 2):
        shared, layout, begin, end = answers.get(timeout=600)
        times.setdefault((shared, layout), []).append((begin, end))
    for process in processes:
        process.join()
    print(json.dumps(summary(times, SCHEDULES * options.seeds * options.steps)))


if __name__ == "__main__":
    main()
