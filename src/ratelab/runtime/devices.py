"""What TensorFlow runs on: set once, before it starts, because it cannot be changed later."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ratelab.runtime.quick_imports import quick_imports
from ratelab.validation import Count, UserError

__all__ = ["Device", "configure"]


class Device(BaseModel):
    """What the program runs on; see conf/device for the meaning of each key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    kind: Literal["auto", "cpu", "gpu"]
    index: Annotated[int, Field(ge=0)]
    threads: Count
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    xla: bool | None
    deterministic: bool


_configured: Device | None = None


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device.kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _quiet_stderr(), quick_imports():
        tf, keras = _import_quickly()
        gpus = [] if device.kind == "cpu" else tf.config.list_physical_devices("GPU")
    _select(tf, device, gpus)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(device.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise UserError(
            f"device: something ran TensorFlow before its settings were made ({error})."
        ) from None
    if device.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(device.precision)
    _configured = device


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


def _import_quickly() -> tuple[Any, Any]:
    """Import TensorFlow and Keras, but not what they only look whether it is there: a second and more."""
    hidden = [name for name in ("sklearn", "jax") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None makes `import` raise ImportError
    try:
        return importlib.import_module("tensorflow"), importlib.import_module("keras")
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hide what TensorFlow's C++ prints while it is imported: no setting of its own reaches those lines."""
    sys.stderr.flush()
    saved = os.dup(2)
    with Path(os.devnull).open("wb") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
