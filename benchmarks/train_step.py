"""Microseconds a training step takes: the tutorial's program, what people would use instead, ours, the floor.

    python benchmarks/train_step.py [--quick] [--rounds 5] [--only NAME ...] [--json FILE]

Measured: a step of softmax regression on real MNIST, 784 x 10, float32, batch 100, plain SGD, the rate
decayed by 0.9 every 1000 steps; an epoch is 550 steps over 55,000 images in a new random order. Drawing the
order, gathering the batches, and bringing the losses back to the host are inside the time; reading the files,
compiling, and setting up are outside.

Why it is fair:

- Each contestant lives in a process of its own, so that threads, TF1 mode and XLA flags cannot disturb each
  other. The parent asks one at a time for one epoch, round after round: all meet the same machine, and a slow
  minute hits them all. The first epoch of each is not counted.
- Peers get what makes them fast: pixels scaled once where they take float32; Keras without progress bar and
  without the start of `fit` in its time; PyTorch without an optimizer object; JAX plain, and in the fastest
  of some thirty spellings that we tried. Programs of one thread are pinned to one core; the tutorial's and
  Keras' keep the default threads, as people start them, and the tutorial's is also run with one, the faster.
- Each returns its mean loss, and must end below where it began.
- The floor is the two matrix products x W and x^T g alone, by BLAS on one thread, with no gathering, no
  softmax, no update. It cycles over 8 batches, 2.5 MB: more than L1 and L2 hold, less than L3. Ratios are to
  the faster of its two layouts.
- Logging to MLflow at every step is so slow that its epoch has 100 steps only, over the first 10,000 images.
"""

import argparse
import atexit
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

BATCH_SIZE = 100
CLASSES = 10
DECAY_RATE = 0.9
DECAY_STEPS = 1000
FLOOR_BATCHES = 8
LEARNING_RATE = 0.1
PIXELS = 784
QUICK_EXAMPLES = 11_000
QUIET_LOAD = 0.3
TRACKED_EXAMPLES = 10_000
VERSIONS = ("numpy", "tensorflow", "keras", "mlflow", "jax", "torch")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Lap:
    """One epoch: its time, its number of updates, its mean loss (None where nothing is learned)."""

    seconds: float
    steps: int
    loss: float | None

    @property
    def microseconds(self) -> float:
        """Time of one step."""
        return self.seconds / self.steps * 1e6


@dataclass
class Workload:
    """What every contestant trains on, and in which order and at which rates.

    Attributes:
        images: uint8[examples, 784].
        labels: int32[examples].
        rng: draws the starting weights and every order.
        done: updates of the epochs handed out so far.
    """

    images: Array
    labels: Array
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    done: int = 0

    @property
    def steps(self) -> int:
        """Updates in one epoch."""
        return len(self.labels) // BATCH_SIZE

    def pixels(self) -> Array:
        """Return float32[examples, 784], 0 to 1."""
        return self.images.astype(np.float32) / np.float32(255)

    def weights(self) -> Array:
        """Draw W ~ Normal(0, 1), float32[784, 10]."""
        return self.rng.standard_normal((PIXELS, CLASSES), dtype=np.float32)

    def next_epoch(self) -> tuple[Array, Array]:
        """Return a new order, int32[steps, batch], and the rate of each of these steps, float32[steps]."""
        order = self.rng.permutation(len(self.labels)).astype(np.int32)[: self.steps * BATCH_SIZE]
        steps = np.arange(self.done, self.done + self.steps)
        self.done += self.steps
        rates = LEARNING_RATE * DECAY_RATE ** (steps / DECAY_STEPS)
        return order.reshape(self.steps, BATCH_SIZE), rates.astype(np.float32)

    def head(self, examples: int) -> "Workload":
        """Return the same with only the first examples."""
        return Workload(self.images[:examples], self.labels[:examples])


Epoch = Callable[[], Lap]
Setup = Callable[[Workload], Epoch]


def clocked(work: Workload, epoch: Callable[[], float | None]) -> Epoch:
    """Return `epoch`, which gives a mean loss, with a clock around it."""

    def lap() -> Lap:
        begin = time.perf_counter()
        loss = epoch()
        return Lap(time.perf_counter() - begin, work.steps, loss)

    return lap


