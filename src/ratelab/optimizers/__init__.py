"""Optimizers as pure updates that take the rate of the step; formulas and defaults are those of Keras."""

from ratelab.optimizers.adam import adam, adamw
from ratelab.optimizers.adaptive import adagrad, nadam, rmsprop
from ratelab.optimizers.descent import sgd
from ratelab.optimizers.lion import lion
from ratelab.optimizers.muon import muon
from ratelab.optimizers.rule import Optimizer
from ratelab.optimizers.schedule_free import schedule_free_adamw, schedule_free_sgd

__all__ = [
    "Optimizer",
    "adagrad",
    "adam",
    "adamw",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
]
