"""A program of its own: TensorFlow imports and computes, and says in JSON what it runs on."""

import json
from typing import Any

from ratelab.runtime.devices import import_tensorflow
from ratelab.runtime.parents import die_with_parent

SIZE = 64


def main() -> None:
    """Multiply two matrices as training does, compiled by XLA, and print what was seen as one line."""
    die_with_parent()
    tf, keras = import_tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:  # else it would take the memory of a GPU that others train on
        tf.config.experimental.set_memory_growth(gpu, True)
    seen = {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "gpus": [_name(tf, gpu) for gpu in gpus],
        "has_cuda": tf.test.is_built_with_cuda(),
        "is_right": all(_is_right(tf, xla) for xla in (False, True)),
    }
    print(json.dumps(seen))


def _name(tf: Any, gpu: Any) -> str:
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))


def _is_right(tf: Any, xla: bool) -> bool:
    ones = tf.ones([SIZE, SIZE])
    product = tf.function(lambda: tf.linalg.matmul(ones, ones), autograph=False, jit_compile=xla)()
    return bool(tf.reduce_all(product == SIZE))


if __name__ == "__main__":
    main()
