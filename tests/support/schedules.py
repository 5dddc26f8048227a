"""The schedules of conf/, and how rates are compared with those of an oracle."""

import numpy as np
from omegaconf import OmegaConf

from ratelab.config.targets import locate
from ratelab.schedules import tabulate
from support import ROOT

BASE = 0.1
OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "schedule").glob("*.yaml"))


def same_to_float32(schedule, expected):
    """At most one unit in the last place of float32; near zero, of the base rate's."""
    expected = np.asarray(expected, np.float64)
    rates = tabulate(schedule, len(expected))
    np.testing.assert_allclose(rates, expected, rtol=2**-23, atol=BASE * 2**-40)


def read_option(name):
    """The function of a file in conf/schedule, and what the file gives it."""
    merged = OmegaConf.merge(
        {"seed": 7}, {"schedule": OmegaConf.load(ROOT / "conf" / "schedule" / f"{name}.yaml")}
    )
    options = OmegaConf.to_container(merged, resolve=True)["schedule"]
    return locate(options.pop("_target_")), options
