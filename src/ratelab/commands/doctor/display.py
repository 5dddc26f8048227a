"""How findings are printed: a mark, then what it is about; broken only between words."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from ratelab.commands.doctor.findings import OK, PROBLEM, WARNING, Finding

COLORS = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}
MARK = 9  # columns
LEAST = 20  # columns of text, however narrow the terminal


def print_findings(console: Console, findings: Iterable[Finding]) -> int:
    """Print each finding as it comes, and at last how many there are to look after.

    Returns:
        The status of the program: 1 if there is a problem, else 0.
    """
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.mark] += 1
        for number, line in enumerate(_break(finding, max(LEAST, console.width - MARK))):
            mark = (finding.mark, COLORS[finding.mark]) if number == 0 else ""
            text = Text.assemble(mark)
            text.pad_right(MARK - len(text))
            # soft: a word that is longer than a line, as a path may be, can be copied whole
            console.print(text + Text(line), soft_wrap=True)
    console.print(_sum_up(counts), soft_wrap=True)
    return 1 if counts[PROBLEM] else 0


def _break(finding: Finding, width: int) -> Iterator[str]:
    """Yield the lines of a finding; what to do begins a line."""
    for sentence in (f"{finding.subject}: {finding.seen}", finding.advice):
        # a name of a file may hold anything, also what moves the cursor or cannot be encoded
        shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(sentence.split()))
        yield from textwrap.wrap(shown, width, break_long_words=False, break_on_hyphens=False)


def _sum_up(counts: Counter[str]) -> str:
    """Return the last line.

    >>> _sum_up(Counter(ok=9, warning=2)), _sum_up(Counter(problem=1, warning=1)), _sum_up(Counter(ok=3))
    ('No problem, 2 warnings.', '1 problem, 1 warning.', 'No problem.')
    """
    problems = _count(counts[PROBLEM], PROBLEM)
    if not counts[WARNING]:
        return f"{problems}."
    return f"{problems}, {_count(counts[WARNING], WARNING)}."


def _count(number: int, noun: str) -> str:
    return f"No {noun}" if number == 0 else f"{number} {noun}{'' if number == 1 else 's'}"
