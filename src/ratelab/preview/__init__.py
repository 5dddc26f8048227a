"""`ratelab preview`: the rates of schedules, drawn without training."""

from ratelab.preview.command import preview

__all__ = ["preview"]
