"""`ratelab lr-find`: a range test on the compiled loop, and the base rates that its losses suggest."""

from ratelab.commands.lr_find.command import lr_find

__all__ = ["lr_find"]
