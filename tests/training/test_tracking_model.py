"""A Keras model that a run keeps is loaded back by MLflow and predicts the same."""

from pathlib import Path

import numpy as np
import pytest

from ratelab.tracking import Tracker

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorFlow's and Keras' own, at their import
@pytest.mark.filterwarnings("ignore::FutureWarning:keras")  # keras still asks numpy what it will not answer
def test_a_keras_model_is_loaded_back_and_predicts_the_same(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import keras
    import mlflow

    model = keras.Sequential([keras.layers.Input((784,)), keras.layers.Dense(10)])
    images = np.random.default_rng(0).random((7, 784), dtype=np.float32)
    capfd.readouterr()
    with tracker.run("model", params={"rate": 0.1}, tags={}) as run:
        run.log_keras_model(model, images)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.id}/model")
    np.testing.assert_array_equal(loaded.predict(images), np.asarray(model(images)))
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 784)
    assert loaded.metadata.signature.outputs.inputs[0].shape == (-1, 10)
    requirements = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.id}/model/requirements.txt"))
    assert {line.partition("==")[0] for line in requirements.read_text().split()} == {
        "mlflow",
        "tensorflow",
        "keras",
        "numpy",
    }
    assert mlflow.MlflowClient(tracker.uri).get_run(run.id).outputs.model_outputs
