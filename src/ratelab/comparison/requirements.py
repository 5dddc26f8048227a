"""What is required of a comparison, as `cosine > fixed`, and whether the runs show it."""

from typing import Literal

from ratelab.comparison.pairs import Pair
from ratelab.comparison.study import Study
from ratelab.validation import UserError, unknown_key

Answer = Literal["shown", "not shown", "contrary shown"]


def check_requirement(found: Study, text: str) -> tuple[Answer, str]:
    """Return whether a group is shown to be better than another one, and the sentence that says why.

    Args:
        found: compares the two; of several comparisons the last one that has both counts.
        text: "A > B": A is better than B, whether that is more or less of the metric.

    Raises:
        UserError: for another text, and for groups that are not there or not compared with each other.
    """
    first, sign, second = (part.strip() for part in text.partition(">"))
    if not (first and sign and second) or ">" in second or first == second:
        raise UserError(f"--require must name two groups, as 'cosine > fixed', got {text!r}.")
    pair = _find_pair(found, first, second)
    if pair.verdict not in {"better", "worse"}:
        return "not shown", pair.sentence
    is_shown = (pair.verdict == "better") == (pair.first == first)
    return "shown" if is_shown else "contrary shown", pair.sentence


def _find_pair(found: Study, first: str, second: str) -> Pair:
    names = list(dict.fromkeys(one.name for each in found.comparisons for one in each.groups))
    for name in (first, second):
        if name not in names:
            raise unknown_key("--require", name, names)
    pairs = [
        pair
        for each in found.comparisons
        for pair in each.pairs
        if {pair.first, pair.second} == {first, second}
    ]
    if not pairs:
        raise UserError(
            f"--require: {first} and {second} are not compared with each other; give --baseline {second}."
        )
    return pairs[-1]
