"""Hydra finds here what reads the project's files of configuration; nothing else is done."""

from ratelab.config.files import CheckedFiles

__all__ = ["CheckedFiles"]
