"""TensorFlow, tried in a process of its own: a broken one ends that, and is a line here."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.runtime.clipping import clip

TRIAL_SECONDS = 60.0  # from a cold disk it takes half of that
LONGEST = 300  # letters of what it says of itself
PCI = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
DISPLAY = "0x03"  # how the class of a device that draws, or computes, begins
_REINSTALL = "Put right what that names, or install it anew: pip install --force-reinstall tensorflow."
_ADVICE: dict[int, str] = {
    signal.SIGILL: "This processor lacks what this TensorFlow was built for (AVX): use one built without it.",
    signal.SIGKILL: "The system has ended it, perhaps for want of memory.",
}


def check_tensorflow(setup: Setup) -> Iterator[Finding]:
    """Say whether TensorFlow imports and computes, and on which devices."""
    try:
        done = subprocess.run(
            # -P: what lies in the folder of the user's is not imported in the place of a package
            [sys.executable, "-P", "-m", "ratelab.commands.doctor.trial"],
            env={
                **setup.environment,
                "PYTHONPATH": _search_path(setup.environment),
                "KERAS_HOME": os.devnull,  # else it would write ~/.keras where there is none
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        seen = f"did not import and compute within {TRIAL_SECONDS:g} seconds"
        yield Finding(PROBLEM, "TensorFlow", seen, "Look whether the disk hangs or the machine is busy.")
        return
    if done.returncode != 0:
        yield _explain_end(done.returncode, done.stderr)
        return
    seen = json.loads(done.stdout.splitlines()[-1])
    yield _judge_numbers(seen)
    yield from _judge_devices(seen, setup)


def _search_path(environment: Mapping[str, str]) -> str:
    """Return where the trial finds ratelab: where this program has found it."""
    own = str(Path(__file__).parents[3])
    before = environment.get("PYTHONPATH")
    return f"{own}{os.pathsep}{before}" if before else own


def _explain_end(status: int, errors: str) -> Finding:
    """Say how the trial ended: by a signal, as a broken library ends a process, or by an exception."""
    # the first error is the cause of those that follow it
    said = re.findall(r"^[\w.]+(?:Error|Exception)\b.*", errors, re.MULTILINE) or errors.splitlines()[-1:]
    # without the time, process and line that its C++ puts in front
    reason = re.sub(r"^[IWEF]\d{4} \S+ +\d+ \S+\] ", "", clip(said[0], LONGEST)) if said else "not a word"
    how = f"ended by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    seen = f"does not import or compute ({how}): {reason}"
    return Finding(PROBLEM, "TensorFlow", seen, _ADVICE.get(-status, _REINSTALL))


def _judge_numbers(seen: Mapping[str, Any]) -> Finding:
    versions = f"{seen['tensorflow']} with Keras {seen['keras']}"
    if seen["is_right"]:
        return Finding(OK, "TensorFlow", f"{versions} imports and computes")
    return Finding(PROBLEM, "TensorFlow", f"{versions} computes what is wrong: a product of ones", _REINSTALL)


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
        count += maker == NVIDIA and kind.startswith(DISPLAY)
    return count
