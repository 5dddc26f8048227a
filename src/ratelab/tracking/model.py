"""A Keras model as MLflow keeps it: with its signature, and its requirements written down, not inferred."""

import contextlib
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ratelab.runtime.signals import held_back
from ratelab.tracking.client import Client
from ratelab.tracking.environment import quiet_logs
from ratelab.tracking.troubles import StoreError

if TYPE_CHECKING:
    import keras
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature


def log_keras_model(client: Client, run_id: str, model: "keras.Model", example: np.ndarray) -> None:
    """Keep `model` as the run's "model", which `mlflow.pyfunc.load_model("runs:/ID/model")` loads.

    Args:
        client: the store's.
        run_id: the run that made the model.
        model: built, compiled or not.
        example: inputs, first axis: batch.

    Raises:
        Exception: whatever Keras, MLflow or the store raises; a model half kept is marked as FAILED.
    """
    from mlflow.entities import LoggedModelOutput

    store = client.mlflow
    run = client.read(store.get_run, run_id)
    logged = client.ask(
        store.create_logged_model,
        run.info.experiment_id,
        name="model",
        source_run_id=run_id,
        params=run.data.params,
        model_type="keras",
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "model"))
            with held_back():  # TensorFlow computes, whose C++ loses what is raised inside of it
                _save(model, path, example, logged, run_id)
            client.ask(store.log_model_artifacts, logged.model_id, path)
        client.ask(store.log_outputs, run_id, [LoggedModelOutput(logged.model_id, step=0)])
    except BaseException:
        with contextlib.suppress(StoreError):
            client.ask(store.finalize_logged_model, logged.model_id, "FAILED")
        raise
    client.ask(store.finalize_logged_model, logged.model_id, "READY")


def _save(model: "keras.Model", path: str, example: np.ndarray, logged: "LoggedModel", run_id: str) -> None:
    """Write the model with what MLflow wants to know of it."""
    import mlflow.tensorflow
    from mlflow.models import Model

    card = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=run_id,
        model_id=logged.model_id,
    )
    with quiet_logs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns about type hints of its own
        mlflow.tensorflow.save_model(
            model,
            path,
            mlflow_model=card,
            signature=_signature(model, example),
            pip_requirements=_requirements(),
        )


def _signature(model: "keras.Model", example: np.ndarray) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    arrays = example, np.asarray(model(example[:1], training=False))
    inputs, outputs = (Schema([TensorSpec(array.dtype, (-1, *array.shape[1:]))]) for array in arrays)
    return ModelSignature(inputs=inputs, outputs=outputs)


def _requirements() -> list[str]:
    import keras
    import tensorflow as tf

    return [f"tensorflow=={tf.__version__}", f"keras=={keras.__version__}", f"numpy=={np.__version__}"]
