"""Learning-rate schedules: pure functions of the step, evaluated once, before training, into an array.

A schedule is made by a function of `learning_rate` (the base rate), `steps` (the length of the run, where it
needs it) and options; it is a function from an array of steps, counted from 0, to an array of rates of the
same shape. A schedule may also move the momentum: then it has the attribute `momentum`, a function from steps
to momenta (`momentum_of` returns it, or None).

Whatever lasts, such as `decay_steps`, is a number of steps (a whole number, or one above 1.0) or a fraction
of the run (a float up to 1.0): `decay_steps=1000` and `decay_steps=0.25`.
"""

from ratelab.schedules.compositions import join, scale, warmup
from ratelab.schedules.constant import fixed, piecewise
from ratelab.schedules.cosines import cosine, cosine_restarts, linear_cosine, noisy_linear_cosine
from ratelab.schedules.cycles import cyclic, one_cycle
from ratelab.schedules.decays import exponential, inverse_sqrt, inverse_time, natural_exp
from ratelab.schedules.durations import Duration, OptionalDuration, in_steps
from ratelab.schedules.in_keras import as_keras, keras_class
from ratelab.schedules.in_torch import as_torch
from ratelab.schedules.interface import Build, Schedule, WithMomentum, momentum_of, tabulate
from ratelab.schedules.plateau import Reactive, plateau
from ratelab.schedules.polynomials import linear_to_zero, polynomial, rex, wsd

__all__ = [
    "Build",
    "Duration",
    "OptionalDuration",
    "Reactive",
    "Schedule",
    "WithMomentum",
    "as_keras",
    "as_torch",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "fixed",
    "in_steps",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "keras_class",
    "linear_cosine",
    "linear_to_zero",
    "momentum_of",
    "natural_exp",
    "noisy_linear_cosine",
    "one_cycle",
    "piecewise",
    "plateau",
    "polynomial",
    "rex",
    "scale",
    "tabulate",
    "warmup",
    "wsd",
]
