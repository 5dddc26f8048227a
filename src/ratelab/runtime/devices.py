"""What TensorFlow runs on: set once, before it starts, because it cannot be changed later."""

import builtins
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ratelab.runtime.quick_imports import hide_modules, quick_imports
from ratelab.validation import UserError

# TensorFlow starts them all at once, and a machine that refuses one ends the process in an abort.
MOST_THREADS = 1024


class Device(BaseModel):
    """What the program runs on; see conf/device for the meaning of each key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    kind: Literal["auto", "cpu", "gpu"]
    index: Annotated[int, Field(ge=0)]
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS)]
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    xla: bool | None
    deterministic: bool


_configured: Device | None = None  # TensorFlow's own state is the process's as well


def configure(device: Device) -> None:
    """Import TensorFlow and set its devices, threads, precision and determinism.

    Args:
        device: the configuration; a second call must be given the same.

    Raises:
        UserError: if the GPU asked for is not there, or TensorFlow already runs with other settings.
    """
    global _configured
    if _configured == device:
        return
    if _configured is not None:
        raise UserError(
            f"device: one process runs with one device setting, this one has {_describe(_configured)}, got "
            f"{_describe(device)}; start one sweep for each."
        )
    if device.kind == "cpu":
        # Hidden before CUDA starts: a GPU that TensorFlow only sees has some of its memory taken already.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    tf, keras = import_tensorflow()
    with _silence_stderr():
        gpus = [] if device.kind == "cpu" else tf.config.list_physical_devices("GPU")
    _select(tf, device, gpus)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(device.threads)
        # The operations of a step wait for each other: a second one at a time would only wake a thread for
        # nothing. Within an operation, too, more than one thread pays only for large batches or convolutions.
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise UserError(
            f"device: something ran TensorFlow before its settings were made ({error})."
        ) from None
    if device.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(device.precision)
    _configured = device


@contextlib.contextmanager
def set_up_on_import(device: Device) -> Iterator[None]:
    """Call `configure` before the first import of TensorFlow or Keras in the block; else nothing is imported.

    For functions of the user's that are called before training: if they import TensorFlow, they use it.

    Args:
        device: the configuration; where TensorFlow is already set up, it stays as it is.
    """
    if _configured is None and "tensorflow" in sys.modules:
        # A program of the user's has imported it. If it computed something as well, the run says so.
        with contextlib.suppress(UserError):
            configure(device)
    original = builtins.__import__

    def import_module(name: str, *others: Any, **named: Any) -> Any:
        if name.partition(".")[0] in ("keras", "tensorflow"):
            builtins.__import__ = original
            if _configured is None:
                configure(device)
        return original(name, *others, **named)

    # A finder on `sys.meta_path` would be asked in the middle of the import, when it is too late to import
    # the same module in another way.
    builtins.__import__ = import_module  # it hands all on
    try:
        yield
    finally:
        builtins.__import__ = original


def import_tensorflow() -> tuple[Any, Any]:
    """Import TensorFlow and Keras, quietly and without what they import only to see whether it is there.

    Returns:
        The two modules. No runtime has been started.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the loop is TensorFlow's, whatever else the user runs
    # Keras wraps models for scikit-learn, draws galleries of images and shows weights in notebooks (where
    # IPython is imported already), TensorFlow's old Keras knows SciPy's sparse matrices, TensorFlow Lite
    # converts JAX models; we do none of this. Where all are installed it saves a third of the time.
    hidden = hide_modules("sklearn", "matplotlib", "IPython", "scipy", "jax")
    with _silence_stderr(), quick_imports(), hidden:
        import keras
        import tensorflow as tf

    return tf, keras


def may_be_gpu(device: Device) -> bool:
    """Say, without TensorFlow, whether the device is or may be a GPU."""
    return device.kind == "gpu" or (device.kind == "auto" and Path("/dev/nvidiactl").exists())


def _select(tf: Any, device: Device, gpus: list[Any]) -> None:
    """Leave exactly the GPU asked for visible."""
    if (device.kind == "gpu" or gpus) and device.index >= len(gpus):
        raise UserError(
            f"device={device.kind}: TensorFlow must see GPU number {device.index}, and it sees {len(gpus)}; "
            "use device=cpu or device=auto, or install a TensorFlow and a driver that find it."
        )
    if gpus:
        tf.config.set_visible_devices(gpus[device.index : device.index + 1], "GPU")


def _describe(device: Device) -> str:
    return ", ".join(f"{key}={value}" for key, value in device.model_dump().items())


@contextlib.contextmanager
def _silence_stderr() -> Iterator[None]:
    """Hide what TensorFlow's C++ prints while it is imported: no setting of its own reaches those lines."""
    sys.stderr.flush()
    # The descriptor, since C++ knows nothing of `sys.stderr`.
    saved = os.dup(2)
    with Path(os.devnull).open("wb") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
