"""A part of the base rate below which a schedule that ends at zero does not fall."""

from ratelab.schedules.interface import Floats, Schedule, Steps


def lift(rate: Schedule, learning_rate: float, floor: float) -> Schedule:
    """Return the schedule floor * learning_rate + (1 - floor) * rate(t); `rate` itself for a floor of 0.

    The whole course is drawn together, as with `alpha` and `end_value` of optax and `eta_min` of torch, and
    not cut off where it would fall below the floor: it keeps its form, has no kink and ends as it would.

    >>> lift(lambda t: 1 - t / 4, 1.0, 0.2)(2)
    0.6
    """
    if floor == 0:
        return rate

    def lifted(step: Steps) -> Floats:
        usual = rate(step)
        # In this form the base rate itself, and a rate of zero, come out without rounding.
        return usual + floor * (learning_rate - usual)

    return lifted
