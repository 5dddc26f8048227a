"""Microseconds a training step takes: what people would use, ours, and the floor, side by side.

    python benchmarks/train_step.py [--model softmax,mlp,cnn,transformer] [--quick] [--rounds 5]
                                    [--only NAME ...] [--json FILE]

Measured: a step of each model, float32, batch 100, plain SGD, the rate decayed by 0.9 every 1000 steps, every
epoch in a new random order:

- softmax, the tutorial's 784 x 10, and mlp, 784 x 128 x 10: 550 steps over MNIST's 55,000 training images;
- cnn, two convolutions of 16 and 32 filters with pooling and a dense layer: 50 steps over the first 5,000;
- transformer, two blocks of width 64 with four heads: 20 steps over the first 2,000 windows of 64 characters
  of the documentation that comes with Python; the loss is that of all 64 places.

Drawing the order, gathering the batches, and bringing the losses back to the host are inside the time;
reading the files, compiling, and setting up are outside.

Why it is fair:

- Each contestant lives in a process of its own, so that threads, TF1 mode and XLA flags cannot disturb each
  other. The parent asks one at a time for one epoch, round after round: all meet the same machine, and a slow
  minute hits them all. The first epoch of each is not counted.
- Peers get what makes them fast: pixels scaled once where they take float32; Keras without progress bar and
  without the start of `fit` in its time; PyTorch without an optimizer object; JAX plain and, for softmax, in
  the fastest of some thirty spellings that we tried. Programs of one thread are pinned to one core; the
  tutorial's and Keras' keep the default threads, as people start them, and are also run with one.
- Each builds the model of its own layers, with as many weights as the others, returns its mean loss, and must
  end below where it began.
- The floor is the matrix products alone, by BLAS on one thread, with no gathering, no loss, no update. It
  cycles over 8 batches, 2.5 MB: more than L1 and L2 hold, less than L3. Ratios are to the faster of its two
  layouts. Convolutions and attention have none.
- Logging to MLflow at every step is so slow that its epoch has 100 steps only, over the first 10,000 images.
"""

import argparse
import importlib
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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from peers.steps import BATCH_SIZE, MODELS, Epoch, Lap, Workload, read_workload

QUIET_LOAD = 0.3
VERSIONS = ("numpy", "tensorflow", "keras", "mlflow", "jax", "torch")


@dataclass(frozen=True)
class Contestant:
    """How to run one of them.

    Attributes:
        title: what the table calls it.
        setup: module and function in `peers`, called once in the worker; it returns the function that runs an
            epoch.
        package: what must be installed.
        one_thread: pinned to one core, with one thread; otherwise what its library does by itself.
        models: the models that it knows.
        options: further arguments of `setup`.
        environment: extra variables.
    """

    title: str
    setup: str
    package: str
    one_thread: bool = True
    models: tuple[str, ...] = tuple(MODELS)
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, work: Workload) -> Epoch:
        """Set it up."""
        module, _, name = self.setup.partition(":")
        epoch: Epoch = getattr(importlib.import_module(f"peers.{module}"), name)(work, **self.options)
        return epoch


SOFTMAX, DENSE = ("softmax",), ("softmax", "mlp")
TF_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
XLA_ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
OURS, FLOORS = "ours", ("floor-wide", "floor")
_program = partial(Contestant, setup="steps_keras:tutorial_program", package="tensorflow", models=SOFTMAX)
_keras = partial(Contestant, setup="steps_keras:fit", package="keras")
_jax = partial(Contestant, package="jax", environment=XLA_ONE_THREAD)
_floor = partial(Contestant, setup="steps_floor:products", package="threadpoolctl", models=DENSE)
CONTESTANTS = {
    "tutorial": _program("the tutorial's program", one_thread=False, options={"one_thread": False}),
    "tutorial-1": _program("the tutorial's program, one thread", options={"one_thread": True}),
    "keras": _keras("Keras fit", one_thread=False),
    "keras-1": _keras("Keras fit, one thread", environment=TF_ONE_THREAD),
    "keras-50": _keras(
        "Keras fit, steps_per_execution=50",
        one_thread=False,
        models=DENSE,
        options={"steps_per_execution": 50},
    ),
    "keras-mlflow": _keras(
        "Keras fit + mlflow.log_metric a step",
        package="mlflow",
        one_thread=False,
        models=SOFTMAX,
        options={"tracked": True},
    ),
    "torch": Contestant("PyTorch loop", "steps_torch:loop", "torch"),
    "jax-plain": _jax("JAX scan, as one would write it", "steps_jax:plain"),
    "jax": _jax("JAX scan, tuned, W [10, 784]", "steps_jax:tuned_softmax", models=SOFTMAX),
    OURS: Contestant("ratelab", "steps_ratelab:run", "tensorflow"),
    "ours-2": Contestant(
        "ratelab, device.threads=2",
        "steps_ratelab:run",
        "tensorflow",
        one_thread=False,
        models=("cnn", "transformer"),
        options={"threads": 2},
    ),
    FLOORS[0]: _floor("floor, W as [inputs, units]", options={"turned": False}),
    FLOORS[1]: _floor("floor, W as [units, inputs]", options={"turned": True}),
}


