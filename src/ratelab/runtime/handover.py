"""From Hydra's hook before a run to the body of the run: Hydra carries nothing from one to the other.

The hook gets the configuration and returns nothing; the body gets a copy of the configuration. What the hook
has made waits here and can be taken once.
"""

from typing import Any

_kept: Any = None


def keep(value: Any) -> None:
    """Keep what the hook made, in the place of whatever was kept before."""
    global _kept
    _kept = value


def take() -> Any:
    """Return what was kept, and forget it; None if nothing was."""
    global _kept
    value, _kept = _kept, None
    return value
