"""What may be broken is tried in a process of its own: a library that ends that is a line here."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ratelab.commands.doctor.findings import PROBLEM, Finding
from ratelab.commands.doctor.setup import Setup
from ratelab.runtime.clipping import clip

TRIAL_SECONDS = 60.0  # from a cold disk TensorFlow takes half of that
LONGEST = 300  # letters of what a program says of itself
_ADVICE: dict[int, str] = {
    signal.SIGILL: "This processor lacks what it was built for (as AVX): use one that was built without.",
    signal.SIGKILL: "The system has ended it, perhaps for want of memory.",
}


class TrialError(Exception):
    """A trial did not end well; `finding` says how."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.seen)
        self.finding = finding


def run_trial(setup: Setup, program: str, *words: str, package: str = "") -> str:
    """Return what a program among these modules prints.

    Args:
        setup: has the environment.
        program: the module.
        words: its arguments.
        package: what it tries; "": the last that it has printed.

    Raises:
        TrialError: it ended by a signal or an exception, or did not within a minute.
    """
    # -P: what lies in the folder of the user's is not imported in the place of a package
    command = [sys.executable, "-P", "-m", f"ratelab.commands.doctor.{program}", *words]
    environment = {
        **setup.environment,
        "PYTHONPATH": _search_path(setup.environment),
        "KERAS_HOME": os.devnull,  # else Keras would write ~/.keras where there is none
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, fixed words
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        seen = f"no end within {TRIAL_SECONDS:g} seconds"
        advice = "Look whether the disk hangs or the machine is busy."
        raise TrialError(Finding(PROBLEM, package or "imports", seen, advice)) from None
    if done.returncode != 0:
        named = package or "".join(done.stdout.splitlines()[-1:])
        raise TrialError(_explain_end(named, done.returncode, done.stderr))
    return done.stdout


def _search_path(environment: Mapping[str, str]) -> str:
    """Return where the trial finds ratelab: where this program has found it."""
    own = str(Path(__file__).parents[3])
    before = environment.get("PYTHONPATH")
    return f"{own}{os.pathsep}{before}" if before else own


def _explain_end(package: str, status: int, errors: str) -> Finding:
    """Say how a trial ended: by a signal, as a broken library ends a process, or by an exception."""
    # the first error is the cause of those that follow it
    said = re.findall(r"^[\w.]+(?:Error|Exception)\b.*", errors, re.MULTILINE) or errors.splitlines()[-1:]
    # without the time, process and line that TensorFlow's C++ puts in front
    reason = re.sub(r"^[IWEF]\d{4} \S+ +\d+ \S+\] ", "", clip(said[0], LONGEST)) if said else "not a word"
    how = f"ended by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    anew = f"Put right what that names, or install it anew: pip install --force-reinstall {package.lower()}."
    seen = f"does not import or compute ({how}): {reason}"
    return Finding(PROBLEM, package, seen, _ADVICE.get(-status, anew))
