"""TensorFlow, tried in a process of its own: a broken one is a line here."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.commands.doctor.trials import TrialError, run_trial

PCI = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
DISPLAY = "0x03"  # how the class of a device that draws, or computes, begins


def check_tensorflow(setup: Setup) -> Iterator[Finding]:
    """Say whether TensorFlow imports and computes, and on which devices."""
    try:
        seen = json.loads(run_trial(setup, "trial", package="TensorFlow").splitlines()[-1])
    except TrialError as error:
        yield error.finding
        return
    yield _judge_numbers(seen)
    yield from _judge_devices(seen, setup)


def _judge_numbers(seen: Mapping[str, Any]) -> Finding:
    versions = f"{seen['tensorflow']} with Keras {seen['keras']}"
    if seen["is_right"]:
        return Finding(OK, "TensorFlow", f"{versions} imports and computes")
    advice = "Install it anew: pip install --force-reinstall tensorflow."
    return Finding(PROBLEM, "TensorFlow", f"{versions} computes what is wrong: a product of ones", advice)


def _judge_devices(seen: Mapping[str, Any], setup: Setup) -> Iterator[Finding]:
    """Compare the GPUs that TensorFlow sees with those that are asked for, and those of the machine."""
    gpus, there, hidden = seen["gpus"], _count_gpus(), setup.environment.get("CUDA_VISIBLE_DEVICES")
    devices = {config.device for config in setup.configs}
    wanted = max((device.index + 1 for device in devices if device.kind == "gpu"), default=0)
    names = f"{_count(len(gpus))} ({', '.join(gpus)})" if gpus else "no GPU"
    shown = f"TensorFlow sees the CPU and {names}"
    if wanted > len(gpus):
        advice = "Use device=cpu or device=auto, or install a TensorFlow and a driver that find it."
        yield Finding(PROBLEM, "devices", f"{shown}; device=gpu needs {_count(wanted)}", advice)
    elif there <= len(gpus):
        yield Finding(OK, "devices", shown)
    elif hidden is not None:
        yield Finding(OK, "devices", f"{shown}, of {there} here: CUDA_VISIBLE_DEVICES is {hidden!r}")
    else:
        lacking = "a driver of NVIDIA's, or CUDA" if seen["has_cuda"] else "a TensorFlow built for CUDA"
        advice = f"It lacks {lacking}: see what `nvidia-smi` says, then pip install 'tensorflow[and-cuda]'."
        yield Finding(WARNING, "devices", f"{shown}; the machine has {_count(there)}", advice)


def _count(gpus: int) -> str:
    return f"{gpus} GPU{'' if gpus == 1 else 's'}"


def _count_gpus() -> int:
    """Return how many GPUs of NVIDIA's, which TensorFlow could use, are in the machine; Linux knows."""
    count = 0
    for device in PCI.glob("*"):
        try:
            kind, maker = ((device / name).read_text().strip() for name in ("class", "vendor"))
        except OSError:
            continue
        if maker == NVIDIA and kind.startswith(DISPLAY):
            count += 1
    return count
