"""Each case is a process of its own: what TensorFlow runs on cannot be changed once it has started."""

import json
import os
import subprocess
import sys

import pytest

from support import SRC

PRELUDE = """
import json
from ratelab.config import Device
from ratelab.runtime.devices import configure
from ratelab.validation import UserError

def device(**changes):
    values = dict(kind="cpu", index=0, threads=1, precision="float32", xla=None, deterministic=False)
    return Device(**values | changes)

def refusal(device):
    try:
        configure(device)
    except UserError as error:
        return str(error)
"""

CONFIGURES = """
configure(device(threads=2, precision="mixed_bfloat16"))
configure(device(threads=2, precision="mixed_bfloat16"))
import keras
import sklearn
import tensorflow as tf
print(json.dumps({
    "threads": tf.config.threading.get_intra_op_parallelism_threads(),
    "operations": tf.config.threading.get_inter_op_parallelism_threads(),
    "backend": keras.backend.backend(),
    "sklearn": sklearn.__name__,
    "precision": keras.config.dtype_policy().name,
    "gpus": len(tf.config.get_visible_devices("GPU")),
    "sum": float(tf.reduce_sum(tf.ones(3))),
    "refusal": refusal(device(threads=1, precision="mixed_bfloat16")),
}))
"""

LACKS_A_GPU = """
first = refusal(device(kind="gpu"))
second = refusal(device(kind="gpu", index=3))
configure(device(kind="auto", deterministic=True))
import tensorflow as tf
print(json.dumps({"first": first, "second": second, "sum": float(tf.reduce_sum(tf.ones(3)))}))
"""


def outcome(script):
    environment = {**os.environ, "PYTHONPATH": str(SRC), "CUDA_VISIBLE_DEVICES": ""}
    environment["KERAS_BACKEND"] = "jax"
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


@pytest.fixture(scope="module")
def configured():
    return outcome(CONFIGURES)


@pytest.fixture(scope="module")
def without_gpu():
    return outcome(LACKS_A_GPU)


def test_tensorflow_runs_as_configured(configured):
    assert configured["threads"] == 2
    assert configured["operations"] == 1
    assert configured["precision"] == "mixed_bfloat16"
    assert configured["gpus"] == 0
    assert configured["sum"] == 3.0


def test_keras_runs_on_tensorflow_whatever_the_environment_says(configured):
    assert configured["backend"] == "tensorflow"


def test_what_was_hidden_from_the_import_of_tensorflow_can_be_imported_afterwards(configured):
    assert configured["sklearn"] == "sklearn"


def test_other_settings_are_refused_once_tensorflow_runs(configured):
    same = "index=0, {}, precision=mixed_bfloat16, xla=None, deterministic=False"
    assert configured["refusal"] == (
        "device: one process runs with one device setting, this one has "
        f"kind=cpu, {same.format('threads=2')}, got kind=cpu, {same.format('threads=1')}; "
        "start one sweep for each."
    )


def test_a_gpu_that_is_not_there_is_refused_and_the_message_says_what_to_do(without_gpu):
    advice = "use device=cpu or device=auto, or install a TensorFlow and a driver that find it."
    assert without_gpu["first"] == (f"device=gpu: TensorFlow must see GPU number 0, and it sees 0; {advice}")
    assert without_gpu["second"].startswith("device=gpu: TensorFlow must see GPU number 3, and it sees 0;")


def test_after_that_refusal_the_cpu_can_be_had(without_gpu):
    assert without_gpu["sum"] == 3.0


@pytest.mark.parametrize("case", ["configured", "without_gpu"])
def test_tensorflow_prints_nothing(case, request):
    assert request.getfixturevalue(case)["stderr"] == ""
