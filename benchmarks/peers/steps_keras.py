"""Contestants of `train_step.py`: Keras' own loop, and the tutorial's program."""

import atexit
import tempfile
import time
from typing import Any

from peers.steps import (
    BATCH_SIZE,
    DECAY_RATE,
    DECAY_STEPS,
    LEARNING_RATE,
    PIXELS,
    Epoch,
    Lap,
    Workload,
    clocked,
)

TRACKED_EXAMPLES = 10_000


def tutorial_program(work: Workload, *, one_thread: bool) -> Epoch:
    """Set up `tutorial.py`: a session, a feed_dict for every step."""
    import tensorflow.compat.v1 as tf

    import tutorial

    tf.disable_eager_execution()
    images, labels = tutorial.prepare(work.inputs.reshape(-1, PIXELS), work.targets)
    weights = work.weights()
    graph = tutorial.build_graph(weights, LEARNING_RATE)
    threads = int(one_thread)  # 0 is TensorFlow's default
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    session = tf.Session(config=config)
    session.run(tf.global_variables_initializer())

    def epoch() -> float:
        return tutorial.run_epoch(session, graph, images, labels, work.next_epoch()[0])

    return clocked(work, epoch, weights.size + weights.shape[1])


def fit(work: Workload, *, steps_per_execution: int = 1, tracked: bool = False) -> Epoch:
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
    model = work.build_keras()
    schedule = keras.optimizers.schedules.ExponentialDecay(LEARNING_RATE, DECAY_STEPS, DECAY_RATE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule), loss, steps_per_execution=steps_per_execution)
    inputs = work.prepared()

    def lap() -> Lap:
        history = model.fit(inputs, work.targets, BATCH_SIZE, verbose=0, callbacks=callbacks).history
        return Lap(clock.seconds, work.steps, history["loss"][0], model.count_params())

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
