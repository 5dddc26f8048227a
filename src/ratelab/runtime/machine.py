"""What the bits of a run depend on beside its configuration and its versions; known without TensorFlow."""

import functools
import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ratelab.runtime.devices import Device, may_be_gpu

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
DEFAULT = "default"  # of TensorFlow, by its version and the features of the processor
_ONEDNN_WORDS = {"0", "1", "false", "true"}  # what TensorFlow reads there
_FLAGS = ("XLA_FLAGS", "TF_XLA_FLAGS")
# By these TensorFlow, XLA, oneDNN and numpy choose their kernels.
_FEATURES = (
    *("avx", "avx2", "fma", "f16c", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "sve", "sve2", "bf16", "i8mm"),
)
_CPUINFO = Path("/proc/cpuinfo")
_GPUS = Path("/proc/driver/nvidia/gpus")


def describe_machine(device: Device, environment: Mapping[str, str]) -> dict[str, str]:
    """Return by their names the facts of this machine, and of how TensorFlow is set on it.

    Args:
        device: of the run.
        environment: variables that are set for the run, beside those of this process.
    """
    variables = {**os.environ, **environment}
    flags = {name: variables[name] for name in _FLAGS if name in variables}
    return {
        **_describe_processor(_CPUINFO),
        "gpus": _list_gpus(_GPUS) if may_be_gpu(device) else "",
        "threads": str(device.threads),
        "xla": "auto" if device.xla is None else str(device.xla).lower(),
        "onednn": variables.get(ONEDNN, DEFAULT),
        **flags,
    }


def write_machine(facts: Mapping[str, str]) -> str:
    """Return the facts as the tag `machine` of a run.

    >>> write_machine({"threads": "1"})
    '{"threads":"1"}'
    """
    return json.dumps(facts, separators=(",", ":"))


def read_machine(tag: str | None) -> dict[str, str] | None:
    """Return the facts of a tag; None where there is none, or not of ours.

    >>> read_machine('{"threads":"1"}'), read_machine("[]")
    ({'threads': '1'}, None)
    """
    try:
        facts = json.loads(tag or "")
    except ValueError:
        return None
    return {str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else None


def set_onednn(word: str) -> bool:
    """Set oneDNN as a run had it, for this process; say whether that was possible.

    Args:
        word: the fact `onednn`. Only what TensorFlow itself reads is set: a store may hold anything.
    """
    known = word == DEFAULT or word.lower() in _ONEDNN_WORDS
    if not known or "tensorflow" in sys.modules:  # it has read the variable by then
        return os.environ.get(ONEDNN, DEFAULT) == word
    os.environ.pop(ONEDNN, None)
    if word != DEFAULT:
        os.environ[ONEDNN] = word
    return True


@functools.cache
def _describe_processor(source: Path) -> dict[str, str]:
    """Return vendor, model and features of the first processor, as Linux tells them; elsewhere the kind."""
    found: dict[str, str] = {}
    try:
        with source.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if not key.strip():  # of two hundred processors the first one is enough
                    break
                found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    features = {*found.get("flags", found.get("Features", "")).split()}
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "vendor": found.get("vendor_id", found.get("CPU implementer", "")),
        "processor": found.get("model name", found.get("CPU part", "")),
        "features": " ".join(name for name in _FEATURES if name in features),
    }


def _list_gpus(folder: Path) -> str:
    """Return the models of NVIDIA's that its driver lists."""
    texts = [path.read_text(errors="replace") for path in sorted(folder.glob("*/information"))]
    return ", ".join(model for text in texts for model in re.findall(r"(?m)^Model:\s*(.*?)\s*$", text))