def tutorial_program(work: Workload, *, one_thread: bool) -> Epoch:
    """Set up `tutorial.py`: a session, a feed_dict for every step."""
    import tensorflow.compat.v1 as tf

    import tutorial

    tf.disable_eager_execution()
    images, labels = tutorial.prepare(work.images, work.labels)
    graph = tutorial.build_graph(work.weights(), LEARNING_RATE)
    threads = int(one_thread)  # 0 is TensorFlow's default
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    session = tf.Session(config=config)
    session.run(tf.global_variables_initializer())
    return clocked(work, lambda: tutorial.run_epoch(session, graph, images, labels, work.next_epoch()[0]))


def keras_fit(work: Workload, *, steps_per_execution: int = 1, tracked: bool = False) -> Epoch:
    """Set up Keras' own loop; the time runs from the begin to the end of the epoch inside `fit`."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self.seconds = -time.perf_counter()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            self.seconds += time.perf_counter()

    work = work.head(TRACKED_EXAMPLES) if tracked else work
    clock = Clock()
    callbacks = [rate_logger(), clock] if tracked else [clock]
    model = keras.Sequential([keras.Input((PIXELS,)), keras.layers.Dense(CLASSES)])
    model.set_weights([work.weights(), np.zeros(CLASSES, np.float32)])
    schedule = keras.optimizers.schedules.ExponentialDecay(LEARNING_RATE, DECAY_STEPS, DECAY_RATE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule), loss, steps_per_execution=steps_per_execution)
    pixels = work.pixels()

    def lap() -> Lap:
        fit = model.fit(pixels, work.labels, BATCH_SIZE, verbose=0, callbacks=callbacks)
        return Lap(clock.seconds, work.steps, fit.history["loss"][0])

    return lap


def rate_logger() -> Any:
    """Return a Keras callback which logs the rate of every step to MLflow, in a new SQLite file."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)  # before MLflow is imported: what it does at the end comes first

    import keras
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder.name}/mlflow.db")
    experiment = mlflow.create_experiment("train_step", artifact_location=f"{folder.name}/artifacts")
    mlflow.start_run(experiment_id=experiment)

    class RateLogger(keras.callbacks.Callback):
        step = 0

        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            mlflow.log_metric("learning_rate", float(self.model.optimizer.learning_rate), step=self.step)
            self.step += 1

    return RateLogger()


def jax_plain(work: Workload) -> Epoch:
    """Set up JAX as most would write it: one compiled scan over the epoch, weights as [784, 10]."""
    import jax
    import jax.numpy as jnp

    def loss(state: Any, batch: Any, labels: Any) -> Any:
        weights, bias = state
        pixels = batch.astype(jnp.float32) * np.float32(1 / 255)
        chances = jax.nn.log_softmax(pixels @ weights + bias, axis=1)
        return -jnp.mean(jnp.take_along_axis(chances, labels[:, None], 1))

    def scan(images: Any, labels: Any, state: Any, order: Any, rates: Any) -> Any:
        def body(state: Any, now: Any) -> Any:
            indices, rate = now
            return jax_update(loss, state, (images[indices], labels[indices]), rate)

        return jax.lax.scan(body, state, (order, rates))

    return jax_epoch(work, scan, work.weights())


def jax_tuned(work: Workload) -> Epoch:
    """Set up JAX at its fastest.

    Weights are kept as [10, 784] and logits as [10, batch]; the next batch is gathered one step ahead, as
    uint8, and carried through the loop, so that XLA does not fuse the gathering with the conversion.
    """
    import jax
    import jax.numpy as jnp

    def loss(state: Any, batch: Any, labels: Any) -> Any:
        weights, bias = state
        logits = weights @ batch.astype(jnp.float32).T * np.float32(1 / 255)
        chances = jax.nn.log_softmax(logits + bias[:, None], axis=0)
        return -jnp.mean(jnp.take_along_axis(chances, labels[None], 0))

    def scan(images: Any, labels: Any, state: Any, order: Any, rates: Any) -> Any:
        def body(carried: Any, now: Any) -> Any:
            (state, batch), (indices, following, rate) = carried, now
            state, value = jax_update(loss, state, (batch, labels[indices]), rate)
            return (state, images[following]), value

        start = state, images[order[0]]
        (state, _), losses = jax.lax.scan(body, start, (order, jnp.roll(order, -1, 0), rates))
        return state, losses

    return jax_epoch(work, scan, work.weights().T)


def jax_update(loss: Callable[..., Any], state: Any, batch: tuple[Any, Any], rate: Any) -> tuple[Any, Any]:
    """Return weights and bias after one step of SGD, and the loss before it."""
    import jax

    value, slopes = jax.value_and_grad(loss)(state, *batch)
    return jax.tree.map(lambda old, slope: old - rate * slope, state, slopes), value


