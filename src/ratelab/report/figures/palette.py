"""Colours for light and dark, told apart by the colour-blind, and what else tells curves apart.

A figure is drawn in stand-ins, which become CSS variables: one SVG then serves both modes. The series are
those of Okabe and Ito, 2008, darkened for the light mode; each has a contrast of 3 or more with the paper.
"""

from typing import NamedTuple


class Tone(NamedTuple):
    """A colour under the name of its CSS variable: its stand-in in a drawing, its values in both modes."""

    name: str
    stand_in: str
    light: str
    dark: str


INK = Tone("ink", "#010101", "#1b1f23", "#e8eaed")
MUTED = Tone("muted", "#020202", "#59636e", "#a3abb5")
GRID = Tone("grid", "#030303", "#dfe3e8", "#343a42")
PAPER = Tone("paper", "#040404", "#ffffff", "#14171a")
SERIES = tuple(
    Tone(f"series-{number}", f"#0500{number:02x}", light, dark)
    for number, (light, dark) in enumerate(
        [
            ("#0072b2", "#5aa9e6"),  # blue
            ("#c84a00", "#ff8a4d"),  # vermilion
            ("#008560", "#2fc79a"),  # bluish green
            ("#b0558a", "#e29ac2"),  # reddish purple
            ("#a87400", "#e69f00"),  # orange
            ("#3a8fc4", "#8fd0f5"),  # sky blue
            ("#5c5c5c", "#b5b5b5"),  # black
            ("#7a7000", "#e5dc5a"),  # yellow
        ],
        start=1,
    )
)
TONES = (INK, MUTED, GRID, PAPER, *SERIES)

Dash = tuple[float, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ((0, ()), (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)))
MARKERS = "osD^vP*X"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def series(place: int) -> str:
    """Return the stand-in for the colour of the group at `place`."""
    return SERIES[place % len(SERIES)].stand_in


def dash(place: int) -> Dash:
    """Return the dashes of the group at `place`; with the colours they repeat after eight groups."""
    return DASHES[place % len(DASHES)]


def marker(place: int) -> str:
    """Return the marker of the group at `place`."""
    return MARKERS[place % len(MARKERS)]


def css() -> str:
    """Return the rules that give the variables their values, in light and in dark."""
    light, dark = _list_values()
    return (
        f":root{{color-scheme:light dark;--font:{FONT};{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    )


def css_in_notebook(name: str) -> str:
    """Return the rules for elements of a class in a notebook, which has a theme of its own."""
    light, dark = _list_values()
    # as Jupyter, what nbconvert makes, Visual Studio Code and Colab say that they are dark
    hosts = ("[data-jp-theme-light=false]", ".vscode-dark", "html[theme=dark]")
    return f".{name}{{--font:{FONT};{light}}}{','.join(f'{host} .{name}' for host in hosts)}{{{dark}}}"


def _list_values() -> tuple[str, str]:
    """Return the values of the variables, in light and in dark."""
    return (
        ";".join(f"--{tone.name}:{tone.light}" for tone in TONES),
        ";".join(f"--{tone.name}:{tone.dark}" for tone in TONES),
    )
