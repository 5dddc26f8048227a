"""`ratelab replay`: a recorded run is rebuilt from the store alone, trained again, compared at every step."""

from ratelab.commands.replay.command import replay

__all__ = ["replay"]
