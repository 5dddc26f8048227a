"""Variables of the environment that change what runs do, or that one would expect to."""

import re
from collections.abc import Iterator

from ratelab.commands.doctor.findings import OK, WARNING, Finding
from ratelab.commands.doctor.setup import Setup, keep_first
from ratelab.runtime.clipping import clip
from ratelab.runtime.passwords import is_secret, without_password
from ratelab.tracking.environment import list_what_is_not_read

LONGEST = 60  # letters of a value
# what is named and no more: it is meant, and says where or how long, not what comes out
PLAIN = {
    "CUDA_VISIBLE_DEVICES",
    "HYDRA_FULL_ERROR",
    "MKL_NUM_THREADS",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RATELAB_CACHE",
    "TF_CPP_MIN_LOG_LEVEL",
    "TMPDIR",
}
# TensorFlow's begin with TF_, and so do Terraform's
_TERRAFORM = "CLI_|DATA_DIR|IN_|INPUT|LOG|PLUGIN|REATTACH|REGISTRY|STATE|TOKEN|VAR_|WORKSPACE"
NUMBERS = re.compile(rf"NVIDIA_TF32_OVERRIDE|XLA_FLAGS|TF_(?!{_TERRAFORM}).+")


def check_environment(setup: Setup) -> Iterator[Finding]:
    """Name the variables that are set, and warn of those that change the numbers or are not read."""
    environment = setup.environment
    unread = keep_first(
        found for store in setup.stores for found in list_what_is_not_read(environment, *store)
    )
    for name, remedy in unread:
        seen = f"{_show(setup, name)} is not read"
        yield Finding(WARNING, "environment", seen, f"{remedy[0].upper()}{remedy[1:]}")
    if environment.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        seen = f"{_show(setup, 'KERAS_BACKEND')} is not read: training is TensorFlow's"
        yield Finding(WARNING, "environment", seen, "Nothing is to be done.")
    for name in sorted(environment):
        if NUMBERS.fullmatch(name) and name not in PLAIN:
            advice = "Unset it, if it is not meant: results then differ in their last digits, or in time."
            yield Finding(WARNING, "environment", f"{_show(setup, name)} is set", advice)
    named = [_show(setup, name) for name in sorted(PLAIN & environment.keys())]
    seen = f"set and used: {', '.join(named)}" if named else "no other variable is set that changes runs"
    yield Finding(OK, "environment", seen)


def _show(setup: Setup, name: str) -> str:
    value = "***" if is_secret(name) else without_password(setup.environment[name])
    return f"{name}={clip(value, LONGEST)}"