def jax_epoch(work: Workload, scan: Callable[..., Any], weights: Array) -> Epoch:
    """Compile `scan` and put the data where it runs."""
    import jax
    import jax.numpy as jnp

    run = jax.jit(scan)
    state: Any = jnp.asarray(weights), jnp.zeros(CLASSES)
    images, labels = jnp.asarray(work.images), jnp.asarray(work.labels)

    def epoch() -> float:
        nonlocal state
        state, losses = run(images, labels, state, *work.next_epoch())
        return float(np.asarray(losses).mean())

    return clocked(work, epoch)


def torch_loop(work: Workload) -> Epoch:
    """Set up PyTorch: a Python loop over eager operations, gradients by autograd."""
    import torch

    torch.set_num_threads(1)
    images, labels = torch.from_numpy(work.images), torch.from_numpy(work.labels.astype(np.int64))
    weights = torch.from_numpy(work.weights().T.copy()).requires_grad_()
    bias = torch.zeros(CLASSES, requires_grad=True)

    def step(indices: Any, rate: float) -> Any:
        pixels = images[indices].float().mul_(1 / 255)
        logits = torch.nn.functional.linear(pixels, weights, bias)
        loss = torch.nn.functional.cross_entropy(logits, labels[indices])
        slopes = torch.autograd.grad(loss, (weights, bias))
        with torch.no_grad():
            weights.sub_(slopes[0], alpha=rate)
            bias.sub_(slopes[1], alpha=rate)
        return loss.detach()

    def epoch() -> float:
        order, rates = work.next_epoch()
        losses = [step(*now) for now in zip(torch.from_numpy(order), rates.tolist(), strict=True)]
        return float(torch.stack(losses).mean())

    return clocked(work, epoch)


def ours(work: Workload) -> Epoch:
    """Set up `ratelab.training` as one run of `src/train.py` has it."""
    from ratelab import models, optimizers
    from ratelab.batch_sizes import constant, plan_batches
    from ratelab.config import Device
    from ratelab.data import Dataset, Split
    from ratelab.runtime import devices
    from ratelab.tasks import auto
    from ratelab.training import Hyperparameters, Job, Program, Segment, Tabulated

    devices.configure(
        Device(kind="cpu", index=0, threads=1, precision="float32", xla=None, deterministic=False)
    )
    images = work.images.reshape(-1, 28, 28)
    train, few = Split(images, work.labels), Split(images[:BATCH_SIZE], work.labels[:BATCH_SIZE])
    data = Dataset(CLASSES, 1 / 255, train, few, few, "")
    task = auto(work.labels, CLASSES)
    build = partial(models.softmax, (28, 28), CLASSES)
    rates = Tabulated(np.empty(0, np.float32))  # each epoch brings its own
    plan = plan_batches(constant(BATCH_SIZE), len(work.labels), 1)
    program = Program(Job(0, rates, plan, build, data, task, optimizers.sgd(), None, ""))
    state = program.initial_state(build())

    def epoch() -> float:
        nonlocal state
        first = work.done
        order, rates = work.next_epoch()
        segment = Segment(first, len(order), order)
        [piece] = program.data.pieces(iter([segment]))
        state, losses = program.run(state, piece, rates[:, None], Hyperparameters())
        return float(losses.mean())

    return clocked(work, epoch)


