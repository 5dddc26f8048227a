"""The configuration: its typed schema, the functions that it names, and how it is composed."""

from ratelab.config.schema import (
    Config,
    Data,
    Device,
    Target,
    Tracking,
    Warmup,
    read,
    register_resolvers,
)

__all__ = [
    "Config",
    "Data",
    "Device",
    "Target",
    "Tracking",
    "Warmup",
    "read",
    "register_resolvers",
]
