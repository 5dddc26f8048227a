"""`ratelab doctor`: whether runs can begin here, and be recorded; what is found, and what to do about it."""

from ratelab.commands.doctor.command import doctor

__all__ = ["doctor"]