def floor(work: Workload, *, turned: bool) -> Epoch:
    """Set up the two bare products for W as [784, 10], or `turned`, [10, 784]; check them once."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    used = FLOOR_BATCHES * BATCH_SIZE
    batches = work.head(used).pixels().reshape(FLOOR_BATCHES, BATCH_SIZE, PIXELS)
    weights, slopes = work.weights(), work.rng.standard_normal((BATCH_SIZE, CLASSES), dtype=np.float32)
    if turned:
        left, right = np.ascontiguousarray(weights.T), np.ascontiguousarray(slopes.T)
        logits, gradient = np.empty_like(right), np.empty_like(left)
    else:
        left, right = weights, slopes
        logits, gradient = np.empty_like(slopes), np.empty_like(weights)

    def products(x: Array) -> None:
        if turned:
            np.matmul(left, x.T, out=logits)
            np.matmul(right, x, out=gradient)
        else:
            np.matmul(x, left, out=logits)
            np.matmul(x.T, right, out=gradient)

    def epoch() -> None:
        for step in range(work.steps):
            products(batches[step % FLOOR_BATCHES])

    products(batches[0])
    turn = np.transpose if turned else np.asarray
    np.testing.assert_allclose(turn(logits), np.einsum("bp,pc->bc", batches[0], weights), atol=1e-3)
    np.testing.assert_allclose(turn(gradient), np.einsum("bp,bc->pc", batches[0], slopes), atol=1e-3)
    return clocked(work, epoch)


@dataclass(frozen=True)
class Contestant:
    """How to run one of them.

    Attributes:
        title: what the table calls it.
        setup: run once in the worker; returns the function that runs an epoch.
        one_thread: pinned to one core, with one thread; otherwise what its library does by itself.
        environment: extra variables.
        package: what must be installed.
    """

    title: str
    setup: Setup
    one_thread: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    package: str = "tensorflow"


XLA_ONE_THREAD = (("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"),)
TUTORIAL, FLOOR = "tutorial", "floor"
CONTESTANTS = {
    TUTORIAL: Contestant("the tutorial's program", partial(tutorial_program, one_thread=False)),
    "tutorial-1": Contestant(
        "the tutorial's program, one thread", partial(tutorial_program, one_thread=True), one_thread=True
    ),
    "keras": Contestant("Keras fit", keras_fit, package="keras"),
    "keras-50": Contestant(
        "Keras fit, steps_per_execution=50", partial(keras_fit, steps_per_execution=50), package="keras"
    ),
    "keras-mlflow": Contestant(
        "Keras fit + mlflow.log_metric a step", partial(keras_fit, tracked=True), package="mlflow"
    ),
    "torch": Contestant("PyTorch loop", torch_loop, one_thread=True, package="torch"),
    "jax-plain": Contestant("JAX scan, W [784, 10]", jax_plain, True, XLA_ONE_THREAD, package="jax"),
    "jax": Contestant("JAX scan, tuned, W [10, 784]", jax_tuned, True, XLA_ONE_THREAD, package="jax"),
    "ours": Contestant("ratelab", ours, one_thread=True),
    "floor-wide": Contestant(
        "floor, W [784, 10]", partial(floor, turned=False), one_thread=True, package="threadpoolctl"
    ),
    FLOOR: Contestant(
        "floor, W [10, 784]", partial(floor, turned=True), one_thread=True, package="threadpoolctl"
    ),
}


def serve(name: str, *, quick: bool) -> None:
    """Be a worker: one line of JSON once ready, then one for each line that comes in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    contestant = CONTESTANTS[name]
    if contestant.one_thread and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    epoch = contestant.setup(read_workload(quick=quick))
    for _ in sys.stdin:
        print(json.dumps(asdict(epoch())), file=answers, flush=True)


def read_workload(*, quick: bool) -> Workload:
    """Return MNIST's 55,000 training images, or the first of them."""
    from ratelab.data import mnist

    train = mnist(validation_size=5000).train
    work = Workload(train.inputs.reshape(-1, PIXELS), train.targets)
    return work.head(QUICK_EXAMPLES) if quick else work


class Worker:
    """A contestant in a process of its own, asleep until it is asked for a lap.

    Args:
        name: which contestant.
        log: where its standard error goes.
        quick: train on few images.
    """

    def __init__(self, name: str, log: IO[str], *, quick: bool) -> None:
        self.laps: list[Lap] = []
        self.failure = ""
        self._log = log
        command = [sys.executable, __file__, "--worker", name, *(["--quick"] if quick else [])]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(CONTESTANTS[name]),
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._process.wait()

    def lap(self) -> None:
        """Run one epoch and keep its lap; the first of all is the warm-up. Do nothing after a failure."""
        if self.failure:
            return
        with suppress(BrokenPipeError):  # it has ended, and then gives no answer
            print("epoch", file=self._stdin, flush=True)
        answer = self._stdout.readline()
        if answer:
            self.laps.append(Lap(**json.loads(answer)))
        else:
            self.failure = self._last_words()

    def _last_words(self) -> str:
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else f"ended with status {status}"


