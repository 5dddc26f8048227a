"""Results of other programs compared: those in a CSV file, and runs that plain MLflow code has logged."""

from ratelab.commands.imported.selection import read_imported

__all__ = ["read_imported"]
