"""Microseconds a run-step takes in JAX: the 30 runs of the sweep at once, by `vmap`, with no tracking.

    python benchmarks/peers/jax_vmap.py [--plain] [--devices 1] [--seeds 10] [--epochs 3]

One compiled `lax.scan` over the steps of an epoch; in it a `vmap` over the seeds, each with batches of its
own, around a `vmap` over the three schedules, which share a seed's batch. Weights are kept as [10, 784] and
logits as [10, batch], the images stay uint8, and the next batch is gathered one step ahead, so that XLA does
not fuse the gathering with the conversion: the fastest of several spellings. Counted: drawing the orders,
the epoch, the losses back on the host; in this process only. Not counted: a first epoch, which compiles.
`--plain` is JAX as one would write it: one `vmap` over the 30 runs, each with batches of its own gathered in
the step, weights [784, 10]. With `--devices` the seeds are spread by `pmap` over so many devices of the host,
a thread each: what serves JAX best on several cores, where small products gain little from threads.
"""

import argparse
import json
import os
import time
from typing import Any

import numpy as np

from peers.steps import BATCH_SIZE, CLASSES, DECAY_RATE, DECAY_STEPS, LEARNING_RATE, PIXELS, read_workload

SCHEDULES = 3


def rates(first: int, steps: int) -> Any:
    """Return the rate of each step under fixed, exponential and staircase, float32[steps, 3]."""
    age = np.arange(first, first + steps) / DECAY_STEPS
    columns = LEARNING_RATE * DECAY_RATE ** np.stack([0 * age, age, np.floor(age)], 1)
    return columns.astype(np.float32)


def make_scan() -> Any:
    """Return the function of an epoch for the seeds of one device: (images, labels, state, order, rates)."""
    import jax
    import jax.numpy as jnp

    def loss(state: Any, batch: Any, labels: Any) -> Any:
        weights, bias = state
        chances = jax.nn.log_softmax(weights @ batch.T + bias[:, None], axis=0)
        return -jnp.mean(jnp.take_along_axis(chances, labels[None], 0))

    def update(state: Any, batch: Any, labels: Any, rate: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(state, batch, labels)
        return jax.tree.map(lambda old, slope: old - rate * slope, state, slopes), value

    schedules = jax.vmap(update, in_axes=(0, None, None, 0))
    seeds = jax.vmap(schedules, in_axes=(0, 0, 0, None))

    def scan(images: Any, labels: Any, state: Any, order: Any, rates: Any) -> Any:
        def body(carried: Any, now: Any) -> Any:
            (state, batch), (indices, following, rate) = carried, now
            pixels = batch.astype(jnp.float32) * np.float32(1 / 255)
            state, values = seeds(state, pixels, labels[indices], rate)
            return (state, images[following]), values

        start = state, images[order[0]]
        (state, _), losses = jax.lax.scan(body, start, (order, jnp.roll(order, -1, 0), rates))
        return state, losses

    return scan


def make_plain_scan() -> Any:
    """Return the same for one device, without any of the tricks: a vmap over all runs."""
    import jax
    import jax.numpy as jnp

    def loss(state: Any, pixels: Any, labels: Any) -> Any:
        weights, bias = state
        chances = jax.nn.log_softmax(pixels @ weights + bias)
        return -jnp.mean(jnp.take_along_axis(chances, labels[:, None], 1))

    def scan(images: Any, labels: Any, state: Any, order: Any, rates: Any) -> Any:
        def update(state: Any, indices: Any, rate: Any) -> Any:
            pixels = images[indices].astype(jnp.float32) / 255
            value, slopes = jax.value_and_grad(loss)(state, pixels, labels[indices])
            return jax.tree.map(lambda old, slope: old - rate * slope, state, slopes), value

        def body(state: Any, now: Any) -> Any:
            indices, rate = now
            runs = jnp.repeat(indices, SCHEDULES, axis=0)
            return jax.vmap(update)(state, runs, jnp.tile(rate, len(indices)))

        weights, bias = (array.reshape(-1, *array.shape[2:]) for array in state)
        flat, losses = jax.lax.scan(body, (weights.swapaxes(1, 2), bias), (order, rates))
        weights, bias = flat[0].swapaxes(1, 2), flat[1]
        return (weights.reshape(state[0].shape), bias.reshape(state[1].shape)), losses

    return scan


def draw_order(rngs: list[Any], devices: int, examples: int) -> Any:
    """Return a new order for each seed, int32[devices, steps, seeds a device, batch]."""
    steps = examples // BATCH_SIZE
    orders = [rng.permutation(examples)[: steps * BATCH_SIZE].astype(np.int32) for rng in rngs]
    return np.stack(orders).reshape(devices, -1, steps, BATCH_SIZE).swapaxes(1, 2)


def measure(scan: Any, devices: int, seeds: int, epochs: int, *, quick: bool) -> dict[str, Any]:
    """Train; return microseconds a run-step and the mean loss of the first and the last step."""
    import jax

    assert jax.local_device_count() >= devices
    run = jax.pmap(scan, in_axes=(0, 0, 0, 0, None))
    work = read_workload(quick=quick)
    put = jax.pmap(lambda *arrays: arrays)  # onto the devices, or the second epoch would compile once more
    data = put(*(np.stack([array] * devices) for array in (work.inputs.reshape(-1, PIXELS), work.targets)))
    rngs = [np.random.default_rng(seed) for seed in range(seeds)]
    shape = devices, seeds // devices, SCHEDULES, CLASSES
    drawn = [rng.standard_normal((CLASSES, PIXELS), dtype=np.float32) for rng in rngs]
    weights = np.repeat(drawn, SCHEDULES, axis=0).reshape(*shape, PIXELS)
    state: Any = put(weights, np.zeros(shape, np.float32))
    means: list[float] = []
    for epoch in range(1 + epochs):
        if epoch == 1:
            begin = time.perf_counter()
        order = draw_order(rngs, devices, len(work.targets))
        now = rates(epoch * work.steps, work.steps)
        state, values = run(*data, state, order, now)
        losses = np.asarray(values)
        means += [float(losses[:, 0].mean()), float(losses[:, -1].mean())]
    seconds = time.perf_counter() - begin
    run_steps = seeds * SCHEDULES * epochs * work.steps
    return {"us_per_run_step": seconds / run_steps * 1e6, "first_loss": means[0], "last_loss": means[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Microseconds a run-step takes in JAX, by vmap.")
    parser.add_argument("--devices", type=int, default=1, help="of the host; must divide the seeds (1)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3, help="that count (3)")
    parser.add_argument("--plain", action="store_true", help="as one would write it")
    parser.add_argument("--quick", action="store_true", help="11,000 images, not 55,000")
    options = parser.parse_args()
    if options.devices > 1:
        os.environ["XLA_FLAGS"] = (
            f"--xla_force_host_platform_device_count={options.devices} --xla_cpu_multi_thread_eigen=false"
        )
    scan = make_plain_scan() if options.plain else make_scan()
    result = measure(scan, options.devices, options.seeds, options.epochs, quick=options.quick)
    assert np.isfinite(result["last_loss"]), result
    assert result["last_loss"] < result["first_loss"], result
    print(json.dumps(result))


if __name__ == "__main__":
    main()
