"""How wide the columns of a table in a terminal are: numbers stay whole, names break between words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

BETWEEN = 2  # columns of the terminal between two columns of a table


@dataclass(frozen=True)
class Width:
    """What a column of a table may take: its texts on one line each, and broken wherever they may be."""

    most: int
    least: int


def measure(texts: Sequence[str], *, is_name: bool = False, may_break: bool = False) -> Width:
    """Return the width of a column with these texts.

    Args:
        texts: heading and cells.
        is_name: a name may break at its blanks and behind its signs.
        may_break: numbers may break at their blanks.

    >>> measure(["schedule", "exponential learning_rate=0.1"], is_name=True)
    Width(most=29, least=14)
    """
    most = max(map(cell_len, texts))
    if not is_name and not may_break:
        return Width(most, most)
    pieces = [piece for text in texts for piece in (_split_name(text) if is_name else text.split())]
    return Width(most, max(cell_len(piece.rstrip()) for piece in pieces))


def is_wide_enough(widths: Sequence[int], room: int) -> bool:
    """Say whether columns of these widths fit into so many columns of the terminal.

    >>> is_wide_enough([11, 5, 5], 25), is_wide_enough([11, 5, 5], 24)
    (True, False)
    """
    return sum(widths) + BETWEEN * (len(widths) - 1) <= room


def cut(widths: Sequence[Width], room: int) -> list[list[int]]:
    """Return the places of the columns of each part of a table, so that every part fits.

    Each part begins with the first column, which names the rows.

    Args:
        widths: of the columns.
        room: columns of the terminal.

    >>> cut([Width(11, 11), *[Width(5, 5)] * 5], 32)
    [[0, 1, 2, 3], [0, 4, 5]]
    """
    parts = [[0]]
    for place in range(1, len(widths)):
        least = [widths[taken].least for taken in (*parts[-1], place)]
        if len(parts[-1]) > 1 and not is_wide_enough(least, room):
            parts.append([0])
        parts[-1].append(place)
    return parts


def fit(widths: Sequence[Width], room: int) -> list[int]:
    """Return how wide each column is made: the widest that can be broken gives way first.

    >>> fit([Width(40, 8), Width(20, 8), Width(6, 6)], 52)
    [22, 20, 6]
    """
    made = [width.most for width in widths]
    while not is_wide_enough(made, room):
        loose = [place for place, width in enumerate(widths) if made[place] > width.least]
        # where nothing may break, a name of one long piece is broken anywhere
        widest = max(loose or range(len(made)), key=lambda place: made[place])
        if made[widest] == 1:
            break
        made[widest] -= 1
    return made


def wrap(name: str, width: int) -> str:
    r"""Return a name in lines of that width, broken at blanks, else behind a sign, else anywhere.

    >>> print(wrap("exponential schedule.decay_steps=1000", 19))
    exponential
    schedule.
    decay_steps=1000
    """
    lines = [""]
    for word in re.findall(r"\S+\s*", name):
        # A word goes to the next line as a whole if it fits there.
        for piece in [word] if cell_len(word.rstrip()) <= width else _split_name(word):
            if cell_len(lines[-1] + piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(part for line in lines for part in chop_cells(line.rstrip(), width))


def _split_name(name: str) -> list[str]:
    """Return the parts between which a name may break; the dot of a number is no such place.

    >>> _split_name("schedule.decay_rate=0.9")
    ['schedule.', 'decay_rate=', '0.9']
    """
    return re.findall(r".+?(?:[=,:/]+\s*|\s+|\.(?!\d)|$)", name)
