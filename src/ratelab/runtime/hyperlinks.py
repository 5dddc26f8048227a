"""Whether the terminal shows hyperlinks (OSC 8): most do, but one that does not shows no address at all."""

import os
import sys
from collections.abc import Mapping

_PROGRAMS = {"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "WarpTerminal", "mintty", "rio"}
_TERMS = {"alacritty", "contour", "foot", "xterm-ghostty", "xterm-kitty"}
_FIRST_VTE = 5001  # GNOME Terminal and its kin; 0.50.0 falls over them


def shows_hyperlinks() -> bool:
    """Say whether what is printed goes to a terminal that is known to show hyperlinks."""
    return sys.stdout.isatty() and names_one_that_shows_them(os.environ)


def names_one_that_shows_them(environment: Mapping[str, str]) -> bool:
    """Say whether the variables of the environment are those of such a terminal.

    There is no way to ask a terminal; these are the variables by which other programs tell as well.
    FORCE_HYPERLINK decides where it is set.

    >>> names_one_that_shows_them({"TERM": "xterm-kitty"}), names_one_that_shows_them({"TERM": "xterm"})
    (True, False)
    """
    forced = environment.get("FORCE_HYPERLINK")
    if forced is not None:
        return forced not in {"", "0", "false"}
    # Between them and the terminal is one more program, which may keep the links to itself.
    if "TMUX" in environment or "STY" in environment:
        return False
    vte = environment.get("VTE_VERSION", "")
    return (
        environment.get("TERM") in _TERMS
        or environment.get("TERM_PROGRAM") in _PROGRAMS
        or "WT_SESSION" in environment  # Windows Terminal
        or (vte.isdecimal() and int(vte) >= _FIRST_VTE)
    )
