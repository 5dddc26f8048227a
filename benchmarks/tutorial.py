"""The tutorial's own MNIST program, with a seed: softmax regression in a TensorFlow 1 graph and session.

    python benchmarks/tutorial.py [--epochs 50] [--seed 0] [--rate 0.1] [--fixed] [--safe] [--data DIR]

This is the peer that `train_step.py` times and whose accuracies ours are held against, so it is kept as the
tutorial has it: a feed_dict a step, the bare `log(softmax)`, whole epochs of 55,000 images in batches of 100.
What differs is in its favour or needed to compare: pixels are scaled and labels encoded once, batches are
gathered by index instead of copying the whole set every epoch, and weights and order come from `--seed`.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow.compat.v1 as tf

BATCH_SIZE = 100
CLASSES = 10
DECAY_STEPS = 1000
DECAY_RATE = 0.9
PIXELS = 784

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Graph:
    """The nodes that the session is asked for.

    Attributes:
        images: placeholder, [batch, 784].
        labels: placeholder, one-hot, [batch, 10].
        step: number of updates done.
        rate: the rate that the next update will use.
        cost: mean cross-entropy of the batch.
        train: one update.
        accuracy: share of right answers in the batch.
    """

    images: Any
    labels: Any
    step: Any
    rate: Any
    cost: Any
    train: Any
    accuracy: Any


def build_graph(weights: Floats, rate: float, *, fixed: bool = False, safe: bool = False) -> Graph:
    """Add the tutorial's model to the default graph; `weights`, [784, 10], are where it starts."""
    images = tf.placeholder(tf.float32, [None, PIXELS])
    labels = tf.placeholder(tf.float32, [None, CLASSES])
    logits = tf.matmul(images, tf.Variable(weights)) + tf.Variable(tf.zeros([CLASSES]))
    step = tf.Variable(0, trainable=False)
    decayed = tf.train.exponential_decay(rate, step, DECAY_STEPS, DECAY_RATE)
    learning_rate = tf.constant(rate) if fixed else decayed
    cost = _cost(logits, labels, safe=safe)
    train = tf.train.GradientDescentOptimizer(learning_rate).minimize(cost, global_step=step)
    right = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
    return Graph(images, labels, step, learning_rate, cost, train, tf.reduce_mean(tf.cast(right, tf.float32)))


def _cost(logits: Any, labels: Any, *, safe: bool) -> Any:
    """Return the mean cross-entropy; unless `safe`, a probability that underflows makes it NaN."""
    if safe:
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels, logits))
    return tf.reduce_mean(-tf.reduce_sum(labels * tf.log(tf.nn.softmax(logits)), axis=1))


def run_epoch(session: Any, graph: Graph, images: Floats, labels: Floats, order: npt.NDArray[Any]) -> float:
    """Run one update for each row of `order`, [steps, batch]; return the mean cost."""
    total = 0.0
    for batch in order:
        feed = {graph.images: images[batch], graph.labels: labels[batch]}
        total += session.run([graph.train, graph.cost], feed)[1]
    return float(total / len(order))


def prepare(images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Return pixels of 0 to 1, [examples, 784], and one-hot labels, [examples, 10]."""
    pixels = images.reshape(len(images), PIXELS).astype(np.float32) / np.float32(255)
    return pixels, np.eye(CLASSES, dtype=np.float32)[labels]


def shuffled(rng: np.random.Generator, examples: int) -> npt.NDArray[np.int64]:
    """Return one epoch's order, [steps, batch]; what does not fill a batch is left out."""
    steps = examples // BATCH_SIZE
    return rng.permutation(examples)[: steps * BATCH_SIZE].reshape(steps, BATCH_SIZE)


def train(graph: Graph, images: Floats, labels: Floats, options: argparse.Namespace, session: Any) -> float:
    """Train for all epochs, print a line for each, and return the seconds that it took."""
    rng = np.random.default_rng(np.random.SeedSequence(options.seed).spawn(2)[1])
    begin = time.perf_counter()
    for epoch in range(1, options.epochs + 1):
        cost = run_epoch(session, graph, images, labels, shuffled(rng, len(images)))
        step, rate = session.run([graph.step, graph.rate])
        print(f"epoch {epoch:3} cost {cost:.6f} step {step} rate {rate:.6f}", flush=True)
    return time.perf_counter() - begin


def initial_weights(seed: int) -> Floats:
    """Draw W ~ Normal(0, 1), [784, 10]."""
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])
    return rng.standard_normal((PIXELS, CLASSES), dtype=np.float32)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The tutorial's MNIST program.")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.1, help="the rate to start from")
    parser.add_argument("--fixed", action="store_true", help="keep the rate instead of decaying it")
    parser.add_argument("--safe", action="store_true", help="compute the loss from the logits")
    parser.add_argument("--data", type=Path, default=None, help="folder with the dataset's files")
    return parser.parse_args(arguments)


def main() -> None:
    """Train, then test once."""
    from ratelab.data import mnist

    options = parse()
    data = mnist(options.data, validation_size=5000)
    tf.disable_eager_execution()
    graph = build_graph(initial_weights(options.seed), options.rate, fixed=options.fixed, safe=options.safe)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        seconds = train(graph, *prepare(data.train.inputs, data.train.targets), options, session)
        images, labels = prepare(data.test.inputs, data.test.targets)
        accuracy = session.run(graph.accuracy, {graph.images: images, graph.labels: labels})
    print(f"accuracy {accuracy:.4f}")
    print(f"seconds_training {seconds:.2f}")


if __name__ == "__main__":
    main()