def serve(name: str, model: str, *, quick: bool) -> None:
    """Be a worker: one line of JSON once ready, then one for each line that comes in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    contestant = CONTESTANTS[name]
    if contestant.one_thread and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    epoch = contestant.start(read_workload(model, quick=quick))
    for _ in sys.stdin:
        print(json.dumps(asdict(epoch())), file=answers, flush=True)


class Worker:
    """A contestant in a process of its own, asleep until it is asked for a lap.

    Args:
        name: which contestant.
        model: what it trains.
        log: where its standard error goes.
        quick: train on few images.
    """

    def __init__(self, name: str, model: str, log: IO[str], *, quick: bool) -> None:
        self.laps: list[Lap] = []
        self.failure = ""
        self._log = log
        command = [sys.executable, __file__, "--worker", name, "--model", model]
        command += ["--quick"] if quick else []
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
    return os.environ | quiet | single | contestant.environment


@dataclass(frozen=True)
class Result:
    """What a contestant did: microseconds a step of each counted round, its first and last mean loss."""

    title: str
    threads: str
    steps: int
    microseconds: list[float]
    first_loss: float | None
    last_loss: float | None
    weights: int | None

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.microseconds)


def measure(
    model: str, names: Sequence[str], rounds: int, *, quick: bool
) -> tuple[dict[str, Result], dict[str, str]]:
    """Train the model with all of them in turn; return the results, and why others have none."""
    missing = {name: reason for name in names if (reason := not_installed(name))}
    with ExitStack() as stack:
        workers = {}
        for name in names:
            if name in missing:
                continue
            log = stack.enter_context(tempfile.TemporaryFile("w+"))
            workers[name] = stack.enter_context(Worker(name, model, log, quick=quick))
            workers[name].lap()  # alone: setting up and warming up must not disturb each other
        for number in range(rounds):
            print(f"{model}: round {number + 1} of {rounds}", file=sys.stderr)
            for worker in workers.values():
                worker.lap()
    failed = {name: f"failed: {worker.failure}" for name, worker in workers.items() if worker.failure}
    results = {name: summary(name, workers[name].laps) for name in workers if name not in failed}
    sizes = {name: result.weights for name, result in results.items() if result.weights is not None}
    assert len(set(sizes.values())) <= 1, f"the models of {model} differ in their weights: {sizes}"
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
    return Result(contestant.title, threads, laps[0].steps, times, first, last, laps[0].weights)


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


def table(model: str, results: dict[str, Result]) -> Iterator[str]:
    """Yield the lines of a table; a ratio is empty where its reference was not run."""
    yield f"{model:38}{'threads':>8}{'steps':>7}{'median':>10}{'min':>10}{'x floor':>9}{'x ratelab':>11}"
    floor = min((results[name].median for name in FLOORS if name in results), default=None)
    ours = results[OURS].median if OURS in results else None
    for result in results.values():
        over, times = (f"{result.median / base:.2f}" if base else "" for base in (floor, ours))
        yield (
            f"{result.title:38}{result.threads:>8}{result.steps:>7}{result.median:>10.1f}"
            f"{min(result.microseconds):>10.1f}{over:>9}{times:>11}"
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Microseconds a training step, against peers and the floor.")
    parser.add_argument(
        "--model",
        type=models_of,
        default=list(MODELS),
        metavar="NAME,...",
        help="softmax, mlp, cnn, transformer",
    )
    parser.add_argument("--quick", action="store_true", help="few steps: to see that it works")
    parser.add_argument("--rounds", type=int, default=None, help="epochs of each that count (5, quick: 2)")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--json", type=Path, default=None, help="also write everything to this file")
    parser.add_argument("--worker", choices=CONTESTANTS, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def models_of(text: str) -> list[str]:
    """Return the names of models in a list with commas."""
    names = text.split(",")
    if unknown := [name for name in names if name not in MODELS]:
        raise argparse.ArgumentTypeError(f"must be of {', '.join(MODELS)}, got {unknown[0]!r}")
    return names


def main() -> int:
    """Measure and print; the status is 1 if a contestant failed."""
    options = parse()
    if options.worker:
        serve(options.worker, options.model[0], quick=options.quick)
        return 0
    rounds = options.rounds or (2 if options.quick else 5)
    about = machine() | {"load before": load_average()}
    about["work"] = f"batch {BATCH_SIZE}, float32; {rounds} alternating rounds; microseconds a step"
    print(*(f"{key:12}{value}" for key, value in about.items()), sep="\n")
    report: dict[str, Any] = {}
    for model in options.model:
        names = [name for name in options.only if model in CONTESTANTS[name].models]
        results, without = measure(model, names, rounds, quick=options.quick)
        print("", *table(model, results), sep="\n")
        print(*(f"{CONTESTANTS[name].title}: {reason}" for name, reason in without.items()), sep="\n")
        report[model] = {"results": {name: asdict(one) for name, one in results.items()}, "without": without}
    print("x floor: times the faster floor. x ratelab: how many times as long as ratelab's step.")
    print(f"load after  {os.getloadavg()[0]:.2f}, this benchmark included")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "models": report}, indent=2) + "\n")
    reasons = [reason for one in report.values() for reason in one["without"].values()]
    return int(any(reason.startswith("failed") for reason in reasons))


if __name__ == "__main__":
    sys.exit(main())
