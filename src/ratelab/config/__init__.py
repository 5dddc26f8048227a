"""The configuration: its typed schema, the functions that it names, and how it is composed."""

from ratelab.config.command_line import read_words
from ratelab.config.schema import (
    Config,
    OptimizerTarget,
    Target,
    Tracking,
    Warmup,
    read,
    register_resolvers,
)
from ratelab.runtime.devices import Device

__all__ = [
    "Config",
    "Device",
    "OptimizerTarget",
    "Target",
    "Tracking",
    "Warmup",
    "read",
    "read_words",
    "register_resolvers",
]
