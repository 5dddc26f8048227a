"""How rates are compared with those of an oracle."""

import numpy as np

from ratelab.schedules import tabulate

BASE = 0.1


def same_to_float32(schedule, expected):
    """At most one unit in the last place of float32; near zero, of the base rate's."""
    expected = np.asarray(expected, np.float64)
    rates = tabulate(schedule, len(expected))
    np.testing.assert_allclose(rates, expected, rtol=2**-23, atol=BASE * 2**-40)
