"""The sweep as one would write it without us: Hydra's launchers, Keras `fit`, MLflow's `log_batch`.

    python benchmarks/peers/keras_hydra.py -m schedule=fixed,exponential 'seed=range(10)' epochs=50
    python benchmarks/peers/keras_hydra.py -m ... hydra/launcher=joblib hydra.launcher.n_jobs=2

Each run records the learning rate of every step, every 10th loss, the validation of each epoch and the test
at the end, 1000 metrics a call. It gets what makes it fast: pixels scaled once a run, no progress bar, and a
callback that sets the rate from plain numbers, which is quicker than to ask a Keras schedule for it. One
batch a call of the compiled function (`steps_per_execution=1`), for callbacks see every batch only so. The
loss is what Keras hands to callbacks, its mean since the epoch began. There is no comparison at the end.
The store must be there before jobs start in parallel.
"""

import time
from dataclasses import dataclass
from typing import Any

import hydra
import keras
import numpy as np
from hydra.core.config_store import ConfigStore
from mlflow import MlflowClient
from mlflow.entities import Metric
from omegaconf import OmegaConf

from ratelab.data import Split, mnist


@dataclass
class Settings:
    """What a run can be told."""

    schedule: str = "exponential"
    seed: int = 0
    epochs: int = 50
    batch_size: int = 100
    learning_rate: float = 0.1
    decay_steps: int = 1000
    decay_rate: float = 0.9
    loss_every: int = 10
    uri: str = "sqlite:///mlflow.db"


ConfigStore.instance().store("settings", Settings)


def rate_at(step: int, settings: Settings) -> float:
    """Return the learning rate of a step."""
    if settings.schedule == "fixed":
        return settings.learning_rate
    age = step / settings.decay_steps
    exponent = age // 1 if settings.schedule == "staircase" else age
    return float(settings.learning_rate * settings.decay_rate**exponent)


class Recorder(keras.callbacks.Callback):
    """Sets the rate before every batch, collects the metrics, sends them 1000 at a time."""

    def __init__(self, client: MlflowClient, run_id: str, settings: Settings) -> None:
        super().__init__()
        self.client, self.run_id, self.settings = client, run_id, settings
        self.step, self.waiting = 0, []

    def on_train_batch_begin(self, *_: Any, **__: Any) -> None:
        """Set the rate and collect it."""
        rate = rate_at(self.step, self.settings)
        self.model.optimizer.learning_rate = rate
        self.add("learning_rate", rate)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Collect the loss."""
        if self.step % self.settings.loss_every == 0:
            self.add("train_loss", logs["loss"])
        self.step += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Collect the validation."""
        for key in ("val_loss", "val_accuracy"):
            self.add(key, logs[key], self.step - 1)

    def add(self, key: str, value: Any, step: int | None = None) -> None:
        """Collect a metric of this step or of another; send what there is when it is enough."""
        now = int(time.time() * 1000)
        self.waiting.append(Metric(key, float(value), now, self.step if step is None else step))
        if len(self.waiting) == 1000:
            self.send()

    def send(self) -> None:
        """Send what was collected."""
        self.client.log_batch(self.run_id, self.waiting)
        self.waiting = []


def prepare(split: Split) -> tuple[Any, Any]:
    """Return pixels of 0 to 1, float32[examples, 784], and labels."""
    return split.inputs.reshape(len(split.inputs), -1).astype(np.float32) / np.float32(255), split.targets


def build() -> keras.Model:
    """Make the tutorial's model."""
    start = keras.initializers.RandomNormal(stddev=1.0)
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, kernel_initializer=start)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


@hydra.main(version_base=None, config_name="settings")
def main(settings: Settings) -> None:
    """Do one run."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(settings.seed)
    data = mnist(validation_size=5000)
    client = MlflowClient(settings.uri)
    run_id = client.create_run("0", run_name=f"{settings.schedule} seed={settings.seed}").info.run_id
    for key, value in OmegaConf.to_container(settings).items():
        client.log_param(run_id, key, value)
    recorder, model = Recorder(client, run_id, OmegaConf.to_object(settings)), build()
    model.fit(
        *prepare(data.train),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        verbose=0,
        callbacks=[recorder],
        validation_data=prepare(data.validation),
        validation_batch_size=1000,
    )
    figures = model.evaluate(*prepare(data.test), batch_size=1000, verbose=0)
    for key, value in zip(("test_loss", "test_accuracy"), figures, strict=True):
        recorder.add(key, value, recorder.step - 1)
    recorder.send()
    client.set_terminated(run_id)


if __name__ == "__main__":
    main()