def environment(contestant: Contestant) -> dict[str, str]:
    """Return the variables for a worker."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MLFLOW_DISABLE_TELEMETRY": "true"}
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if contestant.one_thread else {}
    return os.environ | quiet | single | dict(contestant.environment)


@dataclass(frozen=True)
class Result:
    """What a contestant did: microseconds a step of each counted round, and its first and last mean loss."""

    title: str
    threads: str
    steps: int
    microseconds: list[float]
    first_loss: float | None
    last_loss: float | None

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.microseconds)


def measure(names: Sequence[str], rounds: int, *, quick: bool) -> tuple[dict[str, Result], dict[str, str]]:
    """Run all of them in turn; return the results, and why others have none."""
    missing = {name: reason for name in names if (reason := not_installed(name))}
    with ExitStack() as stack:
        workers = {}
        for name in names:
            if name in missing:
                continue
            log = stack.enter_context(tempfile.TemporaryFile("w+"))
            workers[name] = stack.enter_context(Worker(name, log, quick=quick))
            workers[name].lap()  # alone: setting up and warming up must not disturb each other
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for worker in workers.values():
                worker.lap()
    failed = {name: f"failed: {worker.failure}" for name, worker in workers.items() if worker.failure}
    results = {name: summary(name, workers[name].laps) for name in workers if name not in failed}
    return results, missing | failed


def not_installed(name: str) -> str:
    """Return how to install what the contestant needs, or nothing if it is there."""
    package = CONTESTANTS[name].package
    return "" if importlib.util.find_spec(package) else f"skipped: pip install {package}"


def summary(name: str, laps: Sequence[Lap]) -> Result:
    """Return the result, after a check that the loss went down from the warm-up to the last round."""
    contestant, first, last = CONTESTANTS[name], laps[0].loss, laps[-1].loss
    if first is not None:
        assert last is not None
        assert math.isfinite(last), f"{name} ended with a loss of {last}"
        assert last < first, f"{name} learned nothing: its loss went from {first} to {last}"
    times = [lap.microseconds for lap in laps[1:]]
    threads = "1" if contestant.one_thread else "default"
    return Result(contestant.title, threads, laps[0].steps, times, first, last)


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    packages = [package for package in VERSIONS if importlib.util.find_spec(package)]
    return {
        "cpu": f"{cpu_name()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages),
    }


def cpu_name() -> str:
    """Return the model of the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def load_average() -> str:
    """Return the load of the last minute, in words that say whether the figures can be trusted."""
    load = os.getloadavg()[0]
    return f"{load:.2f}, " + ("quiet" if load < QUIET_LOAD else "NOT quiet: do not trust the figures")


def table(results: dict[str, Result]) -> Iterator[str]:
    """Yield the lines of the table; a ratio is empty where its reference was not run."""
    yield f"{'us a step':38}{'threads':>8}{'steps':>7}{'median':>9}{'min':>9}{'x floor':>9}{'speed-up':>10}"
    base, tutorial = results.get(FLOOR), results.get(TUTORIAL)
    for result in results.values():
        over = f"{result.median / base.median:.2f}" if base else ""
        faster = f"{tutorial.median / result.median:.2f}" if tutorial else ""
        yield (
            f"{result.title:38}{result.threads:>8}{result.steps:>7}{result.median:>9.1f}"
            f"{min(result.microseconds):>9.1f}{over:>9}{faster:>10}"
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Microseconds a training step, against peers and the floor.")
    parser.add_argument("--quick", action="store_true", help="few steps: to see that it works")
    parser.add_argument("--rounds", type=int, default=None, help="epochs of each that count (5, quick: 2)")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--json", type=Path, default=None, help="also write everything to this file")
    parser.add_argument("--worker", choices=CONTESTANTS, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure and print; the status is 1 if a contestant failed."""
    options = parse()
    if options.worker:
        serve(options.worker, quick=options.quick)
        return 0
    rounds = options.rounds or (2 if options.quick else 5)
    about = machine() | {"load before": load_average()}
    results, without = measure(options.only, rounds, quick=options.quick)
    about["load after"] = f"{os.getloadavg()[0]:.2f}, this benchmark included"
    about["work"] = f"batch {BATCH_SIZE}, {PIXELS} x {CLASSES}, float32; {rounds} alternating rounds"
    print(*(f"{key:12}{value}" for key, value in about.items()), "", *table(results), sep="\n")
    print(*(f"{CONTESTANTS[name].title}: {reason}" for name, reason in without.items()), sep="\n")
    print("x floor: times the faster floor. speed-up: how many times as fast as the tutorial's program.")
    if options.json:
        report = {"about": about, "results": {name: asdict(result) for name, result in results.items()}}
        options.json.write_text(json.dumps(report | {"without": without}, indent=2) + "\n")
    return int(any(reason.startswith("failed") for reason in without.values()))


if __name__ == "__main__":
    sys.exit(main())
