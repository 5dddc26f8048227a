"""`ratelab preview`: the rates of schedules, drawn without training."""

from ratelab.commands.preview.command import preview

__all__ = ["preview"]
