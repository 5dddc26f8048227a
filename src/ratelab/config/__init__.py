"""The configuration: its typed schema, the functions that it names, and how it is composed."""

from ratelab.config.schema import (
    Config,
    Data,
    Target,
    Tracking,
    Warmup,
    read,
    register_resolvers,
)
from ratelab.config.secrets import hide_passwords
from ratelab.runtime.devices import Device

__all__ = [
    "Config",
    "Data",
    "Device",
    "Target",
    "Tracking",
    "Warmup",
    "hide_passwords",
    "read",
    "register_resolvers",
]
