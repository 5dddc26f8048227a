"""Optimizers as pure updates that take the rate of the step; formulas and defaults are those of Keras."""

from ratelab.optimizers.adam import adam, adamw
from ratelab.optimizers.descent import sgd
from ratelab.optimizers.rule import Optimizer
from ratelab.optimizers.schedule_free import schedule_free_adamw, schedule_free_sgd

__all__ = ["Optimizer", "adam", "adamw", "schedule_free_adamw", "schedule_free_sgd", "sgd"]
